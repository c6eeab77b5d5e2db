package gossip_test

import (
	"slices"
	"strings"
	"testing"
)

// TestCheckerFindsPlantedBugs shows that the checker of the simulation can find what it
// looks for.
func TestCheckerFindsPlantedBugs(t *testing.T) {
	tests := []struct {
		name string
		bug  bug
		want string // in the violation
	}{
		{"what comes twice is delivered twice", twice, "D1 or D2"},
		{"a loss is told as one message less", miscount, "D3"},
		{"a batch goes back to where it came from", echo, "back to where it came from"},
		{"the store has no bound", hoard, "D5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const tries = 10
			for seed := range uint64(tries) {
				w := runChurn(seed, tt.bug)
				if slices.ContainsFunc(w.violations, func(v string) bool { return strings.Contains(v, tt.want) }) {
					t.Logf("found with seed %d", seed)
					return
				}
			}
			t.Errorf("%d seeds ran with the bug planted, and no violation says %q", tries, tt.want)
		})
	}
}
