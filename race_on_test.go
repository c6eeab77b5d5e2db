//go:build race

package espial_test

// raceDetected is true where sync.Pool forgets on purpose, so that allocations say nothing.
const raceDetected = true
