package gossip_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

func TestForward(t *testing.T) {
	quiet := func(s *script) *script { return s.silent("hail tell deliver pull") }
	t.Run("a child without a link is passed over", func(t *testing.T) {
		s := quiet(newScript(t, around, "abd"))
		s.get('a', s.batch('x', 1)).want("0 forward x 1-1 to d")
		s.link('c').get('a', s.batch('x', 1)).want("0 forward x 2-2 to cd")
		s.do(func(r *gossip.Router, now time.Time) { r.LinkDown(now, name('d')) })
		s.get('a', s.batch('x', 1)).want("0 forward x 3-3 to c")
	})
	t.Run("a node that is in no graph passes everything on to all", func(t *testing.T) {
		s := quiet(newScript(t, "xa xb ab", "abcd"))
		s.get('a', s.batch('x', 1)).want("0 forward x 1-1 to bcd")
	})
	t.Run("a node that the tree does not reach passes nothing on", func(t *testing.T) {
		s := quiet(newScript(t, "xa xb ab sc sd", "acd"))
		s.get('a', s.batch('x', 1)).want()
	})
	t.Run("a neighbour whose link the graph does not have gets everything", func(t *testing.T) {
		s := quiet(newScript(t, around, "abcdx").link('e'))
		s.get('a', s.batch('x', 1)).want("0 forward x 1-1 to cde")
		s.sees(around+" es").to(2000).get('a', s.batch('x', 1)).want("2000 forward x 2-2 to cde")
		s.sees(around+" es ea").to(4000).get('a', s.batch('x', 1)).want("4000 forward x 3-3 to cd")
	})
	t.Run("what a former member left goes to all, but not to itself, nor back", func(t *testing.T) {
		s := quiet(newScript(t, around, "abcdx"))
		s.get('a', s.batch('x', 1)).skip().sees("ab as bs sc sd").get('b', s.batch('x', 1))
		s.want("0 forward x 2-2 to acd")
	})
	t.Run("a tree serves for a second after the graph changed, and not longer", func(t *testing.T) {
		s := quiet(newScript(t, around, "abcd"))
		s.get('a', s.batch('x', 1)).want("0 forward x 1-1 to cd")
		s.sees("xa xb as bs sc sd ab xd").to(999).get('a', s.batch('x', 1)).want("999 forward x 2-2 to cd")
		s.to(1000).get('a', s.batch('x', 1)).want("1000 forward x 3-3 to c")
		if n := s.r.Stats().Trees; n != 2 {
			t.Errorf("%d trees were derived, want 2", n)
		}
	})
	t.Run("an old tree serves until the graph changes", func(t *testing.T) {
		s := quiet(newScript(t, around, "abcd"))
		s.get('a', s.batch('x', 1)).to(100_000).get('a', s.batch('x', 1)).skip()
		if n := s.r.Stats().Trees; n != 1 {
			t.Errorf("%d trees were derived, want 1", n)
		}
		s.sees("xa xb as bs sc sd ab xd").get('a', s.batch('x', 1)).want("100000 forward x 3-3 to c")
	})
}

// Whoever has the same graph derives the same tree: together their children are each member
// but the origin, once.
func TestTheTreeIsTheSameEverywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 60).Draw(t, "members")
		members := make([]gossip.Member, n)
		for i := range members {
			members[i] = gossip.Member{ID: ident.IDOf([]byte{byte(rapid.IntRange(0, 255).Draw(t, "salt")), byte(i)})}
		}
		slices.SortFunc(members, byID)
		g := rings(members)
		root := rapid.IntRange(0, n-1).Draw(t, "origin")
		parent := map[ident.NodeID]int{}
		for self := range n {
			children, _ := g.Children(nil, root, self)
			if !slices.IsSortedFunc(children, ident.NodeID.Compare) {
				t.Fatalf("children %v of %d are not in order", children, self)
			}
			for _, id := range children {
				if by, twice := parent[id]; twice {
					t.Fatalf("%s is a child of %d and of %d", id.Short(), by, self)
				}
				parent[id] = self
			}
		}
		if _, child := parent[members[root].ID]; child || len(parent) != n-1 {
			t.Fatalf("%d of %d members have a parent, the origin: %t", len(parent), n, child)
		}
	})
}

// Beyond 256 origins the least used have no tree.
func TestTheLeastUsedOriginsAreFlooded(t *testing.T) {
	s := newStage(t, 1000)
	s.r.View(s.now, s.graph)
	busy := make([]int, 300)
	floods := func() (n int) {
		before := s.r.Stats().Floods
		for i := range busy {
			b := s.writers[i].batch(piece{count: 1})
			s.feed(&b)
		}
		return int(s.r.Stats().Floods - before)
	}
	// One round each second.
	second := func(times int) (n int) {
		end := s.now.Add(1100 * time.Millisecond)
		for range times {
			n += floods()
		}
		for s.now.Before(end) {
			s.now = s.now.Add(100 * time.Millisecond)
			s.r.Tick(s.now)
			s.r.Take()
		}
		return n
	}
	if n := second(1); n != len(busy)-gossip.TreesMax {
		t.Errorf("%d of %d origins are flooded, want %d", n, len(busy), len(busy)-gossip.TreesMax)
	}
	second(1)
	if n := second(1); n != len(busy)-gossip.TreesMax {
		t.Errorf("after a while %d of %d origins are flooded, want %d", n, len(busy), len(busy)-gossip.TreesMax)
	}
	// Now one of those that have none is used more than the others.
	last := s.writers[len(busy)-1]
	before := s.r.Stats().Floods
	for range 30 {
		b := last.batch(piece{count: 1})
		s.feed(&b)
	}
	if n := s.r.Stats().Floods - before; n != 30 {
		t.Errorf("%d of 30 batches are flooded at first, want all", n)
	}
	second(1)
	before = s.r.Stats().Floods
	for range 30 {
		b := last.batch(piece{count: 1})
		s.feed(&b)
	}
	if n := s.r.Stats().Floods - before; n != 0 {
		t.Errorf("%d of 30 batches of the most used origin are flooded a second later, want none", n)
	}
}

// Deriving trees has a budget: what it does not cover is served by old trees, or flooded.
func TestTreesHaveABudget(t *testing.T) {
	const n = 10_000
	s := newStage(t, n)
	other := rings(s.graph.Members[1:])
	derived := func() uint64 { return s.r.Stats().Trees }
	round := func() {
		for i := range gossip.TreesMax {
			b := s.writers[i+1].batch(piece{count: 1})
			s.feed(&b)
		}
	}
	round()
	first := derived()
	if most := uint64(gossip.TreeRate/1000 + 1); first == 0 || first > most { // no tree looks at fewer
		t.Errorf("%d trees were derived at once, want %d at most", first, most)
	}
	if s.r.Stats().Floods != gossip.TreesMax-first {
		t.Errorf("%d batches were flooded for want of a tree, want %d", s.r.Stats().Floods, gossip.TreesMax-first)
	}
	// The graph changes all the time: ten seconds of it.
	var budget float64
	for i := range 1000 {
		s.now = s.now.Add(10 * time.Millisecond)
		s.r.View(s.now, []*gossip.Graph{s.graph, other}[i%2])
		if i%25 == 0 {
			round()
		}
		budget += gossip.TreeRate / 100
	}
	members := s.r.Spent()
	if float64(members) > budget+gossip.TreeRate+n {
		t.Errorf("%d members were looked at in 10 s, want %.0f at most", members, budget+gossip.TreeRate)
	}
	if float64(members) < budget/2 {
		t.Errorf("%d members were looked at in 10 s, of a budget of %.0f", members, budget)
	}
}
