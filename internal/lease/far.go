package lease

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

const (
	// promoteEvery is the least time between two requests for the same node and term that
	// this one passes on: a request comes by several ways.
	promoteEvery = time.Second

	// wishesMax bounds the requests that are passed on in that time.
	wishesMax = 16
)

// passed is a request to hand over that this node sent to all or passed on.
type passed struct {
	target ident.NodeID
	term   ident.Term
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
// there is none, to all but the one from which it came. It may come long after somebody else
// leads, so it names the term.
func (e *Election) pass(from ident.NodeID, m Promote) {
	v, ok := e.member(e.known.id)
	near := !ok || !v.Far
	if near && from == e.self {
		e.send(e.known.id, m)
		return
	}
	if m.Term == 0 {
		m.Term = e.known.term
	}
	e.wishes = slices.DeleteFunc(e.wishes, func(p passed) bool { return e.now.Sub(p.at) >= promoteEvery })
	if len(e.wishes) >= wishesMax || slices.ContainsFunc(e.wishes, func(p passed) bool {
		return p.target == m.Target && p.term == m.Term
	}) {
		return
	}
	e.wishes = append(e.wishes, passed{m.Target, m.Term, e.now})
	if near {
		e.send(e.known.id, m)
		return
	}
	for _, v := range e.members {
		if !v.Far && v.ID != from {
			e.send(v.ID, m)
		}
	}
}
