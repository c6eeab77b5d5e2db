package gossip

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Budgets of the trees.
const (
	// TreesMax is how many origins have a tree at the same time. What others publish is
	// passed on to all neighbours, which costs more bytes and no time.
	TreesMax = 256

	// TreeMax is how long a tree may serve after the graph changed, since it was derived.
	TreeMax = time.Second

	// TreeRate is how many members may be looked at in a second to derive trees. It is at
	// most 5 % of a core: one member and its eight links take up to 100 ns.
	TreeRate = 500_000

	// rateInterval is the time over which the use of an origin is counted.
	rateInterval = time.Second
)

// forest is the trees of all origins.
type forest struct {
	origins []*origin // that may have a tree
	visited uint64    // members that were looked at
	budget  bucket    // of those that may be
}

// tree is this node's place in the tree of one origin.
type tree struct {
	children []ident.NodeID // ascending; those without a link are passed over
	view     uint64         // the graph that it was derived from; 0 for none
	at       time.Time      // when
	planted  bool           // in forest.origins

	count, rate int       // batches in the present interval and in the one before
	interval    time.Time // when the present one began
}

// forward passes a batch on, never back to where it came from.
func (r *Router) forward(now time.Time, from ident.NodeID, o *origin, b *frame.Relay) {
	start := len(r.ids)
	children, ok := r.children(now, o)
	for _, p := range r.peers {
		c := o.repair.of(p.id)
		switch {
		case p.id == from, p.id == o.ID:
		case c != nil && c.last >= b.Last: // it has the batch
		case ok && !p.stray && !slices.Contains(children, p.id):
		default:
			r.ids = append(r.ids, p.id)
		}
	}
	if !ok && o != r.own {
		r.stats.Floods++
	}
	if end := len(r.ids); end > start {
		r.out.Forwards = append(r.out.Forwards, Forward{To: r.ids[start:end:end], Batch: *b})
	}
}

// children returns to whom to pass on what an origin published, whether linked or not. It
// reports false if that is all neighbours: for what this node published itself, and where
// there is no tree.
func (r *Router) children(now time.Time, o *origin) ([]ident.NodeID, bool) {
	if o == r.own || o.standing != member || r.self < 0 || !r.trees.plant(now, o) {
		return nil, false
	}
	t := &o.tree
	if t.view == r.view || t.view != 0 && now.Sub(t.at) < TreeMax ||
		!r.trees.budget.afford(now, TreeRate, TreeRate) {
		return t.children, t.view != 0
	}
	root, _ := r.graph.index(o.ID)
	var visited int
	t.children, visited = r.graph.children(t.children[:0], root, r.self)
	t.view, t.at = r.view, now
	r.trees.budget.left -= visited
	r.trees.visited += uint64(visited)
	r.stats.Trees++
	return t.children, true
}

// plant counts a batch of an origin, and reports whether it may have a tree. When all are
// taken, an origin gets the one of the least used if it is used twice as much.
func (f *forest) plant(now time.Time, o *origin) bool {
	t := &o.tree
	begins := now.Sub(t.interval) >= rateInterval
	if begins {
		t.rate = t.used(now)
		t.count, t.interval = 0, now
	}
	t.count++
	switch {
	case t.planted:
		return true
	case !begins:
		return false
	case len(f.origins) == TreesMax:
		least := slices.MinFunc(f.origins, func(a, b *origin) int {
			return a.tree.used(now) - b.tree.used(now)
		})
		if n := least.tree.used(now); n > 0 && t.rate < 2*n {
			return false
		}
		f.leave(least)
	}
	t.planted = true
	f.origins = append(f.origins, o)
	return true
}

// used returns how many batches came in the present interval or in the one before,
// whichever is more.
func (t *tree) used(now time.Time) int {
	switch d := now.Sub(t.interval); {
	case d < rateInterval:
		return max(t.rate, t.count)
	case d < 2*rateInterval:
		return t.count
	default:
		return 0
	}
}

// leave takes the tree of an origin.
func (f *forest) leave(o *origin) {
	if !o.tree.planted {
		return
	}
	o.tree = tree{count: o.tree.count, rate: o.tree.rate, interval: o.tree.interval}
	f.origins = slices.DeleteFunc(f.origins, func(p *origin) bool { return p == o })
}
