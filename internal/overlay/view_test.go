package overlay_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/overlay"
)

// edges returns who is beside whom in a graph, by the first letters of their IDs. What one
// end alone says is no edge.
func edges(g overlay.Graph) (all []string) {
	for i, id := range g.IDs {
		for _, o := range g.Neighbours(i) {
			switch {
			case !slices.Contains(g.Neighbours(int(o)), uint32(i)):
				all = append(all, letter(id)+">"+letter(g.IDs[o]))
			case int(o) > i:
				all = append(all, letter(id)+letter(g.IDs[o]))
			}
		}
	}
	return all
}

func TestGraph(t *testing.T) {
	member := func(letters string) overlay.Member {
		return overlay.Member{ID: name(letters), Rings: uint8(len(letters)), Links: links(uint8(len(letters)))}
	}
	tests := []struct {
		name    string
		mesh    int
		members []overlay.Member
		want    []string
	}{
		{"nobody", 64, nil, nil},
		{"alone", 64, list("a", 4), nil},
		{"two are linked once", 1, list("ab", 4), []string{"ab"}},
		{"one ring", 1, list("adbec", 1), []string{"ab", "ae", "bc", "cd", "de"}},
		{"rings of the same order are one ring", 1, list("abcde", 4), []string{"ab", "ae", "bc", "cd", "de"}},
		{
			"each ring adds its neighbours", 1,
			[]overlay.Member{member("ab"), member("bd"), member("ca"), member("de"), member("ec")},
			[]string{"ab", "ac", "ae", "bc", "bd", "be", "cd", "de"}, // on ring 1: c a e b d
		},
		{
			"a ring is those that state it", 1,
			[]overlay.Member{member("ad"), member("b"), member("ca"), member("d"), member("eg")},
			[]string{"ab", "ac", "ae", "bc", "cd", "ce", "de"},
		},
		{"a small cluster is a full mesh", 4, list("abcd", 4), []string{"ab", "ac", "ad", "bc", "bd", "cd"}},
		{"one more is not", 4, list("abcde", 4), []string{"ab", "ae", "bc", "cd", "de"}},
		{
			"who takes few links is not in the mesh", 64, append(list("ab", 1), list("xyz", 4)...),
			[]string{"ab", "az", "bx", "xy", "xz", "yz"},
		},
		{
			"unless they are enough for all", 64, append(list("a", 2), list("bxyz", 4)...),
			[]string{"ab", "ax", "ay", "az", "bx", "by", "bz", "xy", "xz", "yz"},
		},
		{"no rings count as one", 1, list("abcd", 0), []string{"ab", "ad", "bc", "cd"}},
		{"too many as four", 4, list("abcd", 255), []string{"ab", "ac", "ad", "bc", "bd", "cd"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := edges(overlay.NewView(tt.members).Graph(tt.mesh)); !slices.Equal(got, tt.want) {
				t.Errorf("edges of %v = %v, want %v", tt.members, got, tt.want)
			}
		})
	}
}

func TestComplete(t *testing.T) {
	tests := []struct {
		name    string
		members []overlay.Member
		want    bool
	}{
		{"nobody", nil, true},
		{"alone", list("a", 1), true},
		{"as many as may be", list("abcd", 4), true},
		{"one more", list("abcde", 4), false},
		{"one takes just enough links", append(list("abc", 4), overlay.Member{ID: name("x"), Links: 3}), true},
		{"one takes too few", append(list("abc", 4), overlay.Member{ID: name("x"), Links: 2}), false},
	}
	for _, tt := range tests {
		if got := overlay.NewView(tt.members).Complete(4); got != tt.want {
			t.Errorf("%s: the mesh of %v is complete = %t, want %t", tt.name, tt.members, got, tt.want)
		}
	}
}

// TestTiesOnARingGoByID: where two members share a word, as an attacker may arrange, the
// order is that of their IDs at every node.
func TestTiesOnARingGoByID(t *testing.T) {
	var all []overlay.Member
	for _, n := range []string{"ax", "bx", "cx", "dx", "ex", "fx"} {
		all = append(all, overlay.Member{ID: name(n), Rings: 2})
	}
	v := overlay.NewView(nil)
	for _, i := range []int{2, 0, 5, 3, 1, 4} {
		v = v.With(all[i:i+1], nil)
	}
	want := []string{"ab", "af", "bc", "cd", "de", "ef"}
	if got := edges(v.Graph(1)); !slices.Equal(got, want) {
		t.Errorf("edges = %v, want %v", got, want)
	}
}

