package overlay

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// Defaults and limits of [Config].
const (
	MinPeersDefault    = 3
	FullMeshMaxDefault = 64
	LinksMax           = 1024 // links of a node that sets no limit itself
)

// Times of a [Keeper].
const (
	// Linger is how long a link that nobody here needs stays open before the end that
	// dialled it closes it: long enough for a neighbour whose link merely broke to
	// return, and for the other end to see the view that this one sees.
	Linger = 2 * time.Second

	// RetryMin and RetryMax bound the wait until a neighbour that could not be reached
	// is tried again. It doubles with each failure.
	RetryMin = time.Second
	RetryMax = 16 * time.Second

	// Patience is how long a dial, or a handshake, of which nothing is heard may take.
	Patience = 10 * time.Second

	// steady is the age of a link from which on its neighbour's failures are forgiven.
	steady = 10 * time.Second
)

// Config says who the node is and how many links it may have. A zero field means its
// default.
type Config struct {
	Self ident.NodeID

	// MinPeers is how many links the node looks for where its rings give it fewer.
	// Default [MinPeersDefault]; more than MaxPeers counts as MaxPeers.
	MinPeers int

	// MaxPeers is how many links the node has at most. Default and limit [LinksMax]; 1
	// counts as 2, for who has one link connects nobody.
	MaxPeers int

	// FullMeshMax is up to how many members everybody is linked with everybody, the same
	// at all nodes. Default [FullMeshMaxDefault].
	FullMeshMax int
}

// Rings returns the number of rings of a node with a limit of links, as its record
// states it: each ring needs two. 0 is no limit.
func Rings(maxPeers int) uint8 {
	if maxPeers == 0 {
		return RingsMax
	}
	return uint8(min(max(maxPeers/2, 1), RingsMax))
}

// Why says why a link went down.
type Why uint8

// The reasons.
const (
	Lost   Why = iota // it broke, or the other end did
	Unused            // the other end does not need it
	Full              // the other end gave it up for one that it needs more
)

// Keeper decides which links a node keeps. Its inputs are typed methods; after each of
// them [Keeper.Next] may have changed. It must be used by one goroutine.
type Keeper struct {
	self ident.NodeID
	min  int // links to look for
	max  int // links to have at most
	mesh int // members up to which all are linked

	still bool // the caller dials

	view *View
	me   uint32 // this node in view; absent if it is not
	ties []*tie // sorted by ID

	wants, seeks, dials []want // of the last decision
	dirty               bool   // an input may have changed the decision
	next                time.Time

	graph   Graph
	graphed bool // graph is that of view
}

// tie is what goes on between this node and another one.
type tie struct {
	id     ident.NodeID
	member uint32 // in the view; absent if it is not
	pinned bool

	linked  bool
	dialed  bool // by this node
	filling bool // wanted for MinPeers alone
	rank    rank // of the link
	since   time.Time
	idle    time.Time // since when it is kept for nothing; zero if it is not

	sought   bool      // a Dial is out
	admitted bool      // a handshake is under way
	until    time.Time // when that has taken too long

	spared time.Time // it gave its place to a newcomer, and is not dialled before

	passed   bool // it cannot be reached, so others are in its place
	failures int
	retry    time.Time
}

// New returns the Keeper of a node without links whose view is empty.
func New(c Config) *Keeper {
	if c.MinPeers <= 0 {
		c.MinPeers = MinPeersDefault
	}
	if c.MaxPeers <= 0 {
		c.MaxPeers = LinksMax
	}
	if c.FullMeshMax <= 0 {
		c.FullMeshMax = FullMeshMaxDefault
	}
	c.MaxPeers = min(max(c.MaxPeers, 2), LinksMax)
	return &Keeper{
		self: c.Self, min: min(c.MinPeers, c.MaxPeers), max: c.MaxPeers, mesh: c.FullMeshMax,
		view: new(View), me: absent,
	}
}

// Still says whether the caller reaches the members by itself, so that there is nothing to
// dial.
func (k *Keeper) Still(still bool) { k.still, k.dirty = still, true }

// Wants reports whether this node wants a link with id, or would if it could be reached.
func (k *Keeper) Wants(id ident.NodeID) bool {
	u := k.view.member(id)
	return u != absent && (has(k.wants, u) || has(k.seeks, u))
}

// Seeks reports whether a dial of id that this node asked for, or a handshake with it, is
// under way.
func (k *Keeper) Seeks(id ident.NodeID) bool {
	t := k.get(id)
	return t != nil && (t.sought || t.admitted)
}

// View replaces the view. One without this node wants no links.
func (k *Keeper) View(v *View) {
	k.view, k.dirty, k.graphed = v, true, false
	k.me = v.member(k.self)
	for _, t := range k.ties {
		if t.member = v.member(t.id); t.member == absent {
			t.sought, t.passed, t.failures = false, false, 0
		}
	}
}

// Pin wants a link with id, which the user named, for as long as it is a member. It
// counts toward MaxPeers and gives way to none but the neighbours on ring 0.
func (k *Keeper) Pin(id ident.NodeID) { k.pin(id, true) }

// Unpin takes Pin back.
func (k *Keeper) Unpin(id ident.NodeID) { k.pin(id, false) }

func (k *Keeper) pin(id ident.NodeID, pinned bool) {
	if id != k.self && !id.IsZero() {
		k.tie(id).pinned, k.dirty = pinned, true
	}
}

