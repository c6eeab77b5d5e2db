package sim_test

import (
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
	each(t, 10, func(t *testing.T, seed uint64) {
		h := quietly(t, partly(seed))
		within(t, h, "added_node", 0, 50*49, 5*time.Second)
		within(t, h, "removed_node", 0, 0, 0)
	})
}

// TestKilledProcessIsKnownFarAway is case A03: whoever watches the process finds it gone and
// says so, and the others believe two of them.
func TestKilledProcessIsKnownFarAway(t *testing.T) {
	each(t, 10, func(t *testing.T, seed uint64) {
		h := quietly(t, partly(seed, sim.Fault{At: fault, Last: sim.Never, Kind: sim.Kill, A: 10 + int(seed)}))
		within(t, h, "suspected_node", fault, 49, 100*time.Millisecond)
		within(t, h, "removed_node", fault, 49, 200*time.Millisecond)
	})
}

// TestLostMachineFarAway is case A04.
func TestLostMachineFarAway(t *testing.T) {
	each(t, 10, func(t *testing.T, seed uint64) {
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

// TestFortyPercentKilledAtOnce is case A23.
func TestFortyPercentKilledAtOnce(t *testing.T) {
	each(t, 5, func(t *testing.T, seed uint64) {
		var faults []sim.Fault
		for host := range 20 { // their IDs are hashes
			faults = append(faults, sim.Fault{At: fault, Last: sim.Never, Kind: sim.Kill, A: host + 2})
		}
		h := quietly(t, partly(seed, faults...))
		es := entries(h, "removed_node", fault)
		t.Logf("%d removals, the last after %v", len(es), last(es, fault))
	})
}
