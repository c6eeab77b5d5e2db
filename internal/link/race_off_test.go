//go:build !race

package link_test

const raceDetected = false
