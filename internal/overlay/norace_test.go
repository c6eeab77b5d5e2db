//go:build !race

package overlay_test

// raceEnabled reports that the race detector slows everything down.
const raceEnabled = false
