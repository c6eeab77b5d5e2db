//go:build !linux && !darwin

package engine

import "time"

// AwakeClock returns the time. Whether it goes on while the machine sleeps is up to the
// system: a quorum leader on a machine that slept may believe in its lease for as long.
func AwakeClock() time.Time { return time.Now() }