// Admit decides whether a link with id may come up, whoever dialled. Each end asks when
// it is about to say so to the other one. A no is for want of room, and id passes this
// node over for a while. After a yes the caller reports [Keeper.Up] or [Keeper.Failed]; a
// place is kept for id until then, at most for [Patience].
//
// There is room where MaxPeers is not reached, for a neighbour that this node wants
// always, for who is no member yet in the place of any but the neighbours on ring 0, and
// for anybody else in the place of a link that this node does not need: the next Tick
// after Up closes what is over MaxPeers.
func (k *Keeper) Admit(now time.Time, id ident.NodeID) bool {
	if id == k.self || id.IsZero() {
		return false
	}
	t := k.tie(id)
	k.dirty = true
	t.passed = false // it is there, after all
	if t.linked {
		return true
	}
	t.sought, t.admitted = false, false
	k.decide()
	enters := t.member == absent && k.enters()
	if !has(k.wants, t.member) && k.used() >= k.max && !k.spare() && !enters {
		return false
	}
	t.admitted, t.until = true, now.Add(Patience)
	return true
}

// used returns how many links there are and are to come up.
func (k *Keeper) used() (n int) {
	for _, t := range k.ties {
		if t.linked || t.admitted {
			n++
		}
	}
	return n
}

// spare reports whether there is a link that this node keeps for nothing.
func (k *Keeper) spare() bool {
	return slices.ContainsFunc(k.ties, func(t *tie) bool { return t.linked && t.rank == surplus })
}

// enters reports whether there is a link that gives way to a newcomer.
func (k *Keeper) enters() bool {
	kept, newcomers := 0, 0
	for _, t := range k.ties {
		if t.admitted || t.linked && t.rank < far {
			kept++
			if t.member == absent {
				newcomers++
			}
		}
	}
	return kept < k.max || k.max == 2 && newcomers == 0
}

// Up reports that the link with id is up, and whether this node dialled it. A link that
// takes the place of another one of the pair changes nothing.
func (k *Keeper) Up(now time.Time, id ident.NodeID, dialed bool) {
	if id == k.self || id.IsZero() {
		return
	}
	t := k.tie(id)
	t.sought, t.admitted, t.passed = false, false, false
	if !t.linked {
		t.linked, t.dialed, t.since = true, dialed, now
	}
	k.dirty = true
}

// Down reports that the link with id went down and why. After a [Close] it did so
// already.
func (k *Keeper) Down(now time.Time, id ident.NodeID, why Why) {
	t := k.get(id)
	if t == nil || !t.linked {
		return
	}
	k.drop(t)
	if now.Sub(t.since) >= steady {
		t.failures = 0
	}
	switch {
	case why == Unused:
	case why == Lost && t.failures == 0:
		// Others are in its place at once, and it is tried at once: most links that
		// break come back.
		t.passed, t.retry = true, now
	default:
		k.fail(now, t)
	}
}

// Failed reports that a dial of id failed, or that a handshake with it did for another
// reason than a no of this node. It says nothing where neither is under way, so it may be
// said twice.
func (k *Keeper) Failed(now time.Time, id ident.NodeID) {
	if t := k.get(id); t != nil && (t.sought || t.admitted) {
		k.fail(now, t)
	}
}

// fail passes t over for a while.
func (k *Keeper) fail(now time.Time, t *tie) {
	t.sought, t.admitted, t.passed = false, false, true
	t.retry = now.Add(min(RetryMin<<min(t.failures, 10), RetryMax))
	t.failures++
	k.dirty = true
}

// drop makes t have no link.
func (k *Keeper) drop(t *tie) {
	t.linked, t.filling, t.idle = false, false, time.Time{}
	k.dirty = true
}

// Next returns when Tick has something to do; ok is false if it has nothing until an
// input comes. The time may lie in the past.
func (k *Keeper) Next() (at time.Time, ok bool) {
	if k.dirty {
		return time.Time{}, true
	}
	return k.next, !k.next.IsZero()
}

// Peers returns with whom there is a link, sorted.
func (k *Keeper) Peers() []ident.NodeID {
	var ids []ident.NodeID
	for _, t := range k.ties {
		if t.linked {
			ids = append(ids, t.id)
		}
	}
	return ids
}

// Graph returns the overlay of the view. It is computed once for each view, when it is
// asked for.
func (k *Keeper) Graph() Graph {
	if !k.graphed {
		k.graph, k.graphed = k.view.Graph(k.mesh), true
	}
	return k.graph
}

// Complete reports whether the mesh of the view is complete: see [View.Complete].
func (k *Keeper) Complete() bool { return k.view.Complete(k.mesh) }

// full returns up to how many members this node can be linked with everybody.
func (k *Keeper) full() int { return min(k.mesh, k.max+1) }

// tie returns what goes on with id, nothing at first.
func (k *Keeper) tie(id ident.NodeID) *tie {
	i, ok := k.index(id)
	if !ok {
		k.ties = slices.Insert(k.ties, i, &tie{id: id, member: k.view.member(id)})
	}
	return k.ties[i]
}

// get returns what goes on with id, or nil.
func (k *Keeper) get(id ident.NodeID) *tie {
	if i, ok := k.index(id); ok {
		return k.ties[i]
	}
	return nil
}

func (k *Keeper) index(id ident.NodeID) (int, bool) {
	return slices.BinarySearchFunc(k.ties, id, func(t *tie, id ident.NodeID) int { return t.id.Compare(id) })
}
