package netns_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/espial-go/espial/internal/netns"
)

// at is when the packets of these tests were captured.
var at = time.Unix(1_700_000_000, 250_000_000)

// file returns a capture of some Ethernet packets.
func file(packets ...[]byte) []byte {
	order := binary.NativeEndian
	b := order.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, make([]byte, 16)...)
	b = order.AppendUint32(b, 1) // Ethernet
	for _, p := range packets {
		b = order.AppendUint32(b, uint32(at.Unix()))
		b = order.AppendUint32(b, uint32(at.Nanosecond()/1000))
		b = order.AppendUint32(b, uint32(len(p)))
		b = order.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}

// frame returns an Ethernet packet of a kind.
func frame(kind uint16, parts ...[]byte) []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 12), kind)
	return append(b, slices.Concat(parts...)...)
}

// ip4 returns the header of an IPv4 packet from 10.77.1.1 to 10.77.1.2.
func ip4(proto byte, total int, fragment uint16) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, proto, 0, 0, 10, 77, 1, 1, 10, 77, 1, 2}
	binary.BigEndian.PutUint16(b[2:], uint16(total))
	binary.BigEndian.PutUint16(b[6:], fragment)
	return b
}

// ip6 returns the header of an IPv6 packet from fe80::1 to fe80::2.
func ip6(proto byte, payload int) []byte {
	b := make([]byte, 40)
	b[0], b[6], b[8], b[9], b[23], b[24], b[25], b[39] = 0x60, proto, 0xfe, 0x80, 1, 0xfe, 0x80, 2
	binary.BigEndian.PutUint16(b[4:], uint16(payload))
	return b
}

// Ports 1000 to 2000, as TCP and UDP begin.
func ports() []byte { return []byte{0x03, 0xe8, 0x07, 0xd0} }

func tcp(flags byte, words byte) []byte {
	return append(ports(), 0, 0, 0, 0, 0, 0, 0, 0, words<<4, flags, 0, 0, 0, 0, 0, 0)
}

func udp() []byte { return append(ports(), 0, 0, 0, 0) }

func TestParsePackets(t *testing.T) {
	packet := func(p netns.Packet, from, to string, payload string) []netns.Packet {
		p.At, p.Payload = at, []byte(payload)
		p.Src, p.Dst = netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
		return []netns.Packet{p}
	}
	hello := []byte("hello")
	for _, tc := range []struct {
		name string
		b    []byte
		want []netns.Packet
	}{
		{
			"UDP over IPv4, without the padding of Ethernet",
			frame(0x0800, ip4(17, 33, 0), udp(), hello, make([]byte, 10)),
			packet(netns.Packet{Proto: netns.UDP}, "10.77.1.1:1000", "10.77.1.2:2000", "hello"),
		},
		{
			"TCP over IPv4",
			frame(0x0800, ip4(6, 45, 0), tcp(netns.SYN, 5), hello),
			packet(netns.Packet{Proto: netns.TCP, Flags: netns.SYN}, "10.77.1.1:1000", "10.77.1.2:2000", "hello"),
		},
		{
			"TCP with options over IPv6",
			frame(0x86dd, ip6(6, 29), tcp(netns.ACK, 6), make([]byte, 4), hello),
			packet(netns.Packet{Proto: netns.TCP, Flags: netns.ACK}, "[fe80::1]:1000", "[fe80::2]:2000", "hello"),
		},
		{"a later fragment", frame(0x0800, ip4(17, 33, 8), udp(), hello), nil},
		{"an IPv4 packet longer than the frame", frame(0x0800, ip4(17, 34, 0), udp(), hello), nil},
		{"an IPv6 packet longer than the frame", frame(0x86dd, ip6(17, 14), udp(), hello), nil},
		{"a TCP header longer than the packet", frame(0x0800, ip4(6, 45, 0), tcp(0, 15), hello), nil},
		{"ICMP", frame(0x0800, ip4(1, 25, 0), hello), nil},
		{"ARP", frame(0x0806, make([]byte, 46)), nil},
		{"no whole Ethernet header", make([]byte, 13), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := netns.ParsePackets(file(tc.b))
			addrs := cmpopts.EquateComparable(netip.AddrPort{})
			if diff := cmp.Diff(tc.want, got, addrs); err != nil || diff != "" {
				t.Errorf("ParsePackets(%x): %v\n%s", tc.b, err, diff)
			}
		})
	}
}

func TestParsePacketsRefusesOtherFiles(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 23), make([]byte, 24), file()[:20]} {
		if got, err := netns.ParsePackets(b); err == nil {
			t.Errorf("ParsePackets(%x) = %v, want an error", b, got)
		}
	}
	two := file(frame(0x0800, ip4(17, 28, 0), udp()), frame(0x0800, ip4(17, 28, 0), udp()))
	if got, err := netns.ParsePackets(two[:len(two)-1]); err != nil || len(got) != 1 {
		t.Errorf("a file that ends in the second packet has %d packets (%v), want 1", len(got), err)
	}
}

func TestIsDial(t *testing.T) {
	for _, tc := range []struct {
		name string
		p    netns.Packet
		want bool
	}{
		{"the first packet of a connection", netns.Packet{Proto: netns.TCP, Flags: netns.SYN}, true},
		{"its answer", netns.Packet{Proto: netns.TCP, Flags: netns.SYN | netns.ACK}, false},
		{"what follows", netns.Packet{Proto: netns.TCP, Flags: netns.ACK}, false},
		{"a datagram", netns.Packet{Proto: netns.UDP, Flags: netns.SYN}, false},
	} {
		if got := tc.p.IsDial(); got != tc.want {
			t.Errorf("%s: IsDial is %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestMatch(t *testing.T) {
	c := netns.Change{
		Kind: "removed_node", Cause: "failed", By: "self", Member: netns.Member{ID: "abcdefgh"},
	}
	for _, tc := range []struct {
		name string
		m    netns.Match
		want bool
	}{
		{"nothing asked for", netns.Match{}, true},
		{"the kind", netns.Match{Kind: "removed_node"}, true},
		{"the beginning of the ID", netns.Match{ID: "abcd"}, true},
		{"everything", netns.Match{Kind: "removed_node", Cause: "failed", By: "self", ID: "abcdefgh"}, true},
		{"another kind", netns.Match{Kind: "added_node"}, false},
		{"another ID", netns.Match{ID: "abce"}, false},
		{"a reason where there is none", netns.Match{Kind: "removed_node", Reason: "x"}, false},
	} {
		if got := tc.m.Has(c); got != tc.want {
			t.Errorf("%s: %v has %+v: %v, want %v", tc.name, tc.m, c, got, tc.want)
		}
	}
}

func FuzzParsePackets(f *testing.F) {
	f.Add(file(frame(0x0800, ip4(17, 33, 0), udp(), []byte("hello"))))
	f.Add(file(frame(0x86dd, ip6(6, 20), tcp(netns.SYN, 5))))
	f.Fuzz(func(t *testing.T, b []byte) {
		packets, err := netns.ParsePackets(b)
		if err != nil {
			return
		}
		total := 0
		for _, p := range packets {
			total += len(p.Payload)
		}
		if total > len(b) {
			t.Errorf("%d bytes of payload from %d bytes", total, len(b))
		}
	})
}
