package multicast

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

func TestUsable(t *testing.T) {
	const up = net.FlagUp | net.FlagRunning
	tests := []struct {
		name  string
		flags net.Flags
		want  bool
	}{
		{"an Ethernet", up | net.FlagBroadcast | net.FlagMulticast, true},
		{"loopback, which does not say that it does multicast", up | net.FlagLoopback, true},
		{"an Ethernet without a cable", net.FlagUp | net.FlagMulticast, false},
		{"an Ethernet that is down", net.FlagMulticast, false},
		{"a tunnel that carries no multicast", up | net.FlagPointToPoint, false},
	}
	for _, tt := range tests {
		if got := usable(tt.flags); got != tt.want {
			t.Errorf("%s (%v): usable = %v, want %v", tt.name, tt.flags, got, tt.want)
		}
	}
}

func TestSources(t *testing.T) {
	many := make([]string, 20)
	for i := range many {
		many[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 1}), 24).String()
	}
	tests := []struct {
		name     string
		flags    net.Flags
		subnets  []string
		v4       []string
		v6       []string
		contains string // an address that lies inside
		outside  string // and one that does not
	}{
		{
			name: "an Ethernet with both families", subnets: []string{"10.0.0.1/24", "fd00::1/64", "fe80::1/64"},
			v4: []string{"10.0.0.1"}, v6: []string{"fe80::1%eth0"}, contains: "fe80::77%eth0", outside: "10.0.1.1",
		},
		{
			name: "two addresses of one subnet and one of another", subnets: []string{"10.0.0.1/24", "10.0.0.9/24", "10.0.1.1/24"},
			v4: []string{"10.0.0.1", "10.0.1.1"}, contains: "::ffff:10.0.1.200", outside: "::ffff:10.0.2.1",
		},
		{
			name: "loopback", flags: net.FlagLoopback, subnets: []string{"127.0.0.1/8", "::1/128"},
			v4: []string{"127.0.0.1"}, contains: "127.3.4.5", outside: "10.0.0.1",
		},
		{
			name: "IPv6 without a link-local address", subnets: []string{"2001:db8::1/64"},
			contains: "2001:db8::2", outside: "2001:db8:0:1::2",
		},
		{
			name: "more subnets than the limit", subnets: many,
			v4:       []string{"10.0.0.1", "10.1.0.1", "10.2.0.1", "10.3.0.1", "10.4.0.1", "10.5.0.1", "10.6.0.1", "10.7.0.1"},
			contains: "10.19.0.2", outside: "10.20.0.2",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := nic{Interface: net.Interface{Index: 2, Name: "eth0", Flags: tt.flags}}
			for _, s := range tt.subnets {
				n.subnets = append(n.subnets, netip.MustParsePrefix(s))
			}
			for six, want := range map[bool][]string{false: tt.v4, true: tt.v6} {
				var got []string
				for _, a := range n.sources(six) {
					got = append(got, a.String())
				}
				if !slices.Equal(got, want) {
					t.Errorf("sources(%v) of %v = %v, want %v", six, tt.subnets, got, want)
				}
			}
			if !contains(n.subnets, netip.MustParseAddr(tt.contains)) || contains(n.subnets, netip.MustParseAddr(tt.outside)) {
				t.Errorf("%v should contain %s and not %s", tt.subnets, tt.contains, tt.outside)
			}
		})
	}
}

func TestPrefixes(t *testing.T) {
	_, subnet, _ := net.ParseCIDR("10.0.0.1/24")
	subnet.IP = net.ParseIP("10.0.0.1") // 16 bytes, as interfaces report it
	got := prefixes([]net.Addr{
		subnet,
		&net.IPAddr{IP: net.IPv4(10, 0, 0, 2)},
		&net.IPNet{IP: net.IP{1, 2, 3}, Mask: net.CIDRMask(24, 32)},
		&net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)},
		&net.IPNet{IP: net.ParseIP("fe80::1"), Mask: net.CIDRMask(64, 128)},
	})
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fe80::1/64")}
	if !slices.Equal(got, want) {
		t.Errorf("prefixes = %v, want %v", got, want)
	}
}

// TestRoute: which socket a reply leaves by.
func TestRoute(t *testing.T) {
	sender := func(index int, name, source string, subnets ...string) *socket {
		s := &socket{spec: spec{index: index, name: name}}
		if source != "" {
			s.source = netip.MustParseAddr(source)
		}
		var list []netip.Prefix
		for _, p := range subnets {
			list = append(list, netip.MustParsePrefix(p))
		}
		s.subnets.Store(&list)
		return s
	}
	eth := []string{"10.0.0.1/24", "10.8.0.1/24", "fe80::1/64"}
	wifi := []string{"10.0.0.2/24", "fe80::2/64"}
	lo, eth4, eth6 := sender(1, "lo", "127.0.0.1", "127.0.0.1/8"), sender(2, "eth0", "10.0.0.1", eth...), sender(2, "eth0", "fe80::1%eth0", eth...)
	eth8 := sender(2, "eth0", "10.8.0.1", eth...)
	wifi4, wifi6 := sender(3, "wlan0", "10.0.0.2", wifi...), sender(3, "wlan0", "fe80::2%wlan0", wifi...)
	group := sender(3, "wlan0", "", wifi...) // a receiver
	r := &Carrier{sockets: []*socket{lo, eth4, eth8, eth6, wifi4, wifi6, group}, heard: map[netip.AddrPort]*socket{}}
	tests := []struct {
		name string
		to   string
		by   *socket // where it was heard; nil for nowhere
		want *socket
	}{
		{"the same host", "127.0.0.1:1", nil, lo},
		{"a neighbour that was not heard", "10.0.0.7:1", nil, eth4},
		{"a neighbour in the second subnet of an interface", "10.8.0.7:1", nil, eth8},
		{"a neighbour that asked this sender", "10.0.0.8:1", wifi4, wifi4},
		{"a neighbour that this receiver heard", "10.0.0.9:1", group, wifi4},
		{"a link-local neighbour", "[fe80::7%eth0]:1", nil, eth6},
		{"a link-local neighbour of the other interface", "[fe80::7%wlan0]:1", nil, wifi6},
		{"a link-local neighbour that this receiver heard", "[fe80::8%wlan0]:1", group, wifi6},
		{"an address behind a router", "192.0.2.1:1", nil, nil},
		{"an IPv6 address behind a router", "[2001:db8::1]:1", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := netip.MustParseAddrPort(tt.to)
			if tt.by != nil {
				r.remember(to, tt.by)
			}
			if got := r.route(to); got != tt.want {
				t.Errorf("route(%v) = %v, want %v", to, got, tt.want)
			}
		})
	}
}

// TestHeardIsBounded: sources cost nothing to invent.
func TestHeardIsBounded(t *testing.T) {
	r := &Carrier{heard: map[netip.AddrPort]*socket{}}
	for n := range 100_000 {
		a := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		r.remember(netip.AddrPortFrom(a, 1), &socket{})
		if len(r.heard) > heardMax {
			t.Fatalf("%d sources remembered after %d, limit %d", len(r.heard), n+1, heardMax)
		}
	}
}
