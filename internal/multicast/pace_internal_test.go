package multicast

import (
	"testing"
	"time"
)

func TestPaceHoldsBackAFloodOnly(t *testing.T) {
	for _, tc := range []struct {
		name string
		gap  time.Duration // between two datagrams
		want int           // datagrams read in the first second, at most
		wait bool
	}{
		{"a flood", time.Microsecond, 101 * burstMax, true},
		{"twice the pace", burstTime / (2 * burstMax), 101 * burstMax, true},
		{"just the pace", burstTime / burstMax, 12_800, false},
		{"a beacon now and then", 100 * time.Millisecond, 10, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p pace
			begin := time.Unix(1_000_000, 0)
			now, count, waited := begin, 0, false
			for ; now.Sub(begin) < time.Second; count++ {
				d := p.next(now)
				waited = waited || d > 0
				now = now.Add(d + tc.gap)
			}
			if count > tc.want || waited != tc.wait {
				t.Errorf("read %d datagrams, waited %v; want %d at most, %v", count, waited, tc.want, tc.wait)
			}
		})
	}
}
