//go:build race

package espial_test

// raceEnabled is true where everything takes ten times as long.
const raceEnabled = true
