//go:build !race

package gossip_test

// raceEnabled reports that the race detector slows everything down.
const raceEnabled = false
