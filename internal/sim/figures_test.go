package sim_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/sim"
)

const (
	lan   = 200 * time.Microsecond // one way on a quiet local network
	fault = 5 * time.Second        // when things go wrong in these runs
)

// quietly runs a cluster on a local network. It fails the test at a violation of any
// invariant but those named, which the faults rule out.
func quietly(t *testing.T, c sim.Config, except ...string) sim.History {
	t.Helper()
	c.Latency = lan
	r := sim.Run(c)
	for _, v := range r.Violations {
		if !slices.Contains(except, v.Invariant) {
			t.Errorf("seed %d: %v", c.Seed, v)
		}
	}
	return r.History
}

// entries returns the entries of an event after an instant, by node.
func entries(h sim.History, e sim.Event, after time.Duration) (found []sim.Entry) {
	for _, x := range h {
		if x.Event == e && x.At >= after {
			found = append(found, x)
		}
	}
	return found
}

// last returns how long after an instant the last entry came.
func last(es []sim.Entry, after time.Duration) time.Duration {
	if len(es) == 0 {
		return 0
	}
	return es[len(es)-1].At - after
}

// within fails the test unless there are exactly count entries of an event from the
// instant from on, the last of them within limit.
func within(t *testing.T, h sim.History, e sim.Event, from time.Duration, count int, limit time.Duration) {
	t.Helper()
	es := entries(h, e, from)
	if len(es) != count || last(es, from) > limit {
		t.Errorf("%d %s, the last after %v; want %d within %v\n%v", len(es), e, last(es, from), count, limit, es)
	}
}

// process returns the number of the first process on a host.
func process(h sim.History, host int) int {
	for _, e := range h {
		if e.Event == sim.EventStart && e.Host == host {
			return e.Node
		}
	}
	return 0
}

// each runs f with several seeds: with all of them in make sim, else with a tenth.
func each(t *testing.T, seeds int, f func(t *testing.T, seed uint64)) {
	t.Helper()
	if *seedsFlag == 0 {
		seeds = (seeds + 9) / 10
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("seed %d", seed+1), func(t *testing.T) { f(t, seed+1) })
	}
}

func TestFiveNodesJoinByOneSeed(t *testing.T) {
	each(t, 50, func(t *testing.T, seed uint64) {
		h := quietly(t, sim.Config{Seed: seed, Nodes: 5, Seeds: 1, Together: true})
		within(t, h, "added_node", 0, 5*4, 500*time.Millisecond)
	})
}

// TestManyNodesStartTogether is case A01 of the fault catalogue.
func TestManyNodesStartTogether(t *testing.T) {
	each(t, 3, func(t *testing.T, seed uint64) {
		h := quietly(t, sim.Config{Seed: seed, Nodes: 32, Seeds: 1})
		within(t, h, "added_node", 0, 32*31, 5*time.Second)
		within(t, h, "removed_node", 0, 0, 0)
	})
}

// TestKilledProcess is case A03: the links close and a redial is refused.
func TestKilledProcess(t *testing.T) {
	each(t, 50, func(t *testing.T, seed uint64) {
		h := quietly(t, sim.Config{Seed: seed, Nodes: 5, Faults: []sim.Fault{
			{At: fault, Last: sim.Never, Kind: sim.Kill, A: int(seed) % 5},
		}})
		within(t, h, "suspected_node", fault, 4, 20*time.Millisecond)
		within(t, h, "removed_node", fault, 4, 200*time.Millisecond)
	})
}

func TestKilledProcessOfMany(t *testing.T) {
	each(t, 3, func(t *testing.T, seed uint64) {
		h := quietly(t, sim.Config{Seed: seed, Nodes: 40, Faults: []sim.Fault{
			{At: fault, Last: sim.Never, Kind: sim.Kill, A: 20 + int(seed)},
		}})
		within(t, h, "suspected_node", fault, 39, 20*time.Millisecond)
		within(t, h, "removed_node", fault, 39, 200*time.Millisecond)
	})
}

