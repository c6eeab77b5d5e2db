package council

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// ElectionsMax is how many elections a node has open at most, and how many others it
// remembers of each member.
const ElectionsMax = 64

// Config says who this node is.
type Config struct {
	Self        ident.NodeID
	Incarnation ident.Incarnation

	// Eligible says that this node may lead, until a [Council.View] says it.
	Eligible bool

	// Kept is what is on disk of elections, by name. Nil says that there is no disk: then
	// there is no [Keep], and nothing waits for one.
	Kept map[string]Mark
}

// Mark is what a node keeps on disk of an election, so that its terms grow over all lives.
type Mark struct {
	// Term is the one that later reigns must be above. With a majority it is ahead of what
	// was in use.
	Term ident.Term

	// Leader is the incarnation that led in Term, which may go on. Zero with a majority.
	Leader ident.Incarnation
}

// Reign is a leader and its term.
type Reign struct {
	ID   ident.NodeID
	Term ident.Term
}

// election is one open election.
type election struct {
	name    string
	mode    Mode // plain
	machine machine
	willing bool  // SetEligible
	reign   Reign // zero ID: nobody leads
}

// Council is the elections of one node. After every call its actions are in
// [Council.Take] and its next wake-up is in [Council.Next].
type Council struct {
	me        Member
	kept      map[string]Mark // nil without a disk
	peers     []*peer         // by ID
	index     map[ident.NodeID]*peer
	elections []*election // by name
	clock     clock
	voters    []ident.NodeID // see Voters
	leaving   bool
	actions   []Action
}

// clock is one moment on the clock of the other inputs and on that of the day.
type clock struct{ now, wall time.Time }

// New returns a council without an election, at a node that is alone.
func New(c Config) *Council {
	return &Council{
		me:   Member{ID: c.Self, Incarnation: c.Incarnation, Eligible: c.Eligible},
		kept: maps.Clone(c.Kept),
	}
}

// Open begins to take part in an election; the empty name is that of the default one. It
// does nothing if the election is open in the same mode. Whether a name is well formed is
// up to the caller. Errors wrap [ErrName], [ErrElectorate], [ErrLease], [ErrMode] and
// [ErrElections]; then nothing changed.
func (c *Council) Open(now time.Time, name string, m Mode) error {
	if len(name) > frame.ElectionMax {
		return fmt.Errorf("%w: it has %d bytes, at most %d", ErrName, len(name), frame.ElectionMax)
	}
	m = m.plain()
	i, found := c.find(name)
	if found {
		if !c.elections[i].mode.is(m) {
			return fmt.Errorf("%w: %q", ErrMode, name)
		}
		return nil
	}
	if len(c.elections) == ElectionsMax {
		return fmt.Errorf("%w: %q would be one more than %d", ErrElections, name, ElectionsMax)
	}
	e, err := c.newElection(now, name, m)
	if err != nil {
		return err
	}
	c.elections = slices.Insert(c.elections, i, e)
	c.update(now, e)
	for _, p := range c.peers {
		if !p.linked() {
			continue
		}
		e.machine.greet(now, p.ID)
		if w := p.said[name]; w != nil {
			w.met = true // it has the election open, so it will hear this
		}
	}
	c.collect(e)
	return nil
}

func (c *Council) newElection(now time.Time, name string, m Mode) (*election, error) {
	e := &election{name: name, mode: m, willing: true}
	d := disk{durable: c.kept != nil, mark: c.kept[name]}
	if m.available() {
		e.machine = newAvailable(now, name, c.me, d)
		return e, nil
	}
	l, err := newLeased(now, name, c.me, m, d)
	if err != nil {
		return nil, err
	}
	if !c.clock.now.IsZero() {
		l.setWall(c.clock.now, c.clock.wall)
	}
	e.machine = l
	return e, nil
}

