package overlay_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/agenda"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/overlay"
)

// world is some nodes, each with a view of its own that hears of a change in its own
// time, and the links between them. A link comes up as it does in espial: the end with
// the higher ID says yes first, then the other one, which is the arbiter, rules, and each
// word takes time. Nothing is left to chance but what the seed decides.
type world struct {
	rand    *rand.Rand
	now     time.Time
	agenda  *agenda.Agenda[time.Time, func()]
	nodes   []*node
	names   map[ident.NodeID]*node
	pairs   map[[2]int]*pair
	latency time.Duration // longest, one way
	gossip  time.Duration // longest until a node hears of a change
	shared  bool          // nodes hear of changes in one order, so that they can share views
	views   []*overlay.View
	bug     bug
	moves   int           // ends of links that came up or went down
	closes  int           // links that a node closed
	slowest time.Duration // until connected
	wrong   []string
	trace   hash.Hash64 // of all that happens, if not nil
}

// bug is something that is wrong with every node, for the checks to find.
type bug int

const (
	noBug    bug = iota
	lazy         // it dials nobody after some time
	crowded      // it does not close what is over MaxPeers
	shy          // it says no although there is room
	restless     // it closes links that both ends want
	careless     // it does not say that it closed a link
)

// node is one node.
type node struct {
	w     *world
	index int
	id    ident.NodeID
	max   int // 0 for no limit
	rings uint8
	k     *overlay.Keeper
	view  *overlay.View
	seen  int // of the views of the world, where they are shared
	pairs []*pair
	links int // whose end here is up
	dead  bool
	lost  bool // dead, and nobody answers for it
	wake  time.Time
}

func newWorld(seed uint64) *world {
	return &world{
		agenda: agenda.New[time.Time, func()](time.Time.Compare),
		rand:   rand.New(rand.NewPCG(seed, 1)), now: start, pairs: map[[2]int]*pair{}, names: map[ident.NodeID]*node{},
		latency: 20 * time.Millisecond, gossip: time.Second, views: []*overlay.View{overlay.NewView(nil)},
	}
}

// add adds n nodes with a configuration. They are members of nothing yet.
func (w *world) add(n int, c overlay.Config) {
	for range n {
		p := &node{w: w, index: len(w.nodes), max: c.MaxPeers, rings: overlay.Rings(c.MaxPeers), view: w.views[0]}
		for i := range 4 {
			binary.BigEndian.PutUint64(p.id[8*i:], w.rand.Uint64())
		}
		c.Self = p.id
		p.k = overlay.New(c)
		w.nodes, w.names[p.id] = append(w.nodes, p), p
	}
}

func (n *node) member() overlay.Member {
	return overlay.Member{ID: n.id, Rings: n.rings, Links: uint16(n.max)}
}

// below returns some time up to d.
func (w *world) below(d time.Duration) time.Duration {
	return time.Duration(w.rand.Int64N(int64(d) + 1))
}

// after puts an event on the queue.
func (w *world) after(d time.Duration, do func()) {
	w.agenda.Add(w.now.Add(d), do)
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for n := 0; ; n++ {
		at, do, ok := w.agenda.Due(end)
		if !ok {
			break
		}
		if n > 1_000_000+1000*len(w.nodes) {
			w.fail("events: no end of them")
			w.agenda.Clear()
			break
		}
		w.now = at
		do()
	}
	w.now = end
}

// settle carries out what n decides and sets its timer.
func (n *node) settle() {
	w := n.w
	if n.dead {
		return
	}
	const ticksMax = 100
	for range ticksMax {
		if at, ok := n.k.Next(); !ok || at.After(w.now) {
			break
		}
		for _, a := range n.k.Tick(w.now) {
			w.note("%d: %T %v", n.index, a, a)
			switch a := a.(type) {
			case overlay.Dial:
				n.dial(w.names[a.ID])
			case overlay.Close:
				n.close(w.names[a.ID], a.Why)
			}
		}
	}
	if at, ok := n.k.Next(); ok && !at.After(w.now) {
		w.fail("ticks: no end of them at node %d", n.index)
		return
	}
	if most := cmp.Or(n.max, overlay.LinksMax); n.links > most {
		w.fail("degree: node %d has %d links, limit %d", n.index, n.links, most)
	}
	if at, ok := n.k.Next(); ok && !at.Equal(n.wake) {
		n.wake = at
		w.after(at.Sub(w.now), func() {
			if n.wake.Equal(at) {
				n.wake = time.Time{}
				n.settle()
			}
		})
	}
}

// note adds to the trace.
func (w *world) note(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%v "+format+"\n", append([]any{w.now.Sub(start)}, args...)...)
	}
}

