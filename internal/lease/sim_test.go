package lease_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// Flags of the simulation: go test ./internal/lease -lease.seeds=20000.
var (
	seedsFlag = flag.Int("lease.seeds", 300, "run so many seeds of the simulation")
	firstFlag = flag.Uint64("lease.first", 0, "begin with this seed")
)

// sizes of the simulated clusters, and leases.
var (
	sizes  = []int{3, 4, 5, 7}
	leases = []time.Duration{300 * time.Millisecond, time.Second}
)

// chaos makes a world of the seed and lets everything happen to it.
func chaos(seed uint64, prepare func(w *world)) *world {
	r := rand.New(rand.NewPCG(seed, 0))
	n := sizes[r.IntN(len(sizes))]
	rule := lease.Quorum(n)
	if r.IntN(3) == 0 {
		var ids []ident.NodeID
		for i := range n {
			ids = append(ids, name(i))
		}
		rule = lease.Voters(ids...)
	}
	w := newWorld(seed, n, rule, leases[r.IntN(len(leases))])
	if r.IntN(4) == 0 {
		w.slow = w.lease / 5 // and the longest round trip that works is half a lease
	}
	if prepare != nil {
		prepare(w)
	}
	w.start()
	for range 25 {
		w.run(w.draw(0, 2*w.lease))
		w.disturb()
		if len(w.wrong) > 0 {
			return w
		}
	}
	return w
}

// disturb does one thing to the world.
func (w *world) disturb() {
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	switch w.rand.IntN(19) {
	case 0, 1:
		sides := make([]int, len(w.nodes))
		for i := range sides {
			sides[i] = w.rand.IntN(2)
		}
		w.split(func(i int) int { return sides[i] })
	case 2: // alone
		w.split(func(i int) int { return min(1, max(i-n.index, n.index-i)) })
	case 3: // one way
		in := w.rand.IntN(2) == 0
		w.cut(func(i, j int) bool { return in && j == n.index || !in && i == n.index })
	case 4: // a bridge
		half := len(w.nodes) / 2
		w.cut(func(i, j int) bool { return i != n.index && j != n.index && (i < half) != (j < half) })
	case 5: // each has a majority of its own
		size := len(w.nodes)
		w.cut(func(i, j int) bool { d := (i - j + size) % size; return min(d, size-d) > size/4+1 })
	case 6, 7, 8:
		w.heal()
	case 9, 10:
		n.pause(w.draw(0, 4*w.lease))
	case 11:
		n.kill()
		w.after(w.draw(0, 2*w.lease), func() {
			if n.dead {
				n.restart()
			}
		})
	case 17, 18: // as soon as some node asks something
		for _, n := range w.nodes {
			n.trap = w.rand.IntN(4)
		}
	case 16: // at once, where the only one who knows of the leader's lease may be
		n.kill()
		n.start()
		for i := range w.nodes {
			w.link(n.index, i, w.draw(time.Millisecond, 30*time.Millisecond))
		}
	case 12:
		target := w.nodes[w.rand.IntN(len(w.nodes))]
		n.input(func(now time.Time) { _ = n.e.Promote(now, target.id) })
	case 13:
		for _, l := range w.leaders() {
			l.input(func(now time.Time) { _ = l.e.Resign(now) })
		}
	case 14:
		if !n.dead {
			w.setEligible(n, n.ineligible)
		}
	case 15:
		fit := w.rand.IntN(2) == 0
		n.input(func(now time.Time) { n.e.SetFit(now, fit) })
	}
}

// setEligible changes it at the node at once and in the views a little later.
func (w *world) setEligible(n *node, eligible bool) {
	n.log("eligible: %t", eligible)
	n.ineligible = !eligible
	n.input(func(now time.Time) { n.e.SetEligible(now, eligible) })
	for _, o := range w.nodes {
		w.after(w.draw(0, 50*time.Millisecond), func() {
			o.input(func(now time.Time) { o.e.View(now, o.voters()) })
		})
	}
}

// settle mends everything and waits until it must be well again.
func (w *world) settle() {
	w.heal()
	for _, n := range w.nodes {
		if n.dead {
			n.restart()
		}
		if n.ineligible {
			w.setEligible(n, true)
		}
		n.input(func(now time.Time) { n.e.SetFit(now, true) })
	}
	w.run(5*time.Second + 8*w.lease)
}

func TestChaos(t *testing.T) {
	for seed := *firstFlag; seed < *firstFlag+uint64(*seedsFlag); seed++ {
		w := chaos(seed, nil)
		w.settle()
		leader, reigns := w.only(), w.reigns()
		w.run(5 * w.lease)
		if w.only() != leader || w.reigns() != reigns {
			w.fail("L9: %d reigns after %d, though nothing happened", w.reigns(), reigns)
		}
		if w.done(t); t.Failed() {
			t.Fatalf("seed %d: go test ./internal/lease -run TestChaos -lease.first=%d -lease.seeds=1", seed, seed)
		}
	}
}

// The checker must be able to find what it looks for.
func TestChaosFindsMistakes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		first   uint64 // seed: a rare mistake shows a little above it
		prepare func(w *world)
	}{
		{"clocks at 0.8 to 1.25 of the real time", 0, func(w *world) { w.rates = [2]int64{-200_000, 250_000} }},
		{"a voter bound for nine tenths of a lease", 0, func(w *world) {
			w.plant = func(e *lease.Election) { e.Break(w.lease*9/10, w.lease*11/10) }
		}},
		{"a voter bound for a lease by its own clock", 0, func(w *world) {
			w.slow, w.plant = 200*time.Microsecond, func(e *lease.Election) { e.Break(w.lease, w.lease*11/10) }
		}},
		{"a voter that grants when it starts", 100, func(w *world) {
			w.plant = func(e *lease.Election) { e.Break(w.lease*41/40, 0) }
		}},
		{"a majority of one vote less", 0, func(w *world) {
			w.plant = func(e *lease.Election) { e.Miscount(1) }
		}},
		{"a poll that gives the vote", 0, func(w *world) {
			w.tamper = func(m *lease.Message) {
				if a, ok := (*m).(lease.Answer); ok && !a.Granted && a.Wait < w.lease/2 {
					a.Granted = true
					*m = a
				}
			}
		}},
		{"a poll answered like a claim", 0, func(w *world) {
			w.tamper = func(m *lease.Message) {
				if a, ok := (*m).(lease.Ask); ok && a.Kind == lease.Claim {
					a.Kind = lease.Poll
					*m = a
				}
			}
		}},
		{"clocks that are wrong, and no disk", 370, func(w *world) { w.wild = 10 * time.Hour }},
		{"a voter that does not wait for its disk", 880, func(w *world) { onDisk(w); w.store = (*node).hurry }},
		{"a disk that forgets", 0, func(w *world) { onDisk(w); w.store = (*node).forget }},
		{"a release that was not said", 0, func(w *world) {
			w.tamper = func(m *lease.Message) {
				if a, ok := (*m).(lease.Ask); ok && a.Kind != lease.Renew {
					a.After = w.highest
					*m = a
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := tt.first; seed < tt.first+1500; seed++ {
				if w := chaos(seed, tt.prepare); len(w.wrong) > 0 {
					t.Logf("seed %d: %v", seed, w.wrong[0])
					return
				}
			}
			t.Error("not found in 1,500 seeds")
		})
	}
}
