package sim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/sim"
)

// TestCheckerFindsPlantedBugs shows that each invariant can be broken, and that the
// checker says which one it was.
func TestCheckerFindsPlantedBugs(t *testing.T) {
	tests := []struct {
		name      string
		bug       sim.Bug
		invariant string
	}{
		{"a member is shown before it was admitted", sim.BugEager, "M1"},
		{"a member is added twice", sim.BugStutter, "M2"},
		{"the view only grows", sim.BugStaleView, "M3"},
		{"a member is removed at the first silence", sim.BugHasty, "M4"},
		{"a removed member is shown again", sim.BugGhost, "M5"},
		{"two messages of a frame change places", sim.BugReorder, "D1"},
		{"what comes twice is delivered twice", sim.BugNoDedupe, "D2"},
		{"a loss is not reported", sim.BugQuietLoss, "D3"},
		{"a direct message reaches somebody else", sim.BugMisroute, "D4"},
		{"what was sent is kept for ever", sim.BugHoard, "D5"},
		{"what is not acknowledged is not sent again", sim.BugForgetful, "D6"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const tries = 20
			for seed := range uint64(tries) {
				r := sim.Run(sim.Config{Seed: seed + 1, Nodes: 5, Chaos: 10 * time.Second, Bug: tt.bug})
				if slices.ContainsFunc(r.Violations, func(v sim.Violation) bool { return v.Invariant == tt.invariant }) {
					t.Logf("found with seed %d", seed+1)
					return
				}
			}
			t.Errorf("%d seeds ran with the bug planted and %s held", tries, tt.invariant)
		})
	}
}
