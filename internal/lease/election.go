package lease

import (
	"errors"
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// Default and limits of [Config.Lease]. Below 300 ms the fixed delays make a failover
// longer than 1.2 leases.
const (
	DefaultLease = time.Second
	LeaseMin     = 100 * time.Millisecond
	LeaseMax     = time.Minute
)

// Errors of this package, besides [ErrElectorate].
var (
	// ErrLease reports a [Config.Lease] outside its limits.
	ErrLease = errors.New("lease: bad length of the lease")

	// ErrNoLeader reports that this node knows of no leader.
	ErrNoLeader = errors.New("lease: no leader")

	// ErrNoQuorum reports that there is no leader and cannot be one, because less than a
	// majority is listed.
	ErrNoQuorum = errors.New("lease: less than a majority is there")

	// ErrNotLeader reports that this node does not lead.
	ErrNotLeader = errors.New("lease: this node does not lead")

	// ErrUnknown reports a node that is not a member, or that has no vote.
	ErrUnknown = errors.New("lease: not a member with a vote")

	// ErrIneligible reports a member that must not lead.
	ErrIneligible = errors.New("lease: not eligible")

	// ErrConflict reports that no new lease is granted while the members do not fit the
	// electorate; see [Conflict].
	ErrConflict = errors.New("lease: the members do not fit the electorate")
)

// Config says who takes part in which election.
type Config struct {
	Self        ident.NodeID      // this node
	Incarnation ident.Incarnation // of this node
	Electorate  Electorate        // the same at all nodes

	// Lease is how long a leader leads without being renewed. Zero means [DefaultLease];
	// it is the same at all nodes, within [LeaseMin] and [LeaseMax].
	Lease time.Duration

	// Ineligible says that this node must not lead; with Quorum it has no vote either.
	Ineligible bool

	// Durable says that the caller does what [Keep] asks for and tells it with
	// [Election.Kept]. Until then this node gives no vote.
	Durable bool

	// Kept is the term on disk from an earlier life: no new one is up to it. Zero without.
	Kept ident.Term
}

// phase says what the node is about.
type phase uint8

const (
	idle     phase = iota
	polling        // asks who would grant
	claiming       // asks for votes
	leading
)

// Election is one election at one node. After every call its actions are in
// [Election.Take] and its next wake-up is in [Election.Next].
type Election struct {
	self        ident.NodeID
	incarnation ident.Incarnation
	electorate  Electorate
	pace        pace
	eligible    bool
	fit         bool

	now     time.Time     // the latest that was passed in: time never goes back
	wall    time.Duration // from that time to the time of day
	guarded time.Time     // before, the node neither grants nor stands
	seen    ident.Term    // highest term seen
	disk    disk          // up to which terms votes may have been given, and may be
	vote    vote          // the last one that this node granted
	known   reign         // the last leader that it knew
	ended   ident.Term    // of the last reign of which its leader said that it is over
	wishes  []passed      // requests of the last promoteEvery, at most wishesMax, oldest first

	members  []Voter // the others, by age
	join     uint64  // of this node
	majority bool    // is listed
	foreign  map[ident.NodeID]bool
	conflict conflict

	phase    phase
	term     ident.Term // claimed or led
	number   uint64     // of the last round
	rounds   []round    // of this poll, or claim and reign: the last ones, oldest first
	replies  []reply    // to the last round of an attempt, by whom they came first
	held     []held     // votes for term
	until    time.Time  // the lease, while leading
	deadline time.Time  // of an attempt

	earliest time.Time  // to stand
	deferred time.Time  // when another was last let go first
	released ident.Term // its leader named this node as successor
	chosen   time.Time  // until then nobody else stands because of that
	failures int        // attempts in a row

	actions []Action
}

// New returns the election as a node sees it that knows no member yet. Its errors wrap
// [ErrElectorate] and [ErrLease].
func New(now time.Time, c Config) (*Election, error) {
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	if c.Lease < LeaseMin || c.Lease > LeaseMax {
		return nil, fmt.Errorf("%w: Lease is %v, want %v to %v", ErrLease, c.Lease, LeaseMin, LeaseMax)
	}
	if err := c.Electorate.check(); err != nil {
		return nil, err
	}
	p := paceOf(c.Lease)
	return &Election{
		self:        c.Self,
		incarnation: c.Incarnation,
		electorate:  c.Electorate,
		pace:        p,
		eligible:    !c.Ineligible,
		fit:         true,
		now:         now,
		guarded:     now.Add(p.guard),
		disk:        newDisk(c.Durable, c.Kept),
		foreign:     map[ident.NodeID]bool{},
	}, nil
}

// SetWall tells the time of day, which the other inputs need not: their time may be that
// of a clock with any beginning. Without it that time is taken for the time of day. It
// counts for new terms only.
func (e *Election) SetWall(now, wall time.Time) {
	e.wall = wall.Round(0).Sub(now.Round(0)) // not by the monotonic clock, which both may carry
}

// SetEligible says whether this node may lead. With Quorum it is also whether it has a
// vote. A leader that is not eligible hands over; a node that becomes eligible waits like
// one that starts, because it may take the place of one whose vote is still given.
func (e *Election) SetEligible(now time.Time, eligible bool) {
	e.enter(now)
	if eligible == e.eligible {
		return
	}
	e.eligible = eligible
	if eligible {
		e.guarded = later(e.guarded, e.now.Add(e.pace.guard))
	} else {
		e.stop(CauseIneligible)
	}
	if !e.electorate.votes(e.self, eligible) {
		e.known.until = time.Time{} // it is not asked any more
	}
	e.count()
}

// SetFit says whether the application is fit to lead. A leader that is not hands over. An
// unfit node votes.
func (e *Election) SetFit(now time.Time, fit bool) {
	e.enter(now)
	if fit == e.fit {
		return
	}
	e.fit = fit
	if !fit {
		e.stop(CauseUnfit)
	}
}

// Linked reports that a link with id came up: both ends say what they need to know.
func (e *Election) Linked(now time.Time, id ident.NodeID) {
	e.enter(now)
	r := Rule{Electorate: e.electorate.Tag(), Seen: e.seen}
	if e.phase == leading {
		r.Leads = e.term
	}
	e.send(id, r)
	if e.known.valid && e.known.id != e.self && e.known.id != id && !e.near(e.known.id) {
		e.send(id, e.word())
	}
	if e.phase != idle {
		e.send(id, e.ask()) // again in the last round, whose time is not later
	}
	// What could not be done before may be possible now.
	if e.failures > 0 {
		e.failures, e.earliest = 0, earlier(e.earliest, e.now)
	}
}

// Foreign reports that a member uses another mode for this election.
func (e *Election) Foreign(now time.Time, id ident.NodeID) {
	e.enter(now)
	e.state(id, 0)
}

// Receive takes a message of a member. The time must have been read after the message
// came. What does not make sense is ignored.
func (e *Election) Receive(now time.Time, from ident.NodeID, m Message) {
	e.enter(now)
	if from == e.self {
		return
	}
	switch m := m.(type) {
	case Rule:
		e.stated(from, m)
	case Ask:
		e.state(from, m.Electorate)
		if m.Term <= TermMax && (m.Term > 0 || m.Kind == Poll) {
			e.asked(from, m)
		}
	case Answer:
		e.state(from, m.Electorate)
		if m.Seen <= TermMax && m.Incarnation == e.incarnation {
			e.answered(from, m)
		}
	case Release:
		e.freed(from, m)
	case Reign:
		e.state(from, m.Electorate)
		e.told(from, m)
	case Promote:
		e.wished(from, m)
	}
}

// Promote asks for a leader on purpose: the leader hands over, another member passes the
// wish on to it. Nothing happens if target leads. Its errors wrap [ErrUnknown],
// [ErrIneligible], [ErrConflict], [ErrNoLeader] and [ErrNoQuorum].
func (e *Election) Promote(now time.Time, target ident.NodeID) error {
	e.enter(now)
	if err := e.mayPromote(target); err != nil {
		return err
	}
	switch {
	case !e.known.valid && !e.majority:
		return fmt.Errorf("%w: nobody to ask to hand over to %v", ErrNoQuorum, target)
	case !e.known.valid:
		return fmt.Errorf("%w: nobody to ask to hand over to %v", ErrNoLeader, target)
	case e.known.id == target: // done
	case e.phase == leading:
		e.hand(CausePromote, target)
	default:
		e.pass(e.self, Promote{Target: target})
	}
	return nil
}

// wished takes the request of a member to hand over. Who does not lead passes it on where
// not everybody has a link with the leader.
func (e *Election) wished(from ident.NodeID, m Promote) {
	switch {
	case e.mayPromote(m.Target) != nil, m.Term != 0 && m.Term < e.known.term:
	case e.phase == leading && m.Target != e.self:
		e.hand(CausePromote, m.Target)
	case e.phase != leading && e.known.valid && e.known.id != m.Target:
		e.pass(from, m)
	}
}

// Resign hands over to the oldest other member that may lead, if there is one. This node
// stands again after all others. It returns [ErrNotLeader] if it does not lead.
func (e *Election) Resign(now time.Time) error {
	e.enter(now)
	if e.phase != leading {
		return ErrNotLeader
	}
	e.stop(CauseResign)
	return nil
}

// Leading reports whether this node leads at a time that was read for this question. It
// is false from the first instruction after the lease ran out.
func (e *Election) Leading(now time.Time) bool {
	return e.phase == leading && now.Before(e.until)
}

// Lease returns the term that this node leads and when its lease runs out unless it is
// renewed. The caller asks after every call if others than its goroutine want to know.
func (e *Election) Lease() (term ident.Term, until time.Time, ok bool) {
	if e.phase != leading {
		return 0, time.Time{}, false
	}
	return e.term, e.until, true
}

// Tick does what is due.
func (e *Election) Tick(now time.Time) {
	e.enter(now)
	switch at, ok := e.standAt(); {
	case e.phase == leading && !e.now.Before(e.renewAt()):
		e.renew(false)
	case e.phase > idle && e.phase < leading && !e.now.Before(e.deadline):
		e.timeout()
	case ok && !e.now.Before(at):
		e.poll()
	}
	e.report()
}

// Next returns the time of the next Tick. It reports false when nothing is to come. Ask
// again after every other call: an input can make it earlier.
func (e *Election) Next() (at time.Time, ok bool) {
	sooner := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	switch e.phase {
	case leading:
		sooner(earlier(e.until, e.renewAt()))
	case polling, claiming:
		sooner(e.deadline)
	case idle:
		if t, may := e.standAt(); may {
			sooner(t)
		}
	}
	if e.known.expires() {
		sooner(e.known.until)
	}
	if e.conflict.changed() {
		sooner(e.conflict.since.Add(e.pace.lease))
	}
	if t, due := e.reserveAt(); due {
		sooner(t)
	}
	return at, ok
}

// Take returns the actions since the last Take, in the order in which they must be carried
// out. They belong to the caller.
func (e *Election) Take() []Action {
	acts := e.actions
	e.actions = nil
	return acts
}

func (e *Election) act(a Action)                    { e.actions = append(e.actions, a) }
func (e *Election) send(to ident.NodeID, m Message) { e.act(Send{To: to, Message: m}) }

// enter begins every input: what time has ended is over before anything else happens.
func (e *Election) enter(now time.Time) {
	e.now = later(e.now, now)
	if e.phase == leading && !e.now.Before(e.until) {
		e.demote(CauseExpired, ident.NodeID{})
	}
	if e.known.expires() && !e.now.Before(e.known.until) {
		e.forget()
	}
	e.reserve(e.taken())
}
