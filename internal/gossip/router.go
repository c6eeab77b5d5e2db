package gossip

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Defaults and limits of [Config].
const (
	StoreMaxDefault = 16 << 20
	StoreMaxMin     = 4 * batchCost // one origin has a quarter, and the largest batch fits
	AgeMaxDefault   = time.Minute
	AgeMaxMin       = 4 * time.Second
)

// Limits of what is remembered about nodes that are no members.
const (
	// StrangersMax is how many origins are remembered of which neighbours tell and that
	// the graph does not have yet: those of the largest cluster, because a newcomer hears
	// how far they are before it has verified their records.
	StrangersMax = 16384

	// FormersMax is how many origins are remembered that the graph has no more: the numbers
	// that make a loss exact when they return.
	FormersMax = 4096
)

// Config says who this node is and how much it keeps for others.
type Config struct {
	Self        ident.NodeID
	Incarnation ident.Incarnation

	// StoreMax is how much is kept for neighbours that miss it, in bytes: a batch counts its
	// frame and [Overhead]. One origin has a quarter of it, and what waits for what comes
	// before it another quarter. Default [StoreMaxDefault], at least [StoreMaxMin].
	StoreMax int

	// AgeMax is how long it is kept. Default [AgeMaxDefault], at least [AgeMaxMin].
	AgeMax time.Duration
}

// Router decides what becomes of each batch. After every call what is to be done is in
// [Router.Take], and the time of the next [Router.Tick] in [Router.Next].
type Router struct {
	cfg    Config
	start  time.Time // digests are due at this time and each DigestInterval later
	born   time.Time // when the first link came up; zero before
	graph  *Graph
	tenure tenure  // who is in it for long
	view   uint64  // counts graphs
	self   int     // place of this node in graph, or -1
	peers  []*peer // linked, ascending by ID
	own    *origin // nil until something was published
	byKey  map[Member]*origin
	order  []*origin // all of byKey, in an order that depends on the inputs alone
	news   []*origin // that came farther since the last digest, in the order of that
	digest time.Time // when to tell them; zero if there are none

	strangers int
	formers   []*origin // those that are former or absent, by the time when they went
	sweep     time.Time // when to look for origins to forget; zero if there are none

	store  store
	timers timers
	trees  forest
	out    Actions
	ids    []ident.NodeID // what To of the actions aliases
	marks  []frame.Mark   // what List of the digests aliases
	taken  bool           // by Take, so that the next input begins anew
	stats  Stats
}

// peer is a neighbour with a link.
type peer struct {
	id      ident.NodeID
	up      time.Time     // when the link came up
	greeted bool          // it was told how far this node is
	stray   bool          // the graph does not have the link
	rtt     time.Duration // 0 until measured
	credit  bucket        // of bytes that it may pull
}

// Stats counts what happened since the start, and what is kept now.
type Stats struct {
	Batches    uint64 // that were news
	Duplicates uint64 // that were not
	Lost       uint64 // messages reported as lost

	// Strange counts batches of origins that are no members, and marks of such that were
	// beyond [StrangersMax]. Clashing counts batches that contradict what their origin
	// signed before. Refused counts batches that came before their turn when there was no
	// room to hold them, and pulls beyond what a neighbour may ask.
	Strange, Clashing, Refused uint64

	Pulls    uint64 // sent
	Timeouts uint64 // of them without an answer in time
	Trees    uint64 // derived
	Floods   uint64 // batches passed on to all neighbours for want of a tree

	Origins int // that something is remembered of
	Bytes   int // in the store
	Held    int // of Bytes, those that wait for what comes before them
}

// New returns a router that knows nobody yet.
func New(now time.Time, c Config) *Router {
	if c.StoreMax == 0 {
		c.StoreMax = StoreMaxDefault
	}
	if c.AgeMax == 0 {
		c.AgeMax = AgeMaxDefault
	}
	c.StoreMax, c.AgeMax = max(c.StoreMax, StoreMaxMin), max(c.AgeMax, AgeMaxMin)
	none := &Graph{}
	return &Router{
		cfg: c, start: now.Add(phase(c.Self)),
		graph: none, tenure: tenure{settled: none, aging: none, since: now, agingSince: now}, self: -1,
		byKey: map[Member]*origin{},
		store: store{max: c.StoreMax, age: c.AgeMax},
		trees: forest{budget: bucket{TreeRate, now}},
	}
}