// fail notes a broken promise.
func (w *world) fail(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf("%v ", w.now.Sub(start))+fmt.Sprintf(format, args...))
}

// join makes nodes members; leave ends that. Every node hears of it in its own time, of
// itself at once.
func (w *world) join(list ...*node) {
	w.spread(list, func(n *node, of []*node) *overlay.View { return n.view.With(members(of), nil) })
}

func (w *world) leave(list ...*node) {
	w.spread(list, func(n *node, of []*node) *overlay.View { return n.view.With(nil, ids(of)) })
}

func (w *world) spread(list []*node, change func(n *node, of []*node) *overlay.View) {
	if w.shared {
		tip := &node{view: w.views[len(w.views)-1]}
		w.views = append(w.views, change(tip, list))
		version := len(w.views) - 1
		for _, n := range w.nodes {
			w.after(w.below(w.gossip), func() {
				if n.seen = max(n.seen, version); !n.dead && n.view != w.views[n.seen] {
					n.look(w.views[n.seen])
				}
			})
		}
		return
	}
	for _, n := range w.nodes {
		for _, of := range list {
			d := w.below(w.gossip)
			if of == n {
				d = 0
			}
			w.after(d, func() {
				if !n.dead {
					n.look(change(n, []*node{of}))
				}
			})
		}
	}
}

// look gives n another view.
func (n *node) look(v *overlay.View) {
	n.view = v
	n.k.View(v)
	n.settle()
}

func members(list []*node) (all []overlay.Member) {
	for _, n := range list {
		all = append(all, n.member())
	}
	return all
}

func ids(list []*node) (all []ident.NodeID) {
	for _, n := range list {
		all = append(all, n.id)
	}
	return all
}

// alive returns the nodes that run.
func (w *world) alive() []*node {
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return n.dead })
}

// parts returns into how many parts the nodes that run fall: two are connected by a link
// whose both ends are up.
func (w *world) parts() int {
	root := make([]int, len(w.nodes))
	for i := range root {
		root[i] = i
	}
	find := func(i int) int {
		for root[i] != i {
			root[i] = root[root[i]]
			i = root[i]
		}
		return i
	}
	parts := len(w.alive())
	for key, c := range w.pairs {
		a, b := find(key[0]), find(key[1])
		if c.linked() && !c.ends[0].dead && !c.ends[1].dead && a != b {
			root[a] = b
			parts--
		}
	}
	return parts
}

// connected notes a failure unless the nodes that run are one network within limit.
func (w *world) connected(limit time.Duration) {
	const step = 100 * time.Millisecond
	for d := time.Duration(0); ; d += step {
		parts := w.parts()
		if parts == 1 {
			w.slowest = max(w.slowest, d)
			return
		}
		if d >= limit {
			w.fail("connected: %d parts after %v", parts, d)
			return
		}
		w.run(step)
	}
}

// graph returns the overlay as the nodes that run see it; they must all see the same.
func (w *world) graph() overlay.Graph {
	all := w.alive()
	for _, n := range all {
		if n.view.Len() != len(all) {
			w.fail("view: node %d sees %d members of %d", n.index, n.view.Len(), len(all))
		}
	}
	return all[0].k.Graph()
}

// quiet notes a failure if links come and go although nothing happens, or if what is there
// at the end is not what should be: the links of the overlay of all nodes that run, and
// at each of them the links that it thinks it has.
func (w *world) quiet(d time.Duration) {
	before := w.moves
	w.run(d)
	if n := w.moves - before; n > 0 {
		w.fail("quiet: %d ends of links came up or went down in %v", n, d)
	}
	for _, n := range w.alive() {
		if got := len(n.k.Peers()); got != n.links {
			w.fail("agree: node %d thinks that it has %d links, and has %d", n.index, got, n.links)
		}
	}
	for _, c := range w.pairs {
		if a, b := c.ends[0], c.ends[1]; !a.dead && !b.dead && c.up[0] != c.up[1] {
			w.fail("agree: one of nodes %d and %d has a link with the other", a.index, b.index)
		}
	}
	g := overlay.NewView(members(w.alive())).Graph(0)
	for i, id := range g.IDs {
		for _, o := range g.Neighbours(i) {
			n, p := w.names[id], w.names[g.IDs[o]]
			if c := w.between(n, p); !c.linked() {
				w.fail("overlay: nodes %d and %d are neighbours and have no link", n.index, p.index)
			}
		}
	}
}

// begin makes all nodes members that know each other, and waits for their links.
func (w *world) begin() {
	w.join(w.nodes...)
	w.run(w.gossip + 10*time.Second)
}
