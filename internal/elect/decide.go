package elect

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// decide draws the conclusions of what has changed: whom to follow, whether to lead on,
// whether somebody is missed, and what to say about it.
func (e *Election) decide(now time.Time) {
	me := e.me()
	me.word.Unfit, me.word.Resigned = !e.eligible || !e.fit, e.resigned
	e.awaited = Reign{}
	best, ok := e.best()
	over := e.following && !e.valid(e.held)
	if over && (!ok || best.Term <= e.held.Term) {
		e.lose()
	}
	if ok && (over || !e.following || best.beats(e.held)) {
		e.meet(best)
	}
	if e.Leading() {
		e.reign()
	}
	e.watch(now, ok)
	e.speak(now)
}

// valid reports whether r can be followed. One of this node itself can if it leads, or
// if it is asked to by a reign that is not a former one of its own.
func (e *Election) valid(r Reign) bool {
	switch {
	case !e.view.has(r):
		return false
	case r.Leader == e.self:
		return e.Leading() && r.is(e.held) || r.Term > e.held.Term
	default:
		return !e.view.over(r)
	}
}

// best returns the reign that goes on of all that members follow and this node can. What a
// far member said was long ago.
func (e *Election) best() (best Reign, ok bool) {
	for _, v := range e.view.voters {
		r := v.word.Reign
		if v.ID != e.self && !v.Far && e.valid(r) && (!ok || r.beats(best)) {
			best, ok = r, true
		}
	}
	return best, ok
}

// lose ends the following of a leader that is not a member any more or says that it does
// not lead.
func (e *Election) lose() {
	e.following = false
	e.act(Leader{Term: e.held.Term, Cause: e.cause(Seat{})})
}

// cause returns why the leader that was held does not lead any more, seat being the one
// of its successor.
func (e *Election) cause(seat Seat) Cause {
	v := e.view.index[e.held.Leader]
	switch {
	case !e.view.has(e.held):
		return Gone
	case e.held.Seat == seat, v.word.Resigned:
		return Handed
	case !v.able(), v.ended >= e.held.Term:
		return Unfit
	default:
		return Merged
	}
}

// meet takes a reign that beats the one that is held, or is heard of while none is.
func (e *Election) meet(r Reign) {
	if e.Leading() && r.Leader != e.self {
		e.following = false
		e.act(Demoted{Term: e.held.Term, Cause: Merged})
		e.act(Leader{Term: e.held.Term, Cause: Merged})
		e.held.Term = max(e.held.Term, r.Term) // so that the winner goes on under a new term
	}
	if e.falls(r) {
		e.awaited = r // its term must rise, or terms would fall here
		return
	}
	e.follow(r)
}

// falls reports whether following r is not a step to a higher term. Only a reign that goes
// on has the same one: of an earlier life its incarnation is known.
func (e *Election) falls(r Reign) bool {
	return r.Term < e.held.Term || r.Term == e.held.Term && r.Incarnation != e.held.Incarnation
}

// follow makes r the reign that this node follows.
func (e *Election) follow(r Reign) {
	if e.following && r.is(e.held) {
		e.held.Seat = r.Seat // its join number has become known
		return
	}
	if r.Leader == e.self {
		e.accept(r)
		return
	}
	var cause Cause
	switch {
	case r.is(e.held):
		cause = Joined
	case e.held.Leader.IsZero():
		cause = Joined
	case r.Leader == e.held.Leader:
		cause = Merged
	default:
		cause = e.cause(r.Seat)
		if cause == Gone || cause == Unfit {
			cause = Elected
		}
	}
	e.hold(r)
	e.tell(r, cause)
}

// accept takes the leadership that another leader handed to this node, or passes it on.
func (e *Election) accept(r Reign) {
	if e.seen > r.Term && e.seen < TermMax {
		r.Term = e.seen + 1 // who handed it over had not heard of so high a term
	}
	switch {
	case e.Leading(): // on another seat, so there is no promotion
		old := e.held.Term
		e.hold(r)
		e.tell(r, Merged)
		e.act(Renewed{Old: old, New: r.Term})
	case e.me().able():
		e.lead(r, Handed)
	default:
		e.held, e.following = r, false
		e.name(e.view.successor(e.self), Unfit)
	}
}

// lead makes this node the leader.
func (e *Election) lead(r Reign, cause Cause) {
	e.resigned = false
	e.hold(r)
	e.tell(r, cause)
	e.act(Promoted{Term: r.Term, Token: r.Term})
}

// tell reports who leads.
func (e *Election) tell(r Reign, cause Cause) {
	e.act(Leader{ID: r.Leader, Incarnation: r.Incarnation, Term: r.Term, Cause: cause})
}

