//go:build race

package exchange_test

// raceEnabled reports that the race detector slows everything down.
const raceEnabled = true
