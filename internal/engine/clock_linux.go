package engine

import (
	"time"

	"golang.org/x/sys/unix"
)

// AwakeClock returns the time since the machine started, time asleep included
// (CLOCK_BOOTTIME): a lease must run out while its holder's machine sleeps.
func AwakeClock() time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Now()
	}
	return time.Unix(ts.Sec, ts.Nsec)
}
