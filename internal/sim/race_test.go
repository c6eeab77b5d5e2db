//go:build race

package sim_test

// raceEnabled reports that the race detector slows everything down.
const raceEnabled = true