// TestKilledProcessOfTwo: the only observer needs nobody's agreement.
func TestKilledProcessOfTwo(t *testing.T) {
	each(t, 20, func(t *testing.T, seed uint64) {
		h := quietly(t, sim.Config{Seed: seed, Nodes: 2, Faults: []sim.Fault{
			{At: fault, Last: sim.Never, Kind: sim.Kill, A: int(seed) % 2},
		}})
		within(t, h, "removed_node", fault, 1, 200*time.Millisecond)
		within(t, h, "disconnected", fault, 1, 200*time.Millisecond)
	})
}

// TestLostMachine is case A04: nothing closes, and the lost one sees the others go.
func TestLostMachine(t *testing.T) {
	each(t, 50, func(t *testing.T, seed uint64) {
		h := quietly(t, sim.Config{Seed: seed, Nodes: 5, Faults: []sim.Fault{
			{At: fault, Last: sim.Never, Kind: sim.Partition, Side: []int{int(seed) % 5}},
		}}, "M3", "A24", "D6")
		within(t, h, "suspected_node", fault, 8, time.Second)
		within(t, h, "removed_node", fault, 8, 3*time.Second)
		within(t, h, "disconnected", fault, 1, 4*time.Second)
		// One member that falls silent is no split; for the lost one itself it is.
		within(t, h, "split", fault, 1, 4*time.Second)
	})
}

func TestHealedSplitIsOneViewAgain(t *testing.T) {
	const cut = 20 * time.Second
	each(t, 50, func(t *testing.T, seed uint64) {
		h := quietly(t, sim.Config{Seed: seed, Nodes: 5, Faults: []sim.Fault{
			{At: fault, Last: cut, Kind: sim.Partition, Side: []int{0, 1}},
		}})
		within(t, h, "removed_node", fault, 12, 3*time.Second)
		within(t, h, "split", fault, 5, 4*time.Second)
		within(t, h, "added_node", fault+cut, 12, 2*time.Second)
		within(t, h, "healed", fault+cut, 5, 2*time.Second)
	})
}

// TestPauseRemovesNobody is case A05.
func TestPauseRemovesNobody(t *testing.T) {
	each(t, 50, func(t *testing.T, seed uint64) {
		h := quietly(t, sim.Config{Seed: seed, Nodes: 5, Faults: []sim.Fault{
			{At: fault, Last: 1500 * time.Millisecond, Kind: sim.Pause, A: int(seed) % 5},
		}})
		within(t, h, "removed_node", 0, 0, 0)
	})
}

// TestGoodbye is case A02.
func TestGoodbye(t *testing.T) {
	each(t, 20, func(t *testing.T, seed uint64) {
		h := quietly(t, sim.Config{Seed: seed, Nodes: 5, Faults: []sim.Fault{
			{At: fault, Last: sim.Never, Kind: sim.Leave, A: int(seed) % 5},
		}})
		within(t, h, "removed_node", fault, 4, time.Second)
		within(t, h, "suspected_node", 0, 0, 0)
		for _, e := range entries(h, "removed_node", fault) {
			if e.Text != "left" {
				t.Errorf("removed because it %s, want left: %+v", e.Text, e)
			}
		}
	})
}

// TestQuickRestart is case A20: the same key in another incarnation.
func TestQuickRestart(t *testing.T) {
	each(t, 50, func(t *testing.T, seed uint64) {
		host := int(seed) % 5
		h := quietly(t, sim.Config{Seed: seed, Nodes: 5, Faults: []sim.Fault{
			{At: fault, Last: time.Duration(seed) * 4 * time.Millisecond, Kind: sim.Kill, A: host},
		}})
		old := process(h, host)
		removed := map[int]bool{}
		for _, e := range h {
			switch {
			case e.At < fault:
			case e.Event == "removed_node" && e.Peer == old:
				removed[e.Node] = true
			case e.Event == "added_node" && e.Node <= 5 && !removed[e.Node]:
				t.Errorf("node %d added the new incarnation before it removed the old one", e.Node)
			}
		}
		if len(removed) != 4 {
			t.Errorf("removed by %d nodes, want 4", len(removed))
		}
	})
}