// TestViewFollowsItsChanges holds a view that was changed step by step against one that
// was made at once.
func TestViewFollowsItsChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	pool := crowd(200)
	now := map[ident.NodeID]overlay.Member{}
	v := overlay.NewView(nil)
	for step := range 400 {
		var joined []overlay.Member
		var gone []ident.NodeID
		for range r.IntN(4) {
			m := pool[r.IntN(len(pool))]
			m.Rings, m.Links = uint8(r.IntN(6)), uint16(r.IntN(8))
			joined = append(joined, m)
		}
		for range r.IntN(4) {
			gone = append(gone, pool[r.IntN(len(pool))].ID)
		}
		for _, id := range gone {
			delete(now, id)
		}
		var list []overlay.Member
		for _, m := range joined {
			now[m.ID] = m
		}
		for _, m := range now {
			list = append(list, m)
		}
		before := v.Graph(1)
		frozen := slices.Clone(edges(before))
		v = v.With(joined, gone)
		if got, want := v.Graph(1), overlay.NewView(list).Graph(1); !slices.Equal(got.IDs, want.IDs) ||
			!slices.Equal(edges(got), edges(want)) {
			t.Fatalf("step %d, joined %v, gone %v:\ngot  %v\nwant %v", step, joined, gone, edges(got), edges(want))
		}
		if v.Len() != len(now) || !slices.Equal(edges(before), frozen) {
			t.Fatalf("step %d: %d members, want %d; or the graph before it changed", step, v.Len(), len(now))
		}
	}
}

// hops returns how far everybody is from one member, sorted; -1 for who is not connected.
func hops(g overlay.Graph, from int) []int {
	far := slices.Repeat([]int{-1}, len(g.IDs))
	far[from] = 0
	for next := []int{from}; len(next) > 0; next = next[1:] {
		for _, o := range g.Neighbours(next[0]) {
			if far[o] < 0 {
				far[o] = far[next[0]] + 1
				next = append(next, int(o))
			}
		}
	}
	slices.Sort(far)
	return far
}

// near holds a graph against what the overlay is for: few links, all connected, few hops.
func near(t *testing.T, g overlay.Graph) {
	t.Helper()
	for i := range g.IDs {
		if n := len(g.Neighbours(i)); n > 8 || n < 6 {
			t.Errorf("member %d of %d has %d neighbours, want 6 to 8", i, len(g.IDs), n)
		}
	}
	worst, p99 := 0, 0
	for from := 0; from < len(g.IDs); from += 1 + len(g.IDs)/40 {
		far := hops(g, from)
		if far[0] < 0 {
			t.Fatalf("not all %d members are connected", len(g.IDs))
		}
		worst, p99 = max(worst, far[len(far)-1]), max(p99, far[len(far)*99/100])
	}
	if p99 > 8 {
		t.Errorf("99 %% of %d members are within %d hops, want 8", len(g.IDs), p99)
	}
	t.Logf("%d members: 99 %% within %d hops, the last %d hops away", len(g.IDs), p99, worst)
}

func TestManyAreAFewHopsApart(t *testing.T) {
	for _, n := range []int{100, 1000, 10_000} {
		near(t, overlay.NewView(crowd(n)).Graph(64))
	}
}

func BenchmarkViewChange(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(size(n), func(b *testing.B) {
			all := crowd(n)
			k := overlay.New(overlay.Config{Self: all[0].ID})
			v := overlay.NewView(all)
			m := all[n/2]
			without := v.With(nil, []ident.NodeID{m.ID})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%2 == 0 {
					k.View(v.With(nil, []ident.NodeID{m.ID}))
				} else {
					k.View(without.With([]overlay.Member{m}, nil))
				}
				k.Tick(start)
			}
		})
	}
}

func BenchmarkNewView(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(size(n), func(b *testing.B) {
			all := crowd(n)
			b.ReportAllocs()
			for b.Loop() {
				overlay.NewView(all)
			}
		})
	}
}

func BenchmarkGraph(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(size(n), func(b *testing.B) {
			v := overlay.NewView(crowd(n))
			b.ReportAllocs()
			for b.Loop() {
				v.Graph(64)
			}
		})
	}
}