// View tells all members, this node included, in any order, whenever one of them or a link
// changes. It panics if a member is listed twice or this node is not.
func (c *Council) View(now time.Time, all []Member) {
	old := c.index
	c.peers, c.index = make([]*peer, 0, len(all)), make(map[ident.NodeID]*peer, len(all))
	var came []*peer
	listed := false
	for _, m := range all {
		if c.index[m.ID] != nil || m.ID == c.me.ID && listed {
			//nolint:forbidigo // broken invariant
			panic(fmt.Sprintf("council: %v is twice in %+v", m.ID, all))
		}
		if m.ID == c.me.ID {
			c.me, listed = m, true
			continue
		}
		p := &peer{Member: m, said: map[string]*word{}}
		before := uint64(0)
		if o := old[m.ID]; o != nil && o.Incarnation == m.Incarnation {
			p.said, before = o.said, o.Link
		}
		if m.linked() && m.Link != before {
			p.unmeet()
			came = append(came, p)
		}
		c.peers = append(c.peers, p)
		c.index[m.ID] = p
	}
	if !listed {
		//nolint:forbidigo // broken invariant: a node always is a member to itself
		panic(fmt.Sprintf("council: view without this node %v: %+v", c.me.ID, all))
	}
	byID := func(a, b *peer) int { return a.ID.Compare(b.ID) }
	slices.SortFunc(c.peers, byID)
	slices.SortFunc(came, byID)
	for _, e := range c.elections {
		c.update(now, e)
		for _, p := range came {
			e.machine.greet(now, p.ID)
		}
		c.collect(e)
	}
}

// update tells e who takes part.
func (c *Council) update(now time.Time, e *election) {
	members := []Member{c.me}
	var foreign []ident.NodeID
	for _, p := range c.peers {
		w := p.said[e.name]
		if w == nil && e.name != "" {
			continue
		}
		members = append(members, p.Member)
		if w != nil && w.leased == e.mode.available() {
			foreign = append(foreign, p.ID)
		}
	}
	e.machine.view(now, members, foreign)
	e.machine.setEligible(now, e.eligible(c.me))
	c.count()
}

// eligible reports whether this node may lead: both its record and its program say so.
func (e *election) eligible(me Member) bool { return me.Eligible && e.willing }

// Receive takes a frame of a member about an election. One of a node that is not listed is
// ignored, as is what is not about an election.
func (c *Council) Receive(now time.Time, from ident.NodeID, f frame.Frame) {
	name, leased, ok := subject(f)
	p := c.index[from]
	if !ok || p == nil {
		return
	}
	e, _ := c.election(name)
	w := p.said[name]
	if w == nil {
		if e == nil && len(p.said) >= ElectionsMax {
			return
		}
		w = &word{leased: leased}
		p.said[name] = w
		if e != nil {
			c.update(now, e)
		}
	}
	if e == nil {
		return
	}
	if w.leased == leased && leased != e.mode.available() {
		e.machine.receive(now, from, f)
	}
	if !w.met && p.linked() {
		w.met = true
		e.machine.greet(now, from)
	}
	c.collect(e)
}

// Promote makes target the leader of an election: the leader hands over, any other node
// asks it to. Nil says that the request is on its way. Nothing happens if target leads.
// Errors wrap [ErrNotOpen], [ErrNotMember], [ErrNotEligible], [ErrNoLeader], [ErrNoQuorum] and
// [ErrConflict].
func (c *Council) Promote(now time.Time, name string, target ident.NodeID) error {
	e, err := c.election(name)
	if err != nil {
		return err
	}
	err = e.machine.promote(now, target)
	c.collect(e)
	if err != nil {
		return fmt.Errorf("%w: promote %v, election %q", own(err), target.Short(), name)
	}
	return nil
}

// Resign hands over to the next member that can lead. This node then leads only when no
// other can, or is asked to. Errors wrap [ErrNotOpen], [ErrNotLeader] and
// [ErrNoSuccessor].
func (c *Council) Resign(now time.Time, name string) error {
	e, err := c.election(name)
	if err != nil {
		return err
	}
	err = e.machine.resign(now)
	c.collect(e)
	if err != nil {
		return fmt.Errorf("%w: resign, election %q", own(err), name)
	}
	return nil
}

