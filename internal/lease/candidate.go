package lease

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// round is one question to all voters. What is granted counts from the time of asking.
type round struct {
	number uint64
	at     time.Time
}

// reply is what a voter, this node included, answered in an attempt.
type reply struct {
	from  ident.NodeID
	yes   bool
	seen  ident.Term
	clock uint64
	free  time.Time // asking again is of use from then on; zero if it is not known
}

// held is a vote for this node.
type held struct {
	from ident.NodeID
	at   time.Time // when the round began that it was last granted in
}

// roundsKept is the number of rounds of which a late answer counts: those of a lease, three,
// and one more. Older ones could not make the lease longer.
const roundsKept = 4

// standAt returns when this node stands, unless something happens before. It reports false
// if it does not, whatever the time.
func (e *Election) standAt() (time.Time, bool) {
	if e.phase != idle || !e.eligible || !e.fit || e.conflict.on() || !e.majority ||
		!e.electorate.votes(e.self, e.eligible) || !e.reserved() {
		return time.Time{}, false
	}
	// All of these may be past: the rank counts from when nothing else was in the way.
	at := later(e.guarded, later(e.earliest, e.known.until))
	if v := e.vote; v.to != e.self && (e.released == 0 || v.term != e.released) {
		at = later(at, v.until)
	}
	if at.Before(e.chosen) {
		return at, true // nobody else is in the way
	}
	return at.Add(time.Duration(e.rank()) * rankDelay), true
}

// rank returns how many stand before this node: the older ones that may lead, the last
// leader after all others.
func (e *Election) rank() int {
	self := Voter{ID: e.self, Join: e.join}
	n := 0
	for _, v := range e.members {
		if !v.Eligible || !e.electorate.votes(v.ID, true) {
			continue
		}
		last := e.known.id == e.self
		if last || e.known.id != v.ID && byAge(v, self) < 0 {
			n++
		}
	}
	return n
}

// poll asks who would grant.
func (e *Election) poll() {
	e.phase, e.term = polling, 0
	e.begin()
	e.deadline = e.now.Add(e.pace.patience)
	e.replies = append(e.replies[:0], reply{from: e.self, yes: true, seen: e.taken(), clock: e.clock(e.now)})
	e.toVoters(e.ask())
	e.weigh()
}

// claim asks for the votes, this node's first.
func (e *Election) claim() {
	yes := slices.DeleteFunc(slices.Clone(e.replies), func(r reply) bool { return !r.yes })
	term := nextTerm(yes)
	if term <= e.taken() || term > e.disk.kept {
		e.reserve(term)
		e.fail() // this node knows of what it does not believe: others can do it
		return
	}
	e.phase, e.term = claiming, term
	e.rounds = e.rounds[:0] // a yes to the poll is no vote
	e.begin()
	e.deadline = e.now.Add(e.pace.patience)
	e.replies = append(e.replies[:0], reply{from: e.self, yes: true})
	e.grant(e.self, e.incarnation, term)
	e.held = append(e.held[:0], held{from: e.self, at: e.now})
	e.toVoters(e.ask())
	e.weigh()
}

// begin numbers a new round.
func (e *Election) begin() {
	e.number++
	if len(e.rounds) == roundsKept {
		e.rounds = slices.Delete(e.rounds, 0, 1)
	}
	e.rounds = append(e.rounds, round{number: e.number, at: e.now})
}

// kind returns what an attempt or a reign asks for.
func (e *Election) kind() Kind {
	switch e.phase {
	case polling:
		return Poll
	case claiming:
		return Claim
	default:
		return Renew
	}
}

// ask returns the question of the present round.
func (e *Election) ask() Ask {
	return Ask{
		Kind: e.kind(), Electorate: e.electorate.Tag(), Incarnation: e.incarnation, Number: e.number,
		Term: e.term, After: e.released,
	}
}

// answered takes an answer.
func (e *Election) answered(from ident.NodeID, a Answer) {
	v, ok := e.member(from)
	i := slices.IndexFunc(e.rounds, func(r round) bool { return r.number == a.Number })
	if !ok || i < 0 || e.foreign[from] || !e.electorate.votes(from, v.Eligible) {
		return
	}
	if e.phase >= claiming && a.Granted {
		e.hold(from, e.rounds[i].at)
	}
	switch e.phase {
	case polling, claiming:
		if slices.ContainsFunc(e.replies, func(r reply) bool { return r.from == from }) {
			return
		}
		r := reply{from: from, yes: a.Granted, seen: a.Seen}
		if a.Clock <= TermMax {
			r.clock = a.Clock
		}
		if a.Wait > 0 {
			r.free = e.now.Add(min(max(a.Wait, againMin), 2*e.pace.lease))
		}
		e.replies = append(e.replies, r)
		e.weigh()
	case leading:
		e.extend()
	case idle:
	}
}

// weigh goes on with an attempt as far as the replies allow.
func (e *Election) weigh() {
	yes := 0
	for _, r := range e.replies {
		if r.yes {
			yes++
		}
	}
	need, open := e.electorate.Majority(), 1+e.voters()-len(e.replies)
	switch {
	case yes >= need && e.phase == polling:
		e.claim()
	case yes >= need:
		e.lead()
	case e.phase == polling:
		// Some may never answer, so it asks again as soon as that is of use.
		if free, ok := e.freeAt(need); ok {
			e.deadline = earlier(e.deadline, free)
		}
	case yes+open < need:
		e.fail()
	}
}

// freeAt returns when so many of those who replied will be free.
func (e *Election) freeAt(need int) (time.Time, bool) {
	var free []time.Time
	for _, r := range e.replies {
		if r.yes || !r.free.IsZero() {
			free = append(free, r.free)
		}
	}
	if len(free) < need {
		return time.Time{}, false
	}
	slices.SortFunc(free, time.Time.Compare)
	return free[need-1], true
}

// timeout ends an attempt that did not get what it needs in time.
func (e *Election) timeout() {
	free, ok := e.freeAt(e.electorate.Majority())
	if e.phase == claiming || !ok {
		e.fail()
		return
	}
	e.rest()
	e.earliest = later(e.earliest, free)
	if at, ok := e.standAt(); ok && !e.now.Before(at) {
		e.poll()
	}
}

// fail gives an attempt up. The next one is later each time, at most by a lease, and by a
// part that differs from node to node, so that two do not collide for ever.
func (e *Election) fail() {
	if e.phase == claiming {
		e.takeBack()
		e.toVoters(Release{Term: e.term})
	}
	e.rest()
	e.released, e.chosen = 0, time.Time{}
	spread := time.Duration(e.self[e.failures%len(e.self)]) * rankDelay / 256
	wait := min(e.pace.patience<<min(e.failures, 2), e.pace.lease)
	if e.failures == 0 {
		wait = 0
	}
	e.failures++
	e.earliest = e.now.Add(wait + spread)
}

// rest ends an attempt or a reign.
func (e *Election) rest() {
	e.phase = idle
	e.rounds, e.replies, e.held = e.rounds[:0], e.replies[:0], e.held[:0]
}

// toVoters sends m to every other voter that is listed.
func (e *Election) toVoters(m Message) {
	for _, v := range e.members {
		if e.electorate.votes(v.ID, v.Eligible) {
			e.send(v.ID, m)
		}
	}
}
