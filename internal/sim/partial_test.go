package sim_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/sim"
)

// partly is fifty nodes with at most five links each.
func partly(seed uint64, faults ...sim.Fault) sim.Config {
	return sim.Config{Seed: seed, Nodes: 50, MinPeers: 3, MaxPeers: 5, Faults: faults}
}

// TestPartialMesh: everybody knows everybody, with few links that make one network.
func TestPartialMesh(t *testing.T) {
	each(t, 3, func(t *testing.T, seed uint64) {
		h := quietly(t, partly(seed))
		within(t, h, "added_node", 0, 50*49, 5*time.Second)
		within(t, h, "removed_node", 0, 0, 0)
	})
}

// TestKilledProcessIsKnownFarAway is case A03: whoever watches the process finds it gone and
// says so, and the others believe two of them.
func TestKilledProcessIsKnownFarAway(t *testing.T) {
	each(t, 5, func(t *testing.T, seed uint64) {
		h := quietly(t, partly(seed, sim.Fault{At: fault, Last: sim.Never, Kind: sim.Kill, A: 10 + int(seed)}))
		within(t, h, "suspected_node", fault, 49, 100*time.Millisecond)
		within(t, h, "removed_node", fault, 49, 200*time.Millisecond)
	})
}

// TestLostMachineFarAway is case A04.
func TestLostMachineFarAway(t *testing.T) {
	each(t, 5, func(t *testing.T, seed uint64) {
		h := quietly(t, partly(seed, sim.Fault{
			At: fault, Last: sim.Never, Kind: sim.Partition, Side: []int{10 + int(seed)},
		}), "M3", "A24")
		lost := process(h, 10+int(seed))
		others := 0
		for _, e := range entries(h, "removed_node", fault) {
			if e.Peer != lost {
				continue
			}
			if others++; e.At > fault+5*time.Second {
				t.Errorf("node %d removed it after %v, want 5s at most", e.Node, e.At-fault)
			}
		}
		if others != 49 {
			t.Errorf("%d nodes removed it, want 49", others)
		}
	})
}

// TestFortyPercentKilledAtOnce is case A23: what is left is one network again, and all know
// who is gone.
func TestFortyPercentKilledAtOnce(t *testing.T) {
	each(t, 5, func(t *testing.T, seed uint64) {
		var faults []sim.Fault
		for i := range 20 { // their IDs are hashes
			host := (int(seed)*7 + i) % 50
			faults = append(faults, sim.Fault{At: fault, Last: sim.Never, Kind: sim.Kill, A: host})
		}
		h := quietly(t, partly(seed, faults...))
		within(t, h, "removed_node", fault, 20*30, 10*time.Second)
	})
}

// TestPartialMeshInChaos holds a partial mesh against the invariants while things go wrong.
func TestPartialMeshInChaos(t *testing.T) {
	seeds := 4
	if *seedsFlag != 0 {
		seeds = *seedsFlag
	}
	if raceEnabled || testing.Short() {
		seeds = 1
	}
	for shard := range uint64(shards) {
		t.Run(fmt.Sprintf("part %d", shard+1), func(t *testing.T) {
			t.Parallel()
			for seed := *fromFlag + shard; seed < *fromFlag+uint64(seeds) && !t.Failed(); seed += shards {
				c := partly(seed)
				c.Chaos = chaos(c.Nodes)
				for _, v := range sim.Run(c).Violations {
					t.Errorf("seed %d: %v", seed, v)
				}
			}
		})
	}
}

// TestLossInAPartialMeshRemovesNobody is case A09.
func TestLossInAPartialMeshRemovesNobody(t *testing.T) {
	each(t, 2, func(t *testing.T, seed uint64) {
		c := partly(seed, sim.Fault{At: 30 * time.Second, Kind: sim.Update})
		c.Loss = 0.1
		// While the first links come up some are slow enough to be given up for a moment.
		within(t, quietly(t, c), "removed_node", 10*time.Second, 0, 0)
	})
}

