package fault_test

import (
	"flag"
	"hash/fnv"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/fault"
)

// times makes the simulations longer: go test ./internal/fault -fault.times=50.
var times = flag.Int("fault.times", 1, "run so many times the usual number of seeds")

// seeds runs a test of one seed many times. A failure names its seed.
func seeds(t *testing.T, count int, f func(t *testing.T, seed uint64)) {
	t.Helper()
	for seed := range uint64(count * *times) {
		f(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// expect holds that every node in by finds every node in of suspect and then dead in
// time, and that nobody finds anything else.
func expect(t *testing.T, w *network, by, of []int, suspect, dead time.Duration) {
	t.Helper()
	for _, b := range by {
		for _, o := range of {
			if b == o {
				continue
			}
			at := func(dead bool) time.Duration {
				i := slices.IndexFunc(w.verdicts, func(v verdict) bool { return v.by == b && v.of == o && v.dead == dead })
				if i < 0 {
					return time.Hour
				}
				return w.verdicts[i].at
			}
			if got := at(false); got > suspect {
				t.Errorf("%d found %d suspect after %v, want within %v", b, o, got, suspect)
			}
			if got := at(true); got > dead {
				t.Errorf("%d found %d dead after %v, want within %v", b, o, got, dead)
			}
		}
	}
	for _, v := range w.verdicts {
		if v.dead && (!slices.Contains(by, v.by) || !slices.Contains(of, v.of)) {
			t.Errorf("%v, want no such thing", v)
		}
	}
}

func numbers(from, to int) []int {
	var all []int
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

func TestKilled(t *testing.T) {
	for n, count := range map[int]int{2: 200, 3: 200, 5: 200, 16: 10} {
		seeds(t, count, func(t *testing.T, seed uint64) {
			w := newNetwork(seed, n)
			w.kill(0)
			w.run(5 * time.Second)
			expect(t, w, numbers(1, n), []int{0}, 20*time.Millisecond, 200*time.Millisecond)
		})
	}
}

func TestKilledTogether(t *testing.T) {
	seeds(t, 40, func(t *testing.T, seed uint64) {
		w := newNetwork(seed, 5)
		for n := range 4 {
			w.kill(n)
		}
		w.run(5 * time.Second)
		expect(t, w, []int{4}, numbers(0, 4), 20*time.Millisecond, 200*time.Millisecond)
	})
}

func TestCutOff(t *testing.T) {
	seeds(t, 200, func(t *testing.T, seed uint64) {
		w := newNetwork(seed, 5)
		w.cut = func(a, b int) bool { return a == 0 || b == 0 }
		w.run(5 * time.Second)
		lone := w.verdicts
		w.verdicts = slices.DeleteFunc(slices.Clone(lone), func(v verdict) bool { return v.by == 0 })
		expect(t, w, numbers(1, 5), []int{0}, time.Second, 3*time.Second)
		w.verdicts = slices.DeleteFunc(slices.Clone(lone), func(v verdict) bool { return v.by != 0 })
		expect(t, w, []int{0}, numbers(1, 5), time.Second, 3*time.Second)
	})
}

func TestSplitInHalves(t *testing.T) {
	seeds(t, 10, func(t *testing.T, seed uint64) {
		w := newNetwork(seed, 10)
		w.cut = func(a, b int) bool { return a < 5 != (b < 5) }
		w.run(5 * time.Second)
		all := w.verdicts
		w.verdicts = slices.DeleteFunc(slices.Clone(all), func(v verdict) bool { return v.by >= 5 })
		expect(t, w, numbers(0, 5), numbers(5, 10), time.Second, 3*time.Second)
		w.verdicts = slices.DeleteFunc(slices.Clone(all), func(v verdict) bool { return v.by < 5 })
		expect(t, w, numbers(5, 10), numbers(0, 5), time.Second, 3*time.Second)
	})
}

func TestPauseRemovesNobody(t *testing.T) {
	seeds(t, 200, func(t *testing.T, seed uint64) {
		w := newNetwork(seed, 5)
		w.nodes[0].until = w.now.Add(1500 * time.Millisecond)
		w.run(6 * time.Second)
		expect(t, w, nil, nil, 0, 0)
		for _, v := range w.verdicts {
			if v.by == 0 {
				t.Errorf("%v, but it was the one that was paused", v)
			}
		}
	})
}

func TestOneWayCutRemovesNobody(t *testing.T) {
	seeds(t, 10, func(t *testing.T, seed uint64) {
		w := newNetwork(seed, 5)
		// What one says does not arrive; nor, for want of acknowledgements, what the
		// other says.
		w.cut = func(a, b int) bool { return a+b == 1 }
		w.at(w.now.Add(5*time.Second), 0, func(n *node) { n.down(1) })
		w.at(w.now.Add(5*time.Second), 1, func(n *node) { n.down(0) })
		w.run(15 * time.Second)
		if len(w.verdicts) > 0 {
			t.Errorf("%v, want nothing: others reach both", w.verdicts)
		}
	})
}

// down gives up the link with p, as the kernel does after much data without an
// acknowledgement.
func (n *node) down(p int) {
	n.links[p] = 0
	n.d.LinkDown(n.net.now, idOf(p), false)
}

func TestLossRemovesNobody(t *testing.T) {
	seeds(t, 2, func(t *testing.T, seed uint64) {
		w := newNetwork(seed, 16)
		w.loss = func(int, int) float64 { return 0.1 }
		w.run(time.Minute)
		expect(t, w, nil, nil, 0, 0)
	})
}

func TestStarvedNodesRemoveNobody(t *testing.T) {
	seeds(t, 10, func(t *testing.T, seed uint64) {
		w := newNetwork(seed, 8)
		w.nodes[0].grain = 400 * time.Millisecond
		w.run(20 * time.Second)
		expect(t, w, nil, nil, 0, 0)
		for _, n := range w.nodes {
			n.grain = 100 * time.Millisecond
		}
		w.run(20 * time.Second)
		expect(t, w, nil, nil, 0, 0)
	})
}

func TestLiarRemovesNobody(t *testing.T) {
	seeds(t, 20, func(t *testing.T, seed uint64) {
		w := newNetwork(seed, 5)
		for range 30 {
			for _, refused := range []bool{true, false} {
				for of := range 5 {
					w.nodes[4].tell(tellOf(of, refused))
				}
			}
			w.run(time.Second)
		}
		if len(w.verdicts) > 0 {
			t.Errorf("%v, want nothing", w.verdicts)
		}
	})
}

func TestSeedReplays(t *testing.T) {
	run := func(seed uint64) uint64 {
		w := newNetwork(seed, 8)
		w.trace = fnv.New64a()
		w.loss = func(int, int) float64 { return 0.05 }
		w.kill(1)
		w.nodes[2].until = w.now.Add(time.Second)
		w.run(5 * time.Second)
		return w.trace.Sum64()
	}
	if a, b, c := run(1), run(1), run(2); a != b || a == c {
		t.Errorf("traces of seeds 1, 1 and 2 = %x, %x, %x, want the first two alike", a, b, c)
	}
}

func TestTrafficOfAnIdleLink(t *testing.T) {
	w := newNetwork(1, 2)
	const span = 100 * time.Second
	before := w.agenda.Added()
	var probes int
	count := func(int, int) bool { probes++; return false }
	w.cut = count // asked twice for each frame: when it leaves and when it arrives
	w.run(span)
	frames := float64(probes) / 2 / 2 / span.Seconds()
	if frames > 5 {
		t.Errorf("an idle link carries %.1f frames each way in a second (%d events), want at most 5",
			frames, w.agenda.Added()-before)
	}
	t.Logf("an idle link carries %.1f frames each way in a second", frames)
}

func tellOf(n int, refused bool) fault.Tell {
	return fault.Tell{ID: idOf(n), Incarnation: incOf(idOf(n)), Refused: refused}
}
