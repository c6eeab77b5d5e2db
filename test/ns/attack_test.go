//go:build linux

package ns_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/packet"
)

// group is where beacons go.
var group = netip.MustParseAddrPort("239.255.77.82:27272")

// idleFor is how long the roles that hold connections or send datagrams go on.
const idleFor = 4 * time.Second

// idleMin is how many connections have been opened when the role of idle says that it has begun,
// if it wants so many.
const idleMin = 1000

// idle keeps as many connections open as words says, without ever sending a byte. Those that
// are closed are opened again.
func idle(addr, words string) error {
	count, err := strconv.Atoi(words)
	if err != nil {
		return err
	}
	var p printer
	var opened, closed atomic.Int64
	end := time.Now().Add(idleFor)
	var wg sync.WaitGroup
	for range count {
		wg.Go(func() {
			tick := time.NewTicker(time.Millisecond) // or the dials alone would use up the machine
			defer tick.Stop()
			for ; time.Now().Before(end); <-tick.C {
				c, err := net.DialTimeout("tcp", addr, time.Second)
				if err != nil {
					continue
				}
				if opened.Add(1) == int64(min(count, idleMin)) {
					p.print(report{Change: "begun"})
				}
				_ = c.SetReadDeadline(end)
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					closed.Add(1)
				}
				_ = c.Close()
			}
		})
	}
	wg.Wait()
	p.print(report{
		Change: "idle", Count: int(opened.Load()),
		Reason: fmt.Sprintf("%d closed by the node", closed.Load()),
	})
	return nil
}

// drip sends one byte of a handshake every 500 ms and prints after how many milliseconds the
// connection was closed.
func drip(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	begin := time.Now()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, c)
	}()
	// The beginning of a TLS record with a ClientHello of 512 bytes; zeros follow.
	hello := []byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03}
	for i := range 100 {
		if _, err := c.Write([]byte{append(hello, make([]byte, 100)...)[i]}); err != nil {
			break
		}
		select {
		case <-closed:
			new(printer).print(report{Change: "closed", Count: int(time.Since(begin).Milliseconds())})
			return nil
		case <-tick.C:
		}
	}
	return errors.New("the connection was never closed")
}

// sender returns a socket that sends to the group from the address of the host.
func groupSocket() (*net.UDPConn, error) {
	eth, err := net.InterfaceByName("eth0")
	if err != nil {
		return nil, err
	}
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	return c, ipv4.NewPacketConn(c).SetMulticastInterface(eth)
}

// garbage sends datagrams to the group at a rate per second: some begin as those of a cluster
// do and go on at random, some are beacons of nodes that do not exist. It says that it begins
// when it has done so for a second.
func garbage(cluster, words string) error {
	rate, err := strconv.Atoi(words)
	if err != nil {
		return err
	}
	c, err := groupSocket()
	if err != nil {
		return err
	}
	defer c.Close()
	r := rand.New(rand.NewPCG(1, 2))
	var kinds [256][]byte
	for i := range kinds {
		b := beacon(cluster, r, 1).Append(nil)
		if i%2 == 0 {
			for j := 6 + r.IntN(100); j < len(b); j++ {
				b[j] = byte(r.Uint32())
			}
		}
		kinds[i] = b
	}
	var p printer
	begin, begun, sent := time.Now(), false, 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ; time.Since(begin) < idleFor; <-tick.C {
		for due := int(time.Since(begin).Seconds() * float64(rate)); sent < due; sent++ {
			_, _ = c.WriteToUDPAddrPort(kinds[sent%len(kinds)], group)
		}
		if !begun && sent >= rate {
			p.print(report{Change: "begun"})
			begun = true
		}
	}
	p.print(report{Change: "garbage", Count: sent})
	return nil
}

// beacon returns the beacon of a node that does not exist.
func beacon(cluster string, r *rand.Rand, port uint16) packet.Beacon {
	b := packet.Beacon{Tag: packet.Tag(cluster), Incarnation: ident.Incarnation(r.Uint64() | 1), Port: port}
	for i := 0; i < len(b.ID); i += 8 {
		binary.LittleEndian.PutUint64(b.ID[i:], r.Uint64())
	}
	return b
}

