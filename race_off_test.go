//go:build !race

package espial_test

const raceEnabled = false
