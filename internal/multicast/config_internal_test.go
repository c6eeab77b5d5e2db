package multicast

import (
	"net/netip"
	"testing"
	"time"
)

// TestDefaults are those of the pages: beacons stay on their segment, and an interface that
// comes later is joined within seconds.
func TestDefaults(t *testing.T) {
	group := netip.MustParseAddrPort
	for _, tt := range []struct{ c, want Config }{
		{Config{}, Config{
			Group: group("239.255.77.82:27272"), Group6: group("[ff12::8e51:4d52]:27272"), TTL: 1, Rescan: 5 * time.Second,
		}},
		{Config{Group: group("239.1.2.3:4"), TTL: 3}, Config{
			Group: group("239.1.2.3:4"), Group6: group("[ff12::8e51:4d52]:4"), TTL: 3, Rescan: 5 * time.Second,
		}},
	} {
		got := tt.c.withDefaults()
		tt.want.Logger = got.Logger
		if got != tt.want || got.Logger == nil {
			t.Errorf("%+v becomes %+v, want %+v", tt.c, got, tt.want)
		}
	}
}
