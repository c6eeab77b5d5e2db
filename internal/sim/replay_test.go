package sim_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/sim"
)

// TestReplayIsExact runs the same seeds twice: the same history, event by event.
func TestReplayIsExact(t *testing.T) {
	hashes := map[uint64]bool{}
	for seed := range uint64(5) {
		c := sim.Config{Seed: seed + 1, Nodes: 7, Chaos: 5 * time.Second}
		first, second := sim.Run(c).History, sim.Run(c).History
		if len(first) == 0 || first.Hash() != second.Hash() {
			t.Errorf("seed %d: two runs have %d and %d entries and the hashes %x and %x",
				c.Seed, len(first), len(second), first.Hash(), second.Hash())
		}
		hashes[first.Hash()] = true
	}
	if len(hashes) != 5 {
		t.Errorf("5 seeds gave %d histories", len(hashes))
	}
}
