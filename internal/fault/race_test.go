//go:build race

package fault_test

// raceEnabled reports that the race detector slows everything down.
const raceEnabled = true