// enter begins an input.
func (r *Router) enter() {
	if !r.taken {
		return
	}
	r.taken = false
	clear(r.out.Deliveries) // so that they keep no batch alive
	clear(r.out.Forwards)
	r.out = Actions{
		Deliveries: r.out.Deliveries[:0], Forwards: r.out.Forwards[:0],
		Digests: r.out.Digests[:0], Pulls: r.out.Pulls[:0], Greets: r.out.Greets[:0],
		Proofs: r.out.Proofs[:0],
	}
	r.ids, r.marks = r.ids[:0], r.marks[:0]
}

// Take returns what is to be done since the last Take. The slices are valid until the next
// call of any other method; what they point to does not change.
func (r *Router) Take() Actions {
	if r.taken {
		return Actions{}
	}
	r.taken = true
	return r.out
}

// Stats returns the figures of this moment.
func (r *Router) Stats() Stats {
	s := r.stats
	s.Origins, s.Bytes, s.Held = len(r.order), r.store.bytes, r.store.held
	return s
}

// LinkUp reports a link with a neighbour. Both greet each other on it.
func (r *Router) LinkUp(now time.Time, id ident.NodeID) {
	r.enter()
	at, known := r.peerAt(id)
	if known || id == r.cfg.Self {
		return
	}
	if r.born.IsZero() {
		r.born = now
	}
	r.peers = slices.Insert(r.peers, at, &peer{
		id: id, up: now, stray: !r.graph.linked(r.self, id), credit: bucket{pullBurst, now},
	})
	r.out.Greets = append(r.out.Greets, Greet{To: id, Greet: frame.Greet{Age: now.Sub(r.born)}})
}

// LinkDown reports that the link with a neighbour is gone. From then on it gets nothing,
// and nothing is hoped for from it.
func (r *Router) LinkDown(now time.Time, id ident.NodeID) {
	r.enter()
	at, known := r.peerAt(id)
	if !known {
		return
	}
	r.peers = slices.Delete(r.peers, at, at+1)
	for _, o := range r.order {
		if o.repair.forget(id) {
			r.settle(now, o)
		}
	}
}

// Measured tells the round trip to a neighbour, which decides how long to wait for an
// answer.
func (r *Router) Measured(id ident.NodeID, rtt time.Duration) {
	if at, known := r.peerAt(id); known {
		r.peers[at].rtt = rtt
	}
}

func (r *Router) peerAt(id ident.NodeID) (int, bool) {
	return slices.BinarySearchFunc(r.peers, id, func(p *peer, id ident.NodeID) int {
		return p.id.Compare(id)
	})
}

// Publish takes a batch of this node. What it leaves out after the numbers of the last one
// went to all members that there were, and was not signed; if it is signed later it may still
// be published, in the order of the numbers.
func (r *Router) Publish(now time.Time, b frame.Relay) {
	r.enter()
	o := r.own
	if o == nil {
		o = r.add(now, Member{r.cfg.Self, r.cfg.Incarnation}, member)
		o.begin(now, b.First-1, b.Message-1, true)
		r.own = o
	}
	if b.Last <= o.bare && b.First > o.late {
		r.late(now, r.cfg.Self, o, &b)
		return
	}
	if b.First > o.received+1 {
		r.store.clear(o, false)
		o.begin(now, b.First-1, b.Message-1, true)
		o.part, o.proven = partNone, false
	}
	if b.First != o.received+1 || !o.fits(&b) {
		//nolint:forbidigo // the caller lost count, and every node would count a loss
		panic("gossip: published numbers do not follow each other")
	}
	o.take(&b)
	r.store.keep(now, r.store.entry(o, &b))
	r.tell(now, o)
	r.forward(now, r.cfg.Self, o, &b)
}

// Tick does what is due. A Tick before [Router.Next] does nothing.
func (r *Router) Tick(now time.Time) {
	r.enter()
	for o := r.timers.due(now); o != nil; o = r.timers.due(now) {
		r.step(now, o)
	}
	if !r.digest.IsZero() && !now.Before(r.digest) {
		r.report(now)
	}
	if e := r.store.aged.first; e != nil && now.Sub(e.at) >= r.store.age {
		r.store.expire(now)
	}
	if !r.sweep.IsZero() && !now.Before(r.sweep) {
		r.clean(now)
	}
}

// Next returns the time of the next Tick. It reports false if nothing will fall due. Ask
// again after every other call: an input can make it earlier.
func (r *Router) Next() (at time.Time, ok bool) {
	earliest := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	earliest(r.digest)
	earliest(r.sweep)
	earliest(r.timers.next())
	if e := r.store.aged.first; e != nil {
		earliest(e.at.Add(r.store.age))
	}
	return at, !at.IsZero()
}
