package netns

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// Packet is a TCP or UDP packet of a capture.
type Packet struct {
	At       time.Time
	Proto    Proto
	Src, Dst netip.AddrPort
	Flags    uint8 // of TCP
	Payload  []byte
}

// Proto is the number of a protocol over IP.
type Proto uint8

// The protocols that a [Packet] has.
const (
	TCP Proto = 6
	UDP Proto = 17
)

// Flags of TCP.
const (
	SYN = 0x02
	ACK = 0x10
)

// IsDial reports whether the packet asks for a connection.
func (p Packet) IsDial() bool { return p.Proto == TCP && p.Flags&(SYN|ACK) == SYN }

// HostOf returns the number of the host that has an address, of either family.
func HostOf(a netip.Addr) int {
	b := a.AsSlice()
	return int(b[len(b)-1])
}

// Lengths of headers in bytes.
const (
	pcapHeader   = 24
	recordHeader = 16
	etherHeader  = 14
	ip4Header    = 20
	ip6Header    = 40
	tcpHeader    = 20
	udpHeader    = 8
)

// pcapMagic begins a file with microseconds, written by a little-endian machine.
const pcapMagic = 0xa1b2c3d4

var errCapture = errors.New("netns: not a capture of Ethernet packets that tcpdump wrote on this machine")

// ParsePackets returns the TCP and UDP packets of a file in the format of tcpdump, in order. Others,
// and all but the first fragment of a packet, are left out.
func ParsePackets(b []byte) ([]Packet, error) {
	order := binary.NativeEndian
	const ethernet = 1
	if len(b) < pcapHeader || order.Uint32(b) != pcapMagic || order.Uint32(b[20:]) != ethernet {
		return nil, errCapture
	}
	var packets []Packet
	for b = b[pcapHeader:]; len(b) >= recordHeader; {
		seconds, micros, size := order.Uint32(b), order.Uint32(b[4:]), int(order.Uint32(b[8:]))
		b = b[recordHeader:]
		if size > len(b) {
			break // tcpdump was stopped while it wrote
		}
		if p, ok := parseEther(b[:size]); ok {
			p.At = time.Unix(int64(seconds), int64(micros)*int64(time.Microsecond))
			packets = append(packets, p)
		}
		b = b[size:]
	}
	return packets, nil
}

func parseEther(b []byte) (Packet, bool) {
	if len(b) < etherHeader {
		return Packet{}, false
	}
	kind, b := binary.BigEndian.Uint16(b[12:]), b[etherHeader:]
	switch {
	case kind == 0x0800 && len(b) >= ip4Header:
		header, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
		fragment := binary.BigEndian.Uint16(b[6:]) & 0x1fff
		if header < ip4Header || total < header || total > len(b) || fragment != 0 {
			return Packet{}, false
		}
		src, dst := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		return parsePorts(Proto(b[9]), src, dst, b[header:total])
	case kind == 0x86dd && len(b) >= ip6Header:
		total := ip6Header + int(binary.BigEndian.Uint16(b[4:]))
		if total > len(b) {
			return Packet{}, false
		}
		src, dst := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		return parsePorts(Proto(b[6]), src, dst, b[ip6Header:total])
	}
	return Packet{}, false
}

func parsePorts(proto Proto, src, dst netip.Addr, b []byte) (Packet, bool) {
	p := Packet{Proto: proto}
	header := udpHeader
	switch {
	case proto == UDP && len(b) >= udpHeader:
	case proto == TCP && len(b) >= tcpHeader:
		header, p.Flags = int(b[12]>>4)*4, b[13]
		if header < tcpHeader || header > len(b) {
			return Packet{}, false
		}
	default:
		return Packet{}, false
	}
	p.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b))
	p.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
	p.Payload = b[header:]
	return p, true
}
