package lease

import (
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// vote is what this node granted last. It is bound until then, even to a reign that is
// over, unless the votes are released.
type vote struct {
	to          ident.NodeID // zero: to nobody
	incarnation ident.Incarnation
	term        ident.Term
	until       time.Time // or since when it is free again
}

// reign is a leader as this node knows it.
type reign struct {
	id    ident.NodeID
	term  ident.Term
	valid bool
	until time.Time // heard of again before, or over; zero without a vote of this node
}

// expires reports whether the reign ends by time.
func (r reign) expires() bool { return r.valid && !r.until.IsZero() }

// asked answers a question. Only voters answer, and only voters are answered.
func (e *Election) asked(from ident.NodeID, a Ask) {
	asker, ok := e.member(from)
	if !ok || !e.electorate.votes(from, asker.Eligible) {
		return
	}
	fits := a.Electorate == e.electorate.Tag()
	if a.Kind == Renew && fits {
		e.follow(from, a.Term)
	}
	if !e.electorate.votes(e.self, e.eligible) {
		return
	}
	wait, ok := e.judge(from, a)
	ok = ok && fits
	switch {
	case !ok:
	case a.Kind == Poll:
		e.giveWay()
	default:
		if e.phase == polling || e.phase == claiming {
			e.fail() // its own vote is given: it is late, or was not fast enough
		}
		e.grant(from, a.Incarnation, a.Term)
	}
	e.send(from, Answer{
		Granted: ok, Electorate: e.electorate.Tag(), Incarnation: a.Incarnation, Number: a.Number,
		Seen: e.taken(), Clock: e.clock(e.now), Wait: wait,
	})
}

// judge decides whether this node grants what is asked, and if not, how long asking again
// is of no use; 0 says nothing.
func (e *Election) judge(from ident.NodeID, a Ask) (wait time.Duration, ok bool) {
	v := e.vote
	same := v.to == from && v.incarnation == a.Incarnation
	switch {
	case e.now.Before(e.guarded):
		return e.guarded.Sub(e.now), false
	case a.Kind == Renew && same && v.term == a.Term:
		return 0, true // goes on, whatever happened since: nobody else has this vote
	case e.conflict.on():
		return 0, false
	case e.bound(a.After) && !same:
		return v.until.Sub(e.now), false
	case a.Kind == Poll:
		if k := e.known; k.expires() && k.id != from && k.term != a.After {
			return k.until.Sub(e.now), false // its vote is free, but there is a leader
		}
		return 0, e.reserved()
	case a.Kind == Renew:
		return 0, a.Term >= e.seen
	default:
		return 0, e.allows(a.Term)
	}
}

// bound reports whether the vote of this node is given. It is not if its leader released
// it, of which another may know earlier.
func (e *Election) bound(released ident.Term) bool {
	v := e.vote
	return !v.to.IsZero() && e.now.Before(v.until) && (v.term != released || v.to == e.self)
}

// grant gives the vote of this node, which must be free or given to the same.
func (e *Election) grant(to ident.NodeID, inc ident.Incarnation, t ident.Term) {
	e.see(t)
	e.vote = vote{to: to, incarnation: inc, term: t, until: e.now.Add(e.pace.promise)}
}

// takeBack frees the vote that this node gave to itself. What it gave to others since then
// is not touched.
func (e *Election) takeBack() {
	if e.vote.to == e.self {
		e.vote = vote{until: e.now}
	}
}

// giveWay lets one that polls go first. It does so once a lease, so that one that polls for
// ever in vain does not keep others from standing.
func (e *Election) giveWay() {
	if e.phase == idle && !e.now.Before(e.chosen) && e.now.Sub(e.deferred) >= e.pace.lease {
		e.deferred = e.now
		e.earliest = later(e.earliest, e.now.Add(turn))
	}
}

// follow hears that a member leads.
func (e *Election) follow(id ident.NodeID, t ident.Term) {
	if t < e.known.term || t == e.known.term && id != e.known.id {
		return // over, or a lie
	}
	if e.phase == leading {
		// It cannot be while the electorate is what it was said to be. If it is not, the
		// higher token wins.
		if !e.conflict.on() {
			return
		}
		e.demote(CauseConflict, ident.NodeID{})
	}
	if e.phase == polling {
		e.rest()
	}
	fresh := !e.known.valid || e.known.id != id || e.known.term != t
	e.see(t)
	e.known = reign{id: id, term: t, valid: true}
	if e.electorate.votes(e.self, e.eligible) {
		e.known.until = e.now.Add(e.pace.promise)
	}
	e.failures, e.released, e.chosen = 0, 0, time.Time{}
	if fresh {
		e.act(Leader{ID: id, Term: t})
		if e.near(id) {
			e.spread(id) // what is heard of it otherwise is passed on where it is heard
		}
	}
}

// stated takes what a member says when a link with it comes up.
func (e *Election) stated(from ident.NodeID, r Rule) {
	e.state(from, r.Electorate)
	// A hint only, and believed only if it could be true.
	if uint64(r.Seen) <= max(uint64(e.seen), e.clock(e.now))+aheadMax && r.Seen <= TermMax {
		e.see(r.Seen)
	}
	if e.known.valid && e.known.id == from && r.Leads != e.known.term {
		e.end() // what it said at the end of its reign was lost
		e.spread(from)
	}
}

// forget ends the reign that this node knows. Who led is remembered: it stands last.
func (e *Election) forget() {
	e.known.valid = false
	if e.known.until.IsZero() || e.now.Before(e.known.until) {
		e.known.until = e.now
	}
	e.act(Leader{Term: e.known.term})
}

// freed hears that votes are given back.
func (e *Election) freed(from ident.NodeID, r Release) {
	if e.vote.to == from && e.vote.term == r.Term {
		e.vote = vote{until: e.now}
	}
	k := e.known
	if k.id != from || k.term != r.Term {
		return
	}
	if k.valid {
		e.end()
		e.spread(from)
	}
	switch r.Successor {
	case ident.NodeID{}:
	case e.self:
		e.failures, e.earliest = 0, e.now
		e.released, e.chosen = r.Term, e.now.Add(turn)
	default:
		e.earliest = later(e.earliest, e.now.Add(turn))
	}
}