// TestSplitOfAPartialMesh: each side goes on, and after the heal all list all again.
func TestSplitOfAPartialMesh(t *testing.T) {
	const cut = 10 * time.Second
	each(t, 2, func(t *testing.T, seed uint64) {
		var side []int
		for host := range 20 {
			side = append(side, host)
		}
		h := quietly(t, partly(seed, sim.Fault{At: fault, Last: cut, Kind: sim.Partition, Side: side}))
		// Some come back for a moment: who gave them up last passes their records on.
		gone, back := entries(h, "removed_node", fault), entries(h, "added_node", fault+cut)
		if n, d := len(gone), last(gone, fault); n < 2*20*30 || d > cut {
			t.Errorf("%d removed_node, the last after %v; want 1200 and some within %v", n, d, cut)
		}
		if n, d := len(back), last(back, fault+cut); n < 2*20*30 || d > 8*time.Second {
			t.Errorf("%d added_node after the heal, the last after %v; want 1200 and some within 8s", n, d)
		}
		t.Logf("%d removals within %v, all back after %v", len(gone), last(gone, fault), last(back, fault+cut))
	})
}

// TestRestartInAPartialMesh: who knows a node by its record alone hears that another
// incarnation has taken its place.
func TestRestartInAPartialMesh(t *testing.T) {
	each(t, 5, func(t *testing.T, seed uint64) {
		h := quietly(t, partly(seed, sim.Fault{
			At: fault, Last: time.Duration(seed) * 200 * time.Millisecond, Kind: sim.Kill, A: 10 + int(seed),
		}))
		within(t, h, "removed_node", fault, 49, 5*time.Second)
	})
}

// TestGoodbyeInAPartialMesh is case A02.
func TestGoodbyeInAPartialMesh(t *testing.T) {
	each(t, 2, func(t *testing.T, seed uint64) {
		h := quietly(t, partly(seed, sim.Fault{At: fault, Last: sim.Never, Kind: sim.Leave, A: 10 + int(seed)}))
		within(t, h, "removed_node", fault, 49, time.Second)
		for _, e := range entries(h, "removed_node", fault) {
			if e.Text != "left" {
				t.Errorf("removed because it %s, want left: %+v", e.Text, e)
			}
		}
	})
}

// TestAMeshBecomesPartial: above 64 members links are few, and below they are all again.
func TestAMeshBecomesPartial(t *testing.T) {
	if raceEnabled {
		t.Skip("seventy nodes take a minute with the race detector, which finds nothing in one goroutine")
	}
	var faults []sim.Fault
	for i := range 8 {
		faults = append(faults, sim.Fault{At: 10 * time.Second, Last: sim.Never, Kind: sim.Leave, A: 30 + i})
	}
	h := quietly(t, sim.Config{Seed: 1, Nodes: 70, Faults: faults}, "M1")
	within(t, h, "removed_node", 0, 8*62, 15*time.Second)
}

// TestARefusedNodeIsListedByTheOthers: each node's policy holds for its own list.
func TestARefusedNodeIsListedByTheOthers(t *testing.T) {
	each(t, 3, func(t *testing.T, seed uint64) {
		c := partly(seed, sim.Fault{At: 20 * time.Second, Kind: sim.Update})
		for host := range 50 {
			if host != 7 {
				c.Refuses = append(c.Refuses, sim.Refusal{A: 7, B: host / 5 * 5}) // every fifth
			}
		}
		h := quietly(t, c, "M3")
		strict := process(h, 7)
		for _, e := range entries(h, sim.EventView, 0) {
			for _, refused := range entries(h, sim.EventRefuse, 0) {
				if listed := slices.Contains(e.Peers, refused.Peer); listed == (e.Node == strict) {
					t.Errorf("node %d lists node %d, which node %d refuses: %t", e.Node, refused.Peer, strict, listed)
				}
			}
		}
		if len(entries(h, sim.EventRefuse, 0)) == 0 {
			t.Error("nobody was refused")
		}
	})
}

// TestCheckerFindsPlantedBugsInPartialMeshes is [TestCheckerFindsPlantedBugs] for what is
// different there.
func TestCheckerFindsPlantedBugsInPartialMeshes(t *testing.T) {
	for invariant, bug := range map[string]sim.Bug{"A24": sim.BugCrowd, "M1": sim.BugLenient} {
		t.Run(invariant, func(t *testing.T) {
			c := partly(1)
			c.Bug, c.Refuses = bug, []sim.Refusal{{A: 7, B: 5}, {A: 7, B: 10}, {A: 7, B: 15}, {A: 7, B: 20}, {A: 7, B: 0}}
			broken := func(v sim.Violation) bool { return v.Invariant == invariant }
			if !slices.ContainsFunc(sim.Run(c).Violations, broken) {
				t.Errorf("a run with the bug planted, and %s held", invariant)
			}
		})
	}
}