// forge sends datagrams whose source is forged: 20 rounds of every kind of packet from a
// victim that runs no node, and of every kind from a member with its own ID, which members
// know. It prints how many bytes it sent in the name of the victim.
func forge(cluster, victim, member string) error {
	who, addr, ok := cutMember(member)
	if !ok {
		return fmt.Errorf("no member in %q", member)
	}
	eth, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	pc, err := net.ListenPacket("ip4:udp", "0.0.0.0")
	if err != nil {
		return err
	}
	defer pc.Close()
	raw, err := ipv4.NewRawConn(pc)
	if err == nil {
		err = raw.SetMulticastInterface(eth)
	}
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(3, 4))
	sent := 0
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for round := range 20 {
		b := beacon(cluster, r, 80)
		nonce := packet.Nonce(b.Tag)
		packets := [][]byte{
			b.Append(nil),
			packet.Challenge{Tag: b.Tag, Nonce: nonce, ID: b.ID, Port: 80}.Append(nil),
			packet.Answer{Tag: b.Tag, Nonce: nonce, ID: b.ID, Incarnation: b.Incarnation, Port: 80}.Append(nil),
		}
		for _, b := range packets {
			if err := spoof(raw, netip.MustParseAddr(victim), uint16(27272+round%2), b); err != nil {
				return err
			}
			sent += len(b)
		}
		b.ID = who
		b.Incarnation = ^ident.Incarnation(0)
		own := b.Append(nil)
		gone := append([]byte(nil), own...)
		clear(gone[len(gone)-80:]) // port and all: what a leave could look like
		kind := append([]byte(nil), own...)
		kind[5] = byte(4 + round) // kinds that do not exist
		for _, b := range [][]byte{own, gone, kind} {
			if err := spoof(raw, addr, 27272, b); err != nil {
				return err
			}
		}
		<-tick.C
	}
	new(printer).print(report{Change: "forged", Count: sent})
	return nil
}

// cutMember cuts id@address.
func cutMember(word string) (ident.NodeID, netip.Addr, bool) {
	var id ident.NodeID
	for i := range word {
		if word[i] == '@' {
			addr, err := netip.ParseAddr(word[i+1:])
			if err != nil {
				return id, addr, false
			}
			id, err = ident.ParseNodeID(word[:i])
			return id, addr, err == nil
		}
	}
	return id, netip.Addr{}, false
}

// spoof sends a datagram to the group in another's name.
func spoof(raw *ipv4.RawConn, source netip.Addr, port uint16, payload []byte) error {
	udp := binary.BigEndian.AppendUint16(nil, port)
	udp = binary.BigEndian.AppendUint16(udp, group.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(payload)))
	udp = append(udp, 0, 0) // no checksum
	udp = append(udp, payload...)
	return raw.WriteTo(&ipv4.Header{
		Version: ipv4.Version, Len: ipv4.HeaderLen, TotalLen: ipv4.HeaderLen + len(udp), TTL: 1,
		Protocol: 17, Src: source.AsSlice(), Dst: group.Addr().AsSlice(),
	}, udp, nil)
}

// repliesMax is how long the role of ask waits for replies, which come within milliseconds.
const repliesMax = 500 * time.Millisecond

// ask sends every kind of packet from its own address, first too short ones, then whole ones
// and long ones.
func ask(cluster string) error {
	c, err := groupSocket()
	if err != nil {
		return err
	}
	defer c.Close()
	r := rand.New(rand.NewPCG(5, 6))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, size := range []int{packet.SizeMin - 1, packet.SizeMin, packet.SizeMax} {
		for range 20 {
			b := beacon(cluster, r, 80)
			for _, p := range []packet.Packet{
				b,
				packet.Challenge{Tag: b.Tag, Nonce: packet.Nonce(b.Tag), ID: b.ID, Port: 80},
				packet.Answer{Tag: b.Tag, ID: b.ID, Incarnation: b.Incarnation, Port: 80},
			} {
				bytes := append(p.Append(nil), make([]byte, packet.SizeMax)...)[:size]
				if _, err := c.WriteToUDPAddrPort(bytes, group); err != nil {
					return err
				}
			}
			<-tick.C
		}
		new(printer).print(report{Change: "asked", Count: size})
		_ = c.SetReadDeadline(time.Now().Add(repliesMax))
		for err := error(nil); err == nil; { // the test looks at what crossed the segment
			_, _, err = c.ReadFromUDPAddrPort(make([]byte, packet.SizeMax))
		}
	}
	return nil
}
