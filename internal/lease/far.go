package lease

import (
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// promoteEvery is the least time between two requests that one leader hand over to the same
// node, of those that this node passes on: a request comes by several ways.
const promoteEvery = time.Second

// passed is a request to hand over that this node sent or passed on.
type passed struct {
	target ident.NodeID
	term   ident.Term // of the reign that is to end
	at     time.Time
}

// near reports whether there is a link with a member. The leader asks voters itself, and
// what it says to those that it has a link with, they tell those that it has none with.
func (e *Election) near(id ident.NodeID) bool {
	v, ok := e.member(id)
	return ok && !v.Far
}

// spread tells all but from who leads, or that nobody does any more, if there are members
// that may hear it from nobody else.
func (e *Election) spread(from ident.NodeID) {
	far := false
	for _, v := range e.members {
		far = far || v.Far
	}
	if !far {
		return
	}
	m := e.word()
	for _, v := range e.members {
		if !v.Far && v.ID != from && v.ID != m.Leader {
			e.send(v.ID, m)
		}
	}
}

// word is what this node says of the reign that it knows.
func (e *Election) word() Reign {
	return Reign{Electorate: e.electorate.Tag(), Leader: e.known.id, Term: e.known.term, Over: !e.known.valid}
}

// told takes what a member says about another one that leads. A voter hears it from the
// leader itself, since what it promises depends on that; and whose link is up says it, too.
func (e *Election) told(from ident.NodeID, r Reign) {
	if _, ok := e.member(r.Leader); !ok || r.Term > TermMax || e.near(r.Leader) ||
		e.electorate.votes(e.self, e.eligible) {
		return
	}
	this := r.Leader == e.known.id && r.Term == e.known.term
	switch {
	case r.Over && this && e.known.valid:
		e.end()
		e.spread(from)
	case !r.Over && r.Term > e.ended && (r.Term > e.known.term || this && !e.known.valid):
		e.follow(r.Leader, r.Term)
		e.spread(from)
	}
}

// end ends the reign that this node knows, because its leader said so.
func (e *Election) end() {
	e.ended = e.known.term
	e.forget()
}

// pass sends a request to hand over on its way to the leader: over the link with it or, if
// there is none, to all but the one from which it came.
func (e *Election) pass(from, target ident.NodeID) {
	w := passed{target, e.known.term, e.now}
	again := e.wish.target == w.target && e.wish.term == w.term && e.now.Sub(e.wish.at) < promoteEvery
	if again && from != e.self {
		return
	}
	e.wish = w
	m := Promote{Target: target}
	if v, ok := e.member(e.known.id); !ok || !v.Far {
		e.send(e.known.id, m)
		return
	}
	for _, v := range e.members {
		if !v.Far && v.ID != from {
			e.send(v.ID, m)
		}
	}
}