// TestOneWayCutRemovesNobody is case A12.
func TestOneWayCutRemovesNobody(t *testing.T) {
	each(t, 20, func(t *testing.T, seed uint64) {
		h := quietly(t, sim.Config{Seed: seed, Nodes: 5, Faults: []sim.Fault{
			{At: fault, Last: 40 * time.Second, Kind: sim.OneWay, A: int(seed) % 5, B: int(seed+1) % 5},
		}})
		within(t, h, "removed_node", 0, 0, 0)
	})
}

// TestLossyHostIsOutUntilItHeals is case A11: four of five packets to a host are lost. All others
// remove it, and nobody takes it back because a link came up by luck.
func TestLossyHostIsOutUntilItHeals(t *testing.T) {
	const lossy = time.Minute
	each(t, 5, func(t *testing.T, seed uint64) {
		host := int(seed) % 16
		h := quietly(t, sim.Config{Seed: seed, Nodes: 16, Faults: []sim.Fault{
			{At: fault, Last: lossy, Kind: sim.Lossy, A: host},
		}})
		// Its own view may change as it likes, and that of it alone.
		ill := process(h, host)
		h = slices.DeleteFunc(h, func(e sim.Entry) bool { return e.Node == ill })
		within(t, h, "removed_node", fault, 15, 30*time.Second)
		within(t, h, "added_node", fault, 15, lossy+2*time.Second)
		within(t, h, "added_node", fault+lossy, 15, 2*time.Second)
	})
}

// TestRotation: a fresh link takes the place of another and nobody notices.
func TestRotation(t *testing.T) {
	each(t, 20, func(t *testing.T, seed uint64) {
		h := quietly(t, sim.Config{Seed: seed, Nodes: 3, Faults: []sim.Fault{
			{At: fault, Kind: sim.Rotate, A: int(seed) % 3, B: int(seed+1) % 3},
		}})
		within(t, h, sim.EventAccept, fault, 2, 10*time.Millisecond)
		within(t, h, "peer_removed", 0, 0, 0)
		within(t, h, sim.EventLost, 0, 0, 0)
	})
}

// TestRestartOfAll is case A29: everybody at once.
func TestRestartOfAll(t *testing.T) {
	nodes := 50
	if raceEnabled {
		nodes = 10
	}
	var faults []sim.Fault
	for host := range nodes {
		faults = append(faults, sim.Fault{At: fault, Last: time.Second, Kind: sim.Kill, A: host})
	}
	h := quietly(t, sim.Config{Seed: 1, Nodes: nodes, Faults: faults})
	started := fault + time.Second
	es := entries(h, "added_node", started)
	if len(es) != nodes*(nodes-1) || last(es, started) > 15*time.Second {
		t.Errorf("%d added_node, the last after %v; want %d within 15s", len(es), last(es, started), nodes*(nodes-1))
	}
	t.Logf("converged after %v", last(es, started))
}

// TestSimultaneousDials is case A24: two nodes that dial each other at once have one
// link, and lose and double nothing.
func TestSimultaneousDials(t *testing.T) {
	seeds := cmp.Or(*seedsFlag, 200)
	if raceEnabled {
		seeds = 50
	}
	for seed := range uint64(seeds) {
		r := sim.Run(sim.Config{Seed: seed + 1, Nodes: 2, Together: true})
		for _, v := range r.Violations {
			t.Errorf("seed %d: %v", seed+1, v)
		}
		if n := len(entries(r.History, "peer_removed", 0)); n > 0 {
			t.Errorf("seed %d: the link of the pair broke %d times", seed+1, n)
		}
	}
}
