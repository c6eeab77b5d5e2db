package gossip

import (
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Wants reports whether a batch that came from a neighbour is news and has room, so that
// its signature is worth verifying: if so, the caller hands it to [Router.Receive]. It need
// not be in memory of its own.
func (r *Router) Wants(now time.Time, from ident.NodeID, b *frame.Relay) bool {
	r.enter()
	o := r.known(now, Member{b.Origin, b.Incarnation})
	if o == nil {
		r.stats.Strange++
		return false
	}
	r.base(now, o, b)
	f := r.judge(o, b)
	if f <= fateLate {
		return true
	}
	r.drop(now, from, o, b, f)
	return false
}

// Receive takes a batch that came from a neighbour, whoever published it. The caller has
// verified the signature, and does not change the batch any more: it stays in memory.
func (r *Router) Receive(now time.Time, from ident.NodeID, b frame.Relay) {
	r.enter()
	o := r.known(now, Member{b.Origin, b.Incarnation})
	if o == nil {
		r.stats.Strange++
		return
	}
	r.base(now, o, &b)
	f := r.judge(o, &b)
	switch f {
	case fateNext:
		if !o.based {
			o.begin(now, 0, 0, true)
		}
		r.deliver(now, o, r.store.entry(o, &b), 0)
	case fateBeyond:
		lost := o.jump(&b)
		r.store.clear(o, false)
		r.deliver(now, o, r.store.entry(o, &b), lost)
	case fateAhead:
		r.store.hold(now, o, &b)
		o.repair.hint = from
	case fateLate:
		r.late(now, from, o, &b)
		return
	default:
		r.drop(now, from, o, &b, f)
		return
	}
	r.stats.Batches++
	r.answered(now, o, from, &b)
	r.forward(now, from, o, &b)
	r.follow(now, o)
	r.settle(now, o)
}

// fate is what is to become of a batch.
type fate uint8

const (
	fateNext    fate = iota // it goes on where the last one ended: deliver it
	fateAhead               // something is missing before it: hold it
	fateBeyond              // something is missing before it that nobody has: deliver it
	fateLate                // it was delivered without a signature: keep it for others
	fateAgain               // it is there already
	fateClash               // its origin signed something else before
	fateCrowded             // there is no room to hold it: a pull brings it in its turn
)

// judge returns what is to become of a batch.
func (r *Router) judge(o *origin, b *frame.Relay) fate {
	switch {
	case !o.based:
		if b.First == 1 {
			return fateNext // nothing can have been before it
		}
	case b.Last <= o.bare && b.Last <= o.received && b.First > o.late:
		return fateLate
	case b.Last <= o.received:
		return fateAgain
	case b.First <= o.received:
		return fateClash
	case b.First == o.received+1 && o.fits(b):
		return fateNext
	case b.First == o.received+1:
		return fateClash
	}
	return r.judgeEarly(o, b)
}

// judgeEarly is judge for a batch that comes before its turn.
func (r *Router) judgeEarly(o *origin, b *frame.Relay) fate {
	at, found := o.heldAt(b.First)
	switch {
	case found && o.held[at].batch.Last == b.Last:
		return fateAgain
	case o.clashes(b):
		return fateClash
	case r.store.room(o, b):
		return fateAhead
	case o.based && at == 0 && r.hopeless(o) && o.repair.pick(o.received+1, b.First-1) == nil:
		return fateBeyond
	}
	return fateCrowded
}

// drop counts a batch that is of no use. It is part of an answer all the same.
func (r *Router) drop(now time.Time, from ident.NodeID, o *origin, b *frame.Relay, f fate) {
	if f == fateCrowded {
		o.repair.pause(now, from)
	}
	r.answered(now, o, from, b)
	switch f {
	case fateClash:
		r.stats.Clashing++
	case fateCrowded:
		r.stats.Refused++
	default:
		r.stats.Duplicates++
	}
	r.settle(now, o)
}

// follow delivers what was held and has its turn now.
func (r *Router) follow(now time.Time, o *origin) {
	for len(o.held) > 0 && o.held[0].batch.First <= o.received+1 {
		e := r.store.unhold(o, 0)
		if e.batch.First == o.received+1 && o.fits(&e.batch) {
			r.deliver(now, o, e, 0)
			continue
		}
		if e.batch.Last > o.received {
			r.stats.Clashing++
		}
		r.store.release(e)
	}
}

// giveUp passes over what is missing before the first held batch, or up to what is proven
// if none is held, and goes on with that. What was stored before the gap is of no use:
// nobody asks for it who asks for what comes after.
func (r *Router) giveUp(now time.Time, o *origin) {
	if len(o.held) > 0 {
		e := r.store.unhold(o, 0)
		lost := o.jump(&e.batch)
		r.store.clear(o, false)
		r.deliver(now, o, e, lost)
		r.follow(now, o)
		return
	}
	p := o.repair.proof
	lost := o.jumpTo(p)
	r.store.clear(o, false)
	o.proof, o.repair.proof = p, nil
	if r.stats.Lost += lost; lost > 0 {
		r.out.Deliveries = append(r.out.Deliveries, Delivery{
			Origin: o.ID, Incarnation: o.Incarnation, Lost: lost,
		})
	}
	r.tell(now, o)
	o.repair.advanced(now)
}

// deliver hands a batch out that begins with the next number, and stores it.
func (r *Router) deliver(now time.Time, o *origin, e *entry, lost uint64) {
	skip := o.take(&e.batch)
	r.stats.Lost += lost
	r.out.Deliveries = append(r.out.Deliveries, Delivery{
		Origin: o.ID, Incarnation: o.Incarnation, Lost: lost, Batch: e.batch, Skip: skip,
	})
	r.store.keep(now, e)
	r.tell(now, o)
	o.repair.advanced(now)
}