// SetEligible says whether this node may lead the election; at first it may, as far as its
// own entry in the view says so too. A leader that may not hands over. It does nothing if
// the election is not open.
func (c *Council) SetEligible(now time.Time, name string, eligible bool) {
	if e, err := c.election(name); err == nil {
		e.willing = eligible
		e.machine.setEligible(now, e.eligible(c.me))
		c.count()
		c.collect(e)
	}
}

// Leave hands over what this node leads, because it leaves the cluster. It leads nothing of
// that again, and says so as the cause.
func (c *Council) Leave(now time.Time) {
	c.leaving = true
	for _, e := range c.elections {
		if e.reign.ID == c.me.ID {
			e.willing = false
			e.machine.setEligible(now, false)
			c.collect(e)
		}
	}
}

// SetFit says whether the program is fit to lead the election; at first it is. A leader
// that is not hands over. Where a majority votes, an unfit node votes. It does nothing if
// the election is not open.
func (c *Council) SetFit(now time.Time, name string, fit bool) {
	if e, err := c.election(name); err == nil {
		e.machine.setFit(now, fit)
		c.collect(e)
	}
}

// SetWall tells the time of day. It counts for the terms of elections with a majority, of
// those that are opened later as well. Without it the time of the other inputs is taken
// for the time of day.
func (c *Council) SetWall(now, wall time.Time) {
	c.clock = clock{now: now, wall: wall}
	for _, e := range c.elections {
		e.machine.setWall(now, wall)
	}
}

// Kept hears that m is on disk, as a [Keep] of the election asked for. It does nothing if
// the election is not open.
func (c *Council) Kept(now time.Time, name string, m Mark) {
	if e, err := c.election(name); err == nil {
		e.machine.kept(now, m)
		c.collect(e)
	}
}

// Tick does what is due. A Tick before [Council.Next] does nothing.
func (c *Council) Tick(now time.Time) {
	for _, e := range c.elections {
		if at, ok := e.machine.next(); ok && !now.Before(at) {
			e.machine.tick(now)
			c.collect(e)
		}
	}
}

// Next returns the time of the next Tick. It reports false when there is none. Ask again
// after every other call.
func (c *Council) Next() (at time.Time, ok bool) {
	for _, e := range c.elections {
		if t, due := e.machine.next(); due && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	return at, ok
}

// Take returns the actions since the last Take, in the order in which they must be carried
// out. They belong to the caller.
func (c *Council) Take() []Action {
	acts := c.actions
	c.actions = nil
	return acts
}

// collect takes over the actions of e.
func (c *Council) collect(e *election) {
	for _, a := range e.machine.take() {
		switch act := a.(type) {
		case Report:
			a = c.noted(e, act)
		case Send:
			if act.To.IsZero() && e.name != "" {
				c.toAll(e, act.Frame)
				continue
			}
		}
		c.actions = append(c.actions, a)
	}
}

// noted takes note of who leads e, and returns the report as the caller gets it: to the
// machines a node that leaves is one that may not lead any more.
func (c *Council) noted(e *election, r Report) Report {
	if r.Kind == NewLeader {
		e.reign = Reign{ID: r.Leader, Term: r.Term}
	}
	if c.leaving && (r.Kind == Demotion || r.Kind == NewLeader && r.Leader.IsZero()) {
		r.Cause = "left"
	}
	return r
}

// toAll sends f to those linked members that take part in e, which has a name: the others
// need not hear of it.
func (c *Council) toAll(e *election, f frame.Frame) {
	for _, p := range c.peers {
		if p.linked() && p.said[e.name] != nil {
			c.actions = append(c.actions, Send{To: p.ID, Frame: f})
		}
	}
}

// election returns an open election. Its error wraps [ErrNotOpen].
func (c *Council) election(name string) (*election, error) {
	i, ok := c.find(name)
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNotOpen, name)
	}
	return c.elections[i], nil
}

// find returns where in the order of names an election is or belongs.
func (c *Council) find(name string) (int, bool) {
	return slices.BinarySearchFunc(c.elections, name, func(e *election, name string) int {
		return strings.Compare(e.name, name)
	})
}
