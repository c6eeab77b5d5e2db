package gossip

import (
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Place is how far something has come with the broadcasts of an origin.
type Place struct {
	Received ident.Seq // all numbers up to it
	Whole    ident.Seq // all messages up to it, pieces not counted
	Part     bool      // of the next message some pieces, too
}

// Knows reports whether anything is remembered of an origin.
func (r *Router) Knows(m Member) bool { return r.byKey[m] != nil }

// Begin says how far this node has come with an origin over the link between the two, so
// that the router goes on there. It is to be called before the router gets anything of the
// origin; what neighbours said of it counts no more, and later calls change nothing.
func (r *Router) Begin(now time.Time, m Member, at Place) {
	r.enter()
	o := r.meet(now, m)
	if o == nil || o == r.own || o.proven {
		return
	}
	o.begin(now, at.Received, at.Whole, true)
	o.proven, o.bare = true, at.Received
	if at.Part {
		o.part = partTaken
	}
	r.follow(now, o)
	r.settle(now, o)
}

// Opened says where an origin begins on a new link with this node, which is to get all beyond.
// As long as nothing came of it this node begins there, unless neighbours, or the origin when it
// is greeted, say that it begins earlier: then it counts if all who know of more have nothing of
// it to give.
func (r *Router) Opened(now time.Time, m Member, at Place) {
	r.enter()
	o := r.meet(now, m)
	if o == nil || o == r.own || o.proven {
		return
	}
	o.opened, o.start, o.startWhole = true, at.Received, at.Whole
	if at.Received > o.received && (!o.based || !o.repair.barren()) {
		return // somebody may say more
	}
	o.begin(now, at.Received, at.Whole, true)
	r.follow(now, o)
	r.settle(now, o)
}

// barren reports whether somebody claims to have been beyond what this node has, and nobody
// has anything of it.
func (p *repair) barren() bool {
	for _, c := range p.claims {
		if c.first <= c.last {
			return false
		}
	}
	return len(p.claims) > 0
}

// Sent says how far this node has published without signatures, so that newcomers begin
// there. What of it is signed later may still be published.
func (r *Router) Sent(now time.Time, at Place) {
	r.enter()
	o := r.own
	if o == nil || at.Received <= o.received {
		return
	}
	r.store.clear(o, false)
	o.begin(now, at.Received, at.Whole, true)
	o.part, o.proven, o.bare = partNone, false, at.Received
}

// Direct takes what an origin sent over its own link and did not sign, because all members
// have a link with it: a batch with its numbers, and without frames, which the caller keeps.
// If it is news it is among the deliveries, in its place. Nobody else has it, so that it is
// neither kept nor passed on, and what is missing before it is given up. Direct reports
// false, and does nothing, if nothing is known of the origin.
func (r *Router) Direct(now time.Time, b frame.Relay) (known bool) {
	r.enter()
	o := r.byKey[Member{b.Origin, b.Incarnation}]
	if o == nil || o == r.own || !o.standing.heard() {
		return false
	}
	switch {
	case o.proven:
	case o.based && b.First <= o.received: // the origin knows better
		o.begin(now, b.First-1, b.Message-1, true)
	default:
		r.raise(now, o, b.First, b.Message)
	}
	for len(o.held) > 0 && o.held[0].batch.First < b.First {
		r.giveUp(now, o) // which may deliver this batch, too
	}
	if b.Last <= o.received {
		r.stats.Duplicates++
		r.settle(now, o)
		return true
	}
	if n := o.received + 1 - b.First; b.First <= o.received { // a part of it came another way
		b.First += n
		b.Message += n
	}
	r.stats.Batches++
	var lost uint64
	if b.First > o.received+1 {
		lost = o.jump(&b)
	} else if b.Continues = o.part != partNone && b.Message == o.next(); b.Continues {
		b.Head = int(b.Last-b.First) + 1 // a piece is alone in its frame
	}
	r.store.clear(o, false) // it does not reach up to what comes next
	skip := o.take(&b)
	o.bare = b.Last
	o.base, o.baseWhole = o.received, o.whole // nobody can have anything from before
	r.stats.Lost += lost
	r.out.Deliveries = append(r.out.Deliveries, Delivery{
		Origin: b.Origin, Incarnation: b.Incarnation, Lost: lost, Batch: b, Skip: skip,
	})
	o.repair.advanced(now)
	r.follow(now, o)
	r.settle(now, o)
	return true
}

// late keeps a batch whose messages came without a signature before it, and passes it on:
// others may miss it.
func (r *Router) late(now time.Time, from ident.NodeID, o *origin, b *frame.Relay) {
	o.late = b.Last
	r.stats.Batches++
	if all := o.stored.all(); len(all) == 0 || all[len(all)-1].batch.Last+1 == b.First {
		r.store.keep(now, r.store.entry(o, b))
		if b.Last == o.received {
			r.tell(now, o)
		}
	}
	r.forward(now, from, o, b)
}
