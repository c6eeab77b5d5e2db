// Package sim runs whole clusters of nodes in one goroutine, in virtual time, from a
// seed. A node is the real thing without its I/O: core, admission and session,
// composed as the engine composes them. The network under it is simulated down to
// the retransmission of a lost segment; what goes wrong (loss, cuts in one or both
// directions, pauses, kills, restarts) is drawn from the seed.
//
//	r := sim.Run(sim.Config{Seed: 7, Nodes: 5})
//	if len(r.Violations) > 0 { ... }
//
// Every run records a history and holds it against the invariants of the fault
// catalogue: membership M1 to M5 and delivery D1 to D6 (checker.go). A run depends on
// its [Config] alone, so a seed that failed fails again, event by event:
//
//	go test ./internal/sim -run TestSim -sim.seed=7 -sim.nodes=5 -v
//
// The package is imported by tests only. It is pure: no goroutine, lock, clock,
// socket or global randomness.
package sim
