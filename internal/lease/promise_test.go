package lease_test

import (
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// seeds runs a test with seeds 0 to 19 and names the one that fails.
func seeds(t *testing.T, f func(seed uint64) *world) {
	t.Helper()
	for seed := range uint64(20) {
		if f(seed).done(t); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// quorum makes a world of n nodes with a lease of 1 s.
func quorum(seed uint64, n int) *world { return newWorld(seed, n, lease.Quorum(n), time.Second) }

// led makes a world with a leader.
func led(seed uint64, n int) (*world, *node) {
	w := quorum(seed, n).start()
	w.run(3 * time.Second)
	return w, w.only()
}

// last returns when the last reign began.
func (w *world) last() (at time.Duration) {
	for _, n := range w.nodes {
		if n != nil && len(n.elected) > 0 {
			at = max(at, n.elected[len(n.elected)-1])
		}
	}
	return at
}

// without separates some nodes from the others.
func without(nodes ...*node) func(i int) int {
	return func(i int) int {
		if slices.ContainsFunc(nodes, func(n *node) bool { return n.index == i }) {
			return 1
		}
		return 0
	}
}

func TestFirstLeader(t *testing.T) {
	for _, n := range sizes {
		seeds(t, func(seed uint64) *world {
			w, leader := led(seed, n)
			w.within("a leader", 0, w.last(), 1500*time.Millisecond)
			w.run(time.Minute)
			if w.only() != leader || w.reigns() != 1 {
				w.fail("L9: %d reigns in a minute of peace", w.reigns())
			}
			return w
		})
	}
}

// B16: 2 + 2 + 1 that have been running for a while, and meet.
func TestNoLeaderBeforeAMajorityMeets(t *testing.T) {
	seeds(t, func(seed uint64) *world {
		w := quorum(seed, 5)
		w.split(func(i int) int { return i / 2 })
		w.start().run(20 * time.Second)
		if w.reigns() > 0 {
			w.fail("a leader, though no three can talk")
		}
		w.split(func(i int) int { return i / 4 })
		healed := w.now
		w.run(5 * time.Second)
		if len(w.leaders()) != 1 {
			w.fail("%v lead, want one", w.leaders())
		}
		w.within("a leader", healed+time.Second, w.last(), 1500*time.Millisecond) // links are back within 1 s
		return w
	})
}

func TestFailover(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(w *world, n *node)
	}{
		{"killed", func(_ *world, n *node) { n.kill() }},
		{"cut off", func(w *world, n *node) { w.split(without(n)) }},
		{"paused", func(_ *world, n *node) { n.pause(10 * time.Second) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range sizes {
				seeds(t, func(seed uint64) *world {
					w, leader := led(seed, n)
					w.run(w.draw(0, time.Second))
					since := w.now
					tt.end(w, leader)
					w.run(4 * time.Second)
					w.within("the next leader", since, w.last(), 1200*time.Millisecond)
					if w.reigns() != 2 {
						w.fail("%d reigns, want 2", w.reigns())
					}
					return w
				})
			}
		})
	}
}

// B05: the side of the leader is the smaller one. It stops before another begins, and the
// heal disturbs nobody.
func TestSplitAndHeal(t *testing.T) {
	seeds(t, func(seed uint64) *world {
		w, leader := led(seed, 5)
		other := w.nodes[(leader.index+1)%5]
		w.split(without(leader, other))
		w.run(time.Minute)
		if len(leader.demoted) != 1 || leader.demoted[0].Cause != lease.CauseExpired {
			w.fail("%v: %+v, want one demotion because its lease ran out", leader, leader.demoted)
		}
		all := w.leaders()
		if len(all) != 1 || all[0] == leader || all[0] == other || w.reigns() != 2 {
			w.fail("%v lead after %d reigns, want one of the three in the second", all, w.reigns())
		}
		for _, n := range []*node{leader, other} {
			if !n.leader.ID.IsZero() || n.lost != 1 {
				w.fail("%v sees %+v and lost the quorum %d times, want nobody and once", n, n.leader, n.lost)
			}
		}
		w.heal()
		w.run(5 * time.Second)
		if w.only() != all[0] || w.reigns() != 2 {
			w.fail("L9: %d reigns after the heal, want 2", w.reigns())
		}
		return w
	})
}

// B06: halves of an even number.
func TestNoLeaderInHalves(t *testing.T) {
	seeds(t, func(seed uint64) *world {
		w, _ := led(seed, 4)
		w.split(func(i int) int { return i / 2 })
		w.run(time.Minute)
		if all := w.leaders(); len(all) > 0 || w.reigns() != 1 {
			w.fail("%v lead after %d reigns, want nobody", all, w.reigns())
		}
		for _, n := range w.nodes {
			if n.lost != 1 || !n.leader.ID.IsZero() {
				w.fail("%v lost the quorum %d times and sees %+v", n, n.lost, n.leader)
			}
		}
		w.heal()
		w.run(5 * time.Second)
		w.only()
		return w
	})
}

// B09: the first question after a pause is answered with no, before any input.
func TestPauseAcrossTheEndOfTheLease(t *testing.T) {
	seeds(t, func(seed uint64) *world {
		w, leader := led(seed, 5)
		leader.pause(30 * time.Second)
		w.run(30*time.Second - 1)
		if leader.e.Leading(leader.clock()) {
			w.fail("%v leads after a pause", leader)
		}
		if leader.reign == 0 {
			w.fail("%v did something during its pause", leader)
		}
		w.run(5 * time.Second)
		if len(leader.demoted) != 1 || w.reigns() != 2 || w.only() == leader {
			w.fail("%v after its pause: %+v, %d reigns", leader, leader.demoted, w.reigns())
		}
		return w
	})
}

// A pause that is shorter than the lease ends nothing.
func TestPauseWithinTheLease(t *testing.T) {
	seeds(t, func(seed uint64) *world {
		w, leader := led(seed, 5)
		leader.pause(600 * time.Millisecond)
		w.run(5 * time.Second)
		if w.only() != leader || w.reigns() != 1 {
			w.fail("%d reigns, want 1", w.reigns())
		}
		return w
	})
}

// B11: nothing reaches the leader, all that it says arrives.
func TestDeafLeaderStepsDown(t *testing.T) {
	seeds(t, func(seed uint64) *world {
		w, leader := led(seed, 5)
		since := w.now
		w.cut(func(_, j int) bool { return j == leader.index })
		w.run(1020 * time.Millisecond)
		if leader.reign != 0 {
			w.fail("%v leads on though it is deaf", leader)
		}
		w.run(2 * time.Second)
		// What it said until then was heard.
		w.within("the next leader", since, w.last(), 2200*time.Millisecond)
		if w.reigns() != 2 {
			w.fail("%d reigns, want 2", w.reigns())
		}
		return w
	})
}

// B15: the only one that knows of the lease starts again.
func TestVoterThatRestartsGrantsNothing(t *testing.T) {
	seeds(t, func(seed uint64) *world {
		w, leader := led(seed, 3)
		bridge, other := w.nodes[(leader.index+1)%3], w.nodes[(leader.index+2)%3]
		w.split(without(other))
		w.run(5 * time.Second) // other has no vote given
		w.split(without(leader))
		bridge.kill()
		bridge.start()
		started := w.now
		w.link(bridge.index, other.index, 1)
		w.run(1088 * time.Millisecond) // 1.1 leases of the fastest clock
		if w.reigns() != 1 {
			w.fail("a reign %v after the voter started", w.last()-started)
		}
		w.run(time.Second)
		if w.reigns() != 2 {
			w.fail("%d reigns, want 2: the guard is over", w.reigns())
		}
		return w
	})
}

// B18: three of five vanish for good.
func TestLostQuorum(t *testing.T) {
	seeds(t, func(seed uint64) *world {
		w, leader := led(seed, 5)
		for i := 1; i < 4; i++ {
			w.nodes[(leader.index+i)%5].kill()
		}
		w.run(time.Minute)
		rest := []*node{leader, w.nodes[(leader.index+4)%5]}
		for _, n := range rest {
			if n.lost != 1 || !n.leader.ID.IsZero() || n.reign != 0 {
				w.fail("%v lost the quorum %d times and sees %+v", n, n.lost, n.leader)
			}
		}
		w.nodes[(leader.index+1)%5].restart()
		w.run(3 * time.Second)
		if len(w.leaders()) != 1 || w.reigns() != 2 {
			w.fail("%v lead after %d reigns, want one in the second", w.leaders(), w.reigns())
		}
		return w
	})
}

// B26: the votes are given, the answers are lost.
func TestClaimThatWasGrantedUnheard(t *testing.T) {
	seeds(t, func(seed uint64) *world {
		w := quorum(seed, 3)
		var asked time.Duration
		var claimant *node
		w.tamper = func(m *lease.Message) {
			a, ok := (*m).(lease.Ask)
			if !ok || a.Kind != lease.Claim || claimant != nil {
				return
			}
			i := slices.IndexFunc(w.nodes, func(n *node) bool { return n.inc == a.Incarnation })
			asked, claimant = w.now, w.nodes[i]
			w.after(0, func() { w.split(without(claimant)) }) // the claims are on their way
		}
		w.start().run(5 * time.Second)
		if claimant == nil || len(claimant.elected) > 0 {
			w.fail("%v claimed and was promoted", claimant)
		}
		if at := w.last(); w.reigns() != 1 || at < asked+time.Second {
			w.fail("%d reigns, the first %v after the votes were given to another", w.reigns(), at-asked)
		}
		w.heal()
		w.run(5 * time.Second)
		if w.only(); w.reigns() != 1 {
			w.fail("L9: %d reigns after the heal", w.reigns())
		}
		return w
	})
}

// B28: Quorum(5) says that no more than five run. A sixth that starts on the smaller side
// of a split makes a second leader: the documented limit. When the sides meet there is a
// conflict, and the higher token remains. With Voters there is none of it.
func TestSixthNodeInTheMinority(t *testing.T) {
	var ids []ident.NodeID
	for i := range 5 {
		ids = append(ids, name(i))
	}
	for _, tt := range []struct {
		name string
		rule lease.Electorate
		want int
	}{
		{"Quorum", lease.Quorum(5), 2},
		{"Voters", lease.Voters(ids...), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(1, 6, tt.rule, time.Second)
			w.crowd = tt.want > 1
			for i := range 5 {
				w.add(i)
			}
			w.linkAll(0)
			w.run(3 * time.Second)
			leader := w.only()
			w.split(without(w.nodes[(leader.index+1)%5], w.nodes[(leader.index+2)%5], &node{index: 5}))
			w.run(4 * time.Second)
			w.add(5)
			w.linkAll(0)
			w.run(4 * time.Second)
			if got := len(w.leaders()); got != tt.want {
				t.Errorf("%d leaders, want %d", got, tt.want)
			}
			w.heal()
			w.run(6 * time.Second)
			if w.only(); tt.want == 2 {
				for _, n := range w.nodes {
					if len(n.conflict) != 1 || n.conflict[0] != name(5) {
						w.fail("%v: conflict about %v, want the youngest", n, n.conflict)
					}
				}
			}
			w.done(t)
		})
	}
}
