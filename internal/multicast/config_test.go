package multicast_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/multicast"
)

func TestConfig(t *testing.T) {
	group := netip.MustParseAddrPort
	tests := []struct {
		name  string
		c     multicast.Config
		field string // the field that the error names; empty means valid
	}{
		{"nothing set", multicast.Config{}, ""},
		{"everything set", multicast.Config{Group: group("239.1.2.3:4"), Group6: group("[ff12::1]:4"), Interface: "nosuch0", TTL: 255, Rescan: time.Hour}, ""},
		{"a group that is none", multicast.Config{Group: group("10.0.0.1:27272")}, "Group "},
		{"a group without a port", multicast.Config{Group: group("239.1.2.3:0")}, "Group "},
		{"an IPv6 group in place of an IPv4 one", multicast.Config{Group: group("[ff12::1]:4")}, "Group "},
		{"an IPv6 group that is none", multicast.Config{Group6: group("[fe80::1]:4")}, "Group6 "},
		{"an IPv4 group in IPv6 clothes", multicast.Config{Group6: group("[::ffff:239.1.2.3]:4")}, "Group6 "},
		{"an IPv6 group with a zone", multicast.Config{Group6: group("[ff12::1%eth0]:4")}, "Group6 "},
		{"an IPv6 group without a port", multicast.Config{Group6: group("[ff12::1]:0")}, "Group6 "},
		{"a negative TTL", multicast.Config{TTL: -1}, "TTL "},
		{"a TTL above 255", multicast.Config{TTL: 256}, "TTL "},
		{"a rescan in a loop", multicast.Config{Rescan: time.Millisecond}, "Rescan "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := multicast.Open(tt.c)
			if err == nil {
				c.Close()
			}
			switch {
			case tt.field == "" && err != nil:
				t.Errorf("Open(%+v) error = %v, want none", tt.c, err)
			case tt.field != "" && (err == nil || !strings.HasPrefix(err.Error(), "multicast: "+tt.field)):
				t.Errorf("Open(%+v) error = %v, want one that names %s", tt.c, err, tt.field)
			}
		})
	}
}
