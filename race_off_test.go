//go:build !race

package espial_test

const raceDetected = false
