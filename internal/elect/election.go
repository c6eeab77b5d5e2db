package elect

import (
	"fmt"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

const (
	// Founding is how long a node that starts waits for a leader before it takes part in
	// choosing one. 2 s gave more than one founder in none of 4,000 runs at up to 20 %
	// loss of beacons.
	Founding = 2 * time.Second

	// Settle is how long a view must not have changed before a leader is chosen from it.
	Settle = 50 * time.Millisecond

	// SettleMax is how long a view that keeps changing can delay a choice.
	SettleMax = 150 * time.Millisecond

	// RankDelay is the head start of each member over the next in rank.
	RankDelay = 100 * time.Millisecond

	// Yield is how far apart two members take over at least, where one knows when the
	// other does: more than a claim takes to arrive.
	Yield = 25 * time.Millisecond

	// Patience is how long this node trusts that a leader, of whom members speak, will
	// be listed here as well. A healed split is one view within 2 s.
	Patience = 3 * time.Second

	// RepeatEvery is the time between two claims to a member that says something else.
	RepeatEvery = time.Second

	// RepeatMax is how many members are told again at one time; the others follow at
	// the next.
	RepeatMax = 16
)

// Config says who takes part.
type Config struct {
	Self        ident.NodeID      // this node
	Incarnation ident.Incarnation // of this node

	// Kept is the last reign that an earlier life followed, as far as it was kept on disk:
	// Term and Incarnation. This life follows no earlier one. Zero without.
	Kept Reign
}

// Election is one election at one node. After every call its actions are in
// [Election.Take] and its next wake-up is in [Election.Next].
type Election struct {
	self     ident.NodeID
	view     view
	founding time.Time // the end of the founding window; zero when it is over
	changed  time.Time // when the view changed last

	held      Reign // the last one that this node followed
	following bool  // it still does
	awaited   Reign // goes on, but its term must rise before this node can follow it
	seen      ident.Term

	eligible, fit, resigned bool

	vacant  time.Time // since when there is nobody to follow; zero if there is
	patient bool      // a leader is expected that is not listed yet
	freed   time.Time // when one was expected last, since the vacancy
	calling bool

	asked   []request // of the last RepeatEvery, at most askedMax, oldest first
	said    Claim     // to all
	repeat  time.Time // when to tell those again that say something else; zero if none do
	turn    int       // where in the view the next round of repeating begins
	actions []Action
}

// askedMax bounds the requests that a node passes on within [RepeatEvery].
const askedMax = 16

// request is an [Ask] that this node sent to all or passed on.
type request struct {
	target ident.NodeID
	term   ident.Term
	at     time.Time
}

// New returns the election of a node that starts now. Its view is of itself alone, with
// no join number, eligible and fit.
func New(now time.Time, c Config) *Election {
	self := Voter{ID: c.Self, Incarnation: c.Incarnation, Eligible: true}
	kept := Reign{Incarnation: c.Kept.Incarnation, Term: min(c.Kept.Term, TermMax)}
	return &Election{
		self:     c.Self,
		view:     newView([]Voter{self}, view{}),
		founding: now.Add(Founding),
		changed:  now,
		vacant:   now,
		held:     kept,
		seen:     kept.Term,
		eligible: true, fit: true,
	}
}

// View takes the list of all members, this node included, in any order. It panics if a
// member is in it twice or this node is not.
func (e *Election) View(now time.Time, list []Voter) {
	w := newView(list, e.view)
	me := w.index[e.self]
	if me == nil {
		//nolint:forbidigo // broken invariant: a node always is a member to itself
		panic(fmt.Sprintf("elect: view without this node %v: %+v", e.self, list))
	}
	same := w.same(e.view)
	if e.view = w; same {
		return
	}
	e.changed = now
	if e.held.Seat.ID == e.self && e.held.Seat.Join == 0 {
		e.held.Seat.Join = me.Join // it was not known when this node was elected
	}
	e.decide(now)
}

// Linked reports that a link with a member is up: it is told what this node says.
func (e *Election) Linked(now time.Time, id ident.NodeID) {
	e.act(Send{To: id, Claim: e.word()})
	e.decide(now)
}

// Receive takes the claim of a member. One of a node that is not a member, or with a
// term above [TermMax], is ignored.
func (e *Election) Receive(now time.Time, from ident.NodeID, c Claim) {
	v := e.view.index[from]
	if v == nil || from == e.self || max(c.Reign.Term, c.Last) > TermMax {
		return
	}
	if c.Reign.Leader.IsZero() {
		c.Reign = Reign{}
	}
	if c.Over {
		e.view.end(c.Reign)
	}
	c = c.plain()
	if !v.heard || !v.word.Reign.is(c.Reign) {
		v.since = now
	}
	if c.Calling && !v.word.Calling {
		v.called = now
	}
	again := c.Again
	c.Again = false
	v.word, v.heard = c, true
	e.seen = max(e.seen, c.Reign.Term, c.Last)
	e.decide(now)
	if again && !e.differs(v) {
		e.act(Send{To: from, Claim: e.said})
	}
}

// Asked takes the request of a member to hand over to a.Target. Who does not lead passes it
// on. It is ignored where nobody leads, the reign is over, or the target leads or cannot.
func (e *Election) Asked(now time.Time, from ident.NodeID, a Ask) {
	v := e.view.index[a.Target]
	if e.view.index[from] == nil || v == nil || v.Incarnation != a.Incarnation || !v.able() ||
		!e.following || e.held.Leader == a.Target || a.Term != 0 && a.Term < e.held.Term {
		return
	}
	if e.Leading() {
		e.handOver(v, Handed)
		e.decide(now)
		return
	}
	e.ask(now, from, a)
}

// ask sends a request on its way to the leader: over the link with it or, if there is none,
// to all but the one from which it came. It may come by several ways, and long after
// somebody else leads, so it names the term, and a node passes it on once.
func (e *Election) ask(now time.Time, from ident.NodeID, a Ask) {
	l := e.view.index[e.held.Leader]
	near := l == nil || !l.Far
	if near && from == e.self {
		a.To = e.held.Leader
		e.act(a)
		return
	}
	if a.Term == 0 {
		a.Term = e.held.Term
	}
	e.asked = slices.DeleteFunc(e.asked, func(r request) bool { return now.Sub(r.at) >= RepeatEvery })
	if len(e.asked) >= askedMax || slices.ContainsFunc(e.asked, func(r request) bool {
		return r.target == a.Target && r.term == a.Term
	}) {
		return
	}
	e.asked = append(e.asked, request{a.Target, a.Term, now})
	if near {
		a.To = e.held.Leader
		e.act(a)
		return
	}
	for _, v := range e.view.voters {
		if v.ID != e.self && v.ID != from && !v.Far {
			a.To = v.ID
			e.act(a)
		}
	}
}

// Promote makes target lead: the leader hands over to it, and any other node asks the
// leader to. Nil says that the request is on its way; a [Leader] reports the outcome. A
// target that leads already is left alone. Errors wrap [ErrNotMember], [ErrNotEligible]
// and [ErrNoLeader].
func (e *Election) Promote(now time.Time, target ident.NodeID) error {
	v := e.view.index[target]
	switch {
	case v == nil:
		return fmt.Errorf("%w: %v", ErrNotMember, target.Short())
	case !v.able():
		return fmt.Errorf("%w: %v", ErrNotEligible, target.Short())
	case !e.following:
		return ErrNoLeader
	case e.held.Leader == target:
		return nil
	case !e.Leading():
		e.ask(now, e.self, Ask{Target: target, Incarnation: v.Incarnation})
		return nil
	}
	e.handOver(v, Handed)
	e.decide(now)
	return nil
}

// Resign makes this node hand over to the next in rank. From then on it leads only when
// it is promoted or nobody else can lead, until it becomes fit or eligible anew or leads
// again. Errors are [ErrNotLeader] and [ErrNoSuccessor]; then nothing changed.
func (e *Election) Resign(now time.Time) error {
	if !e.Leading() {
		return ErrNotLeader
	}
	v := e.view.successor(e.self)
	if v == nil {
		return ErrNoSuccessor
	}
	e.resigned = true
	e.handOver(v, Handed)
	e.decide(now)
	return nil
}

// SetEligible says whether this node may lead; at first it may. Both this and its own
// entry in the view must say so. A leader that may not hands over, so a node that leaves
// calls it with false before it says goodbye.
func (e *Election) SetEligible(now time.Time, eligible bool) { e.set(now, &e.eligible, eligible) }

// SetFit says whether the program of this node is fit to lead; at first it is. A leader
// that is not hands over.
func (e *Election) SetFit(now time.Time, fit bool) { e.set(now, &e.fit, fit) }

func (e *Election) set(now time.Time, flag *bool, value bool) {
	if *flag == value {
		return
	}
	*flag = value
	if value {
		e.resigned = false
	}
	e.decide(now)
}

// Leading reports whether this node leads.
func (e *Election) Leading() bool { return e.following && e.held.Leader == e.self }

// Tick does what is due. A Tick before [Election.Next] does nothing.
func (e *Election) Tick(now time.Time) {
	if at, ok := e.turnDue(); ok && !now.Before(at) {
		if e.calling || e.view.rank(e.me()) == 0 {
			e.found()
		} else {
			e.calling = true
		}
	}
	if !e.repeat.IsZero() && !now.Before(e.repeat) {
		e.repeat = now.Add(RepeatEvery)
		e.tellAgain()
	}
	e.decide(now)
}

// Next returns the time of the next Tick. It reports false when there is none. Ask again
// after every other call.
func (e *Election) Next() (at time.Time, ok bool) {
	at, ok = e.turnDue()
	if !e.repeat.IsZero() && (!ok || e.repeat.Before(at)) {
		return e.repeat, true
	}
	return at, ok
}

// Take returns the actions since the last Take, in the order in which they must be
// carried out. They belong to the caller.
func (e *Election) Take() []Action {
	acts := e.actions
	e.actions = nil
	return acts
}

func (e *Election) act(a Action) { e.actions = append(e.actions, a) }

// me returns the entry of this node.
func (e *Election) me() *voter { return e.view.index[e.self] }