func (e *Election) hold(r Reign) {
	e.held, e.following = r, true
	e.seen = max(e.seen, r.Term)
	e.founding = time.Time{}
}

// found makes this node the leader because nobody else is.
func (e *Election) found() {
	me := e.me()
	e.lead(Reign{Leader: e.self, Incarnation: me.Incarnation, Seat: me.seat(), Term: e.seen + 1}, Elected)
}

// reign does what a leader must do: hand over if it cannot lead, and begin a new term when
// a member needs one to follow.
func (e *Election) reign() {
	if !e.me().able() {
		e.handOver(e.view.successor(e.self), Unfit)
		return
	}
	if last, ok := e.waiting(); !ok || last < e.held.Term || e.seen == TermMax {
		return
	}
	old := e.held.Term
	e.seen++
	e.held.Term = e.seen
	e.tell(e.held, Merged)
	e.act(Renewed{Old: old, New: e.held.Term})
}

// waiting returns the highest term above which the reign that is held must rise, so that
// all members can follow it. It reports false if they can.
func (e *Election) waiting() (last ident.Term, ok bool) {
	for _, v := range e.view.voters {
		if v.word.Waiting && v.word.Reign.is(e.held) {
			last, ok = max(last, v.word.Last), true
		}
	}
	return last, ok
}

// handOver ends the reign of this node, and v leads from now on unless it is nil.
func (e *Election) handOver(v *voter, cause Cause) {
	e.act(Demoted{Term: e.held.Term, Cause: cause})
	e.following = false
	e.name(v, cause)
}

// name makes v, unless it is nil, the next leader on the seat that is held. What members
// hear from this node is enough: v leads when it hears it.
func (e *Election) name(v *voter, cause Cause) {
	if v == nil || e.seen == TermMax {
		e.act(Leader{Term: e.held.Term, Cause: cause})
		return
	}
	r := Reign{Leader: v.ID, Incarnation: v.Incarnation, Seat: e.held.Seat, Term: e.seen + 1}
	e.hold(r)
	e.tell(r, Handed)
}

// word returns what this node says now.
func (e *Election) word() Claim {
	c := Claim{Last: e.held.Term, Unfit: !e.me().able(), Resigned: e.resigned, Calling: e.calling}
	switch {
	case !e.awaited.Leader.IsZero():
		c.Reign, c.Waiting = e.awaited, true
	case e.Leading():
		c.Reign = e.held
	case e.following:
		c.Reign = e.held
		if last, ok := e.waiting(); ok { // the leader may have no link with who waits
			c.Last, c.Waiting = max(last, c.Last), true
		}
	default:
		c.Waiting = e.patient
		if e.ended(e.held) {
			c.Reign, c.Over = e.held, true // not everybody has a link with who ended it
		}
	}
	return c
}

// ended reports whether another member is known to have ended its reign r for nobody. One
// that follows somebody else now says so itself.
func (e *Election) ended(r Reign) bool {
	if r.Leader == e.self || !e.view.has(r) {
		return false
	}
	v := e.view.index[r.Leader]
	return r.Term <= v.ended || e.view.over(r) && v.word.Reign.Leader.IsZero() && !v.word.Waiting
}

// speak tells all what is new in what this node says.
func (e *Election) speak(now time.Time) {
	w := e.word()
	news := w != e.said
	if news {
		e.said = w
		e.act(Send{Claim: w})
	}
	switch differs := slices.ContainsFunc(e.view.voters, e.differs); {
	case !differs:
		e.repeat = time.Time{}
	case news || e.repeat.IsZero():
		e.repeat = now.Add(RepeatEvery)
	}
}

// differs reports whether v is known to say something else than this node.
func (e *Election) differs(v *voter) bool {
	return v.ID != e.self && v.heard && !v.Far && !v.word.agrees(e.said)
}

// tellAgain repeats what this node says to those that say something else, some at a
// time.
func (e *Election) tellAgain() {
	n, sent := len(e.view.voters), 0
	for i := range n {
		v := e.view.voters[(e.turn+i)%n]
		if !e.differs(v) {
			continue
		}
		if sent++; sent > RepeatMax {
			e.turn = (e.turn + i) % n
			return
		}
		// Who follows a leader that has gone on to somebody else may never hear it from that
		// leader, and others wait for its term to rise.
		if r := v.word.Reign; v.ID != r.Leader && r.Leader != e.self && e.view.has(r) && e.view.over(r) {
			e.act(Send{To: v.ID, Claim: Claim{Reign: r, Last: r.Term, Over: true}})
		}
		c := e.said
		c.Again = true
		e.act(Send{To: v.ID, Claim: c})
	}
}
