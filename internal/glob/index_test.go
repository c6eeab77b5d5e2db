package glob_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/glob"
)

func TestIndexYieldsValuesInTheOrderOfAdd(t *testing.T) {
	var x glob.Index[int]
	patterns := []string{">", "a.b", "a.*", "*.b", "a.b", "a.>", "c", ">", "*.*", "a.b.>", "*.>", "a.b"}
	var keys []glob.Key
	for i, p := range patterns {
		keys = append(keys, x.Add(p, i))
	}
	if got, want := x.Match([]int{-1}, "a.b"), []int{-1, 0, 1, 2, 3, 4, 5, 7, 8, 10, 11}; !slices.Equal(got, want) {
		t.Errorf("Match(a.b) = %v, want %v", got, want)
	}
	for _, i := range []int{0, 4, 8} {
		if !x.Remove(keys[i]) {
			t.Errorf("Remove of value %d under %q = false", i, patterns[i])
		}
		if x.Remove(keys[i]) {
			t.Errorf("a second Remove of value %d under %q = true", i, patterns[i])
		}
	}
	if got, want := x.Match(nil, "a.b"), []int{1, 2, 3, 5, 7, 10, 11}; !slices.Equal(got, want) {
		t.Errorf("Match(a.b) after three removals = %v, want %v", got, want)
	}
	if got := x.Len(); got != len(patterns)-3 {
		t.Errorf("Len = %d, want %d", got, len(patterns)-3)
	}
}

func TestTheZeroIndexAndTheZeroKey(t *testing.T) {
	var x glob.Index[string]
	if got := x.Match(nil, "a.b"); got != nil || x.Len() != 0 {
		t.Errorf("an empty Index matched %v and has %d values", got, x.Len())
	}
	if x.Remove(glob.Key{}) {
		t.Errorf("an empty Index removed the zero Key")
	}
	var y glob.Index[string]
	if stranger := y.Add("a.*", "v"); x.Remove(stranger) {
		t.Errorf("an Index removed the key of another one")
	}
}

// TestRemoveGivesEverythingBack looks inside by printing: a subscription that came and
// went must leave neither a list nor a branch behind.
func TestRemoveGivesEverythingBack(t *testing.T) {
	var x glob.Index[int]
	var keys []glob.Key
	for i := range 100 {
		for _, form := range []string{"a.item%d", "a.*.item%d", "a.item%d.*.b", "item%d.>", "a.item%d.b.>"} {
			keys = append(keys, x.Add(fmt.Sprintf(form, i%50), i))
		}
	}
	for i, key := range keys {
		if !x.Remove(key) {
			t.Fatalf("Remove of value %d = false", i)
		}
	}
	if got, want := fmt.Sprint(x), "{500 map[] {map[] [] []}}"; got != want {
		t.Errorf("an Index after 500 values were added and removed is\n%s, want\n%s", got, want)
	}
}

// TestIndexEqualsALinearScan drives an Index and a plain list with the same random
// calls; the two must never differ.
func TestIndexEqualsALinearScan(t *testing.T) {
	// Three letters and up to four words, so that most calls meet.
	pattern := rapid.StringMatching(`[ab*]([.][ab*]){0,3}([.]>)?|>|[abc]`)
	topic := rapid.StringMatching(`[abc]([.][abc]){0,4}`)
	type row struct {
		key     glob.Key
		pattern string
		value   int
	}
	rapid.Check(t, func(t *rapid.T) {
		var x glob.Index[int]
		var rows []row
		added := 0
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				p := pattern.Draw(t, "pattern")
				added++
				rows = append(rows, row{x.Add(p, added), p, added})
			},
			"remove": func(t *rapid.T) {
				if len(rows) == 0 {
					t.Skip("empty")
				}
				i := rapid.IntRange(0, len(rows)-1).Draw(t, "row")
				if !x.Remove(rows[i].key) || x.Remove(rows[i].key) {
					t.Fatalf("Remove of %q is not once true, then false", rows[i].pattern)
				}
				rows = slices.Delete(rows, i, i+1)
			},
			"match": func(t *rapid.T) {
				s := topic.Draw(t, "topic")
				var want []int
				for _, r := range rows {
					if matches(r.pattern, s) {
						want = append(want, r.value)
					}
				}
				if diff := cmp.Diff(want, x.Match(nil, s)); diff != "" {
					t.Fatalf("Match(%q) of %+v differs from the scan (-scan +index):\n%s", s, rows, diff)
				}
			},
			"": func(t *rapid.T) {
				if x.Len() != len(rows) {
					t.Fatalf("Len = %d, want %d", x.Len(), len(rows))
				}
			},
		})
	})
}

// crowd returns an Index of n values: nine in ten under a literal pattern of their
// own, the rest under wildcards that share their words.
func crowd(n int) *glob.Index[int] {
	x := &glob.Index[int]{}
	for i := range n {
		switch i % 10 {
		case 0:
			x.Add(fmt.Sprintf("orders.*.item%d", i), i)
		default:
			x.Add(fmt.Sprintf("orders.eu.item%d", i), i)
		}
	}
	x.Add("orders.>", n)
	x.Add("orders.eu.item7", n+1)
	return x
}

func TestIndexMatchAllocatesNothing(t *testing.T) {
	x := crowd(1000)
	dst := make([]int, 0, 16)
	if n := testing.AllocsPerRun(100, func() { dst = x.Match(dst[:0], "orders.eu.item7") }); n != 0 {
		t.Errorf("Match with room in dst made %v allocations, want 0", n)
	}
	if want := []int{7, 1000, 1001}; !slices.Equal(dst, want) {
		t.Errorf("Match = %v, want %v", dst, want)
	}
}

func BenchmarkIndexMatch(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x := crowd(n)
			dst := make([]int, 0, 16)
			b.ReportAllocs()
			for b.Loop() {
				if dst = x.Match(dst[:0], "orders.eu.item7"); len(dst) != 3 {
					b.Fatal(dst)
				}
			}
		})
	}
}

// BenchmarkIndexFanOut is one topic with 1,000 subscriptions under four patterns.
func BenchmarkIndexFanOut(b *testing.B) {
	var x glob.Index[int]
	for i := range 1000 {
		x.Add([]string{"a.b", "a.*", "a.>", "*.b"}[i%4], i)
	}
	dst := make([]int, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if dst = x.Match(dst[:0], "a.b"); len(dst) != 1000 {
			b.Fatal(len(dst))
		}
	}
}
