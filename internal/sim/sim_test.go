package sim_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/sim"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "replay this seed of TestSim alone")
	fromFlag  = flag.Uint64("sim.from", 1, "first seed of TestSim")
	seedsFlag = flag.Int("sim.seeds", 0, "seeds that TestSim runs for each size; 0 for a quick choice here and elsewhere")
	nodesFlag = flag.Int("sim.nodes", 0, "nodes of each run of TestSim; 0 for 5 and 50")
	chaosFlag = flag.Duration("sim.chaos", 0, "how long things go wrong in TestSim; 0 for 20 s, 5 s for many nodes")
	traceFlag = flag.String("sim.trace", "", "write the history of the replayed seed to this file")
)

// chaos is how long things go wrong in a run of a size.
func chaos(nodes int) time.Duration {
	switch {
	case *chaosFlag != 0:
		return *chaosFlag
	case nodes <= 10:
		return 20 * time.Second
	default:
		return 5 * time.Second
	}
}

// TestSim runs clusters that suffer and holds every history against the invariants.
func TestSim(t *testing.T) {
	if *seedFlag != 0 {
		nodes := max(*nodesFlag, 2)
		r := sim.Run(sim.Config{Seed: *seedFlag, Nodes: nodes, Chaos: chaos(nodes)})
		trace(t, r.History)
		report(t, *seedFlag, nodes, r)
		return
	}
	type size struct{ nodes, seeds int }
	sizes := []size{{5, 100}, {50, 2}}
	if raceEnabled || testing.Short() {
		sizes = []size{{5, 10}} // there is not one goroutine to race with
	}
	if *nodesFlag != 0 {
		sizes = []size{{*nodesFlag, sizes[0].seeds}}
	}
	for _, size := range sizes {
		if *seedsFlag != 0 {
			size.seeds = *seedsFlag
		}
		for shard := range uint64(shards) {
			t.Run(fmt.Sprintf("%d nodes, part %d", size.nodes, shard+1), func(t *testing.T) {
				t.Parallel()
				for seed := *fromFlag + shard; seed < *fromFlag+uint64(size.seeds) && !t.Failed(); seed += shards {
					report(t, seed, size.nodes, sim.Run(sim.Config{
						Seed: seed, Nodes: size.nodes, Chaos: chaos(size.nodes),
					}))
				}
			})
		}
	}
}

// shards is how many parts of TestSim may run at the same time.
const shards = 4

// report fails the test with what a run violated and with the command that replays it.
func report(t *testing.T, seed uint64, nodes int, r sim.Result) {
	t.Helper()
	for i, v := range r.Violations {
		if i == 10 {
			t.Errorf("and %d more", len(r.Violations)-i)
			break
		}
		t.Errorf("seed %d: %v", seed, v)
	}
	if len(r.Violations) > 0 {
		t.Errorf("replay: go test ./internal/sim -run TestSim -sim.seed=%d -sim.nodes=%d -sim.chaos=%v -sim.trace=FILE",
			seed, nodes, chaos(nodes))
	}
}

// trace writes a history where the flag says.
func trace(t *testing.T, h sim.History) {
	t.Helper()
	if *traceFlag == "" {
		return
	}
	f, err := os.Create(*traceFlag)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteTo(f); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
