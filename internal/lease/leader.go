package lease

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// hold notes a vote for this node.
func (e *Election) hold(from ident.NodeID, at time.Time) {
	i := slices.IndexFunc(e.held, func(h held) bool { return h.from == from })
	if i < 0 {
		e.held = append(e.held, held{from: from, at: at})
		return
	}
	e.held[i].at = later(e.held[i].at, at)
}

// extend sets the end of the lease: what the majority that was asked last granted.
func (e *Election) extend() {
	at := make([]time.Time, len(e.held))
	for i, h := range e.held {
		at[i] = h.at
	}
	slices.SortFunc(at, time.Time.Compare)
	e.until = at[len(at)-e.electorate.Majority()].Add(e.pace.lease)
}

// lead begins a reign.
func (e *Election) lead() {
	e.extend()
	if !e.now.Before(e.until) {
		e.fail()
		return
	}
	e.phase, e.failures, e.released, e.chosen = leading, 0, 0, time.Time{}
	e.known = reign{id: e.self, term: e.term, valid: true}
	e.act(Leader{ID: e.self, Term: e.term})
	e.act(Promoted{Term: e.term})
	e.renew(true)
}

// renewAt returns when the next round of a leader is due.
func (e *Election) renewAt() time.Time { return e.rounds[len(e.rounds)-1].at.Add(e.pace.renew) }

// renew asks for the votes again. The first round goes to all members, so that those
// without a vote know who leads; see [Election.Linked] for those who come later.
func (e *Election) renew(first bool) {
	e.begin()
	e.grant(e.self, e.incarnation, e.term)
	e.hold(e.self, e.now)
	e.extend()
	if first {
		e.toAll(e.ask())
		return
	}
	e.toVoters(e.ask())
}

// stop ends what this node is about: a leader hands over to the next.
func (e *Election) stop(c Cause) {
	switch e.phase {
	case leading:
		e.hand(c, e.next())
	case polling, claiming:
		e.fail()
	case idle:
	}
}

// next returns the oldest other member that may lead, or zero.
func (e *Election) next() ident.NodeID {
	for _, v := range e.members {
		if v.Eligible && e.electorate.votes(v.ID, true) {
			return v.ID
		}
	}
	return ident.NodeID{}
}

// mayPromote reports why id must not become leader.
func (e *Election) mayPromote(id ident.NodeID) error {
	v, ok := e.member(id)
	if id == e.self {
		v, ok = Voter{ID: id, Eligible: e.eligible}, true
	}
	switch {
	case !ok, v.Eligible && !e.electorate.votes(id, true):
		return promoteError(ErrUnknown, id)
	case !v.Eligible:
		return promoteError(ErrIneligible, id)
	case e.conflict.on():
		return promoteError(ErrConflict, id)
	}
	return nil
}

// hand ends a reign in favour of a successor, or of whoever stands first.
func (e *Election) hand(c Cause, successor ident.NodeID) {
	e.demote(c, successor)
	if !successor.IsZero() {
		e.earliest = later(e.earliest, e.now.Add(turn))
	}
}

// demote ends a reign: nothing of it is left when the votes are given back.
func (e *Election) demote(c Cause, successor ident.NodeID) {
	e.act(Demoted{Term: e.term, Cause: c})
	e.rest()
	e.takeBack()
	e.forget()
	e.toAll(Release{Term: e.term, Successor: successor})
}

// toAll sends m to every other member.
func (e *Election) toAll(m Message) {
	for _, v := range e.members {
		e.send(v.ID, m)
	}
}
