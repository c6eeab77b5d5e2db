package memnet_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/memnet"
)

var group = netip.MustParseAddrPort("239.255.77.82:27272")

// join opens a socket of the group at a host.
func join(t *testing.T, n *memnet.Network, ip netip.Addr) net.PacketConn {
	t.Helper()
	c, err := n.Host(ip).Multicast(group)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func listenPacket(t *testing.T, n *memnet.Network, ip netip.Addr, addr string) net.PacketConn {
	t.Helper()
	c, err := n.Host(ip).ListenPacket(addr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t *testing.T, c net.PacketConn, text string, to netip.AddrPort) {
	t.Helper()
	if k, err := c.WriteTo([]byte(text), net.UDPAddrFromAddrPort(to)); k != len(text) || err != nil {
		t.Fatalf("WriteTo(%q, %v): %d bytes, error %v", text, to, k, err)
	}
}

// waiting returns the packets that are in a socket after a second, with their senders.
func waiting(t *testing.T, c net.PacketConn) (got []string) {
	t.Helper()
	time.Sleep(time.Second)
	if err := c.SetDeadline(time.Now().Add(time.Nanosecond)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	for {
		k, from, err := c.ReadFrom(b)
		if err != nil {
			wantErr(t, "ReadFrom", err, os.ErrDeadlineExceeded)
			return got
		}
		got = append(got, fmt.Sprintf("%v %s", from.(*net.UDPAddr).IP, b[:k]))
	}
}

func wantPackets(t *testing.T, who string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s received %q, want %q", who, got, want)
	}
}

func TestPacketsReachTheSocketOfTheirPortAfterTheLatency(t *testing.T) {
	inBubble(t, 3*time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b := listenPacket(t, n, ipA, ":0"), listenPacket(t, n, ipB, ":53")
		start := time.Now()
		send(t, a, "question", netip.AddrPortFrom(ipB, 53))
		buf := make([]byte, 4)
		k, from, err := b.ReadFrom(buf)
		if string(buf[:k]) != "ques" || err != nil || from.String() != a.LocalAddr().String() {
			t.Errorf("read %q from %v, error %v, want the front of the packet of %v", buf[:k], from, err, a.LocalAddr())
		}
		took(t, "the packet", start, 3*time.Millisecond)
		send(t, a, "nobody", netip.AddrPortFrom(ipB, 54))
		send(t, a, "nowhere", netip.AddrPortFrom(ipC, 53))
		if got, want := n.Stats(), (memnet.Stats{Packets: 3, PacketsDropped: 2}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

func TestAGroupReachesAllItsMembersAndNobodyElse(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a1, a2, b, c := join(t, n, ipA), join(t, n, ipA), join(t, n, ipB), join(t, n, ipC)
		other := listenPacket(t, n, netip.MustParseAddr("10.0.0.4"), ":27272")
		n.Partition([]netip.Addr{ipC})
		send(t, a1, "all", group)
		send(t, b, "one", netip.AddrPortFrom(ipA, group.Port()))
		send(t, other, "outside", group)
		b.Close()
		wantPackets(t, "the sender itself", waiting(t, a1), "10.0.0.1 all", "10.0.0.2 one", "10.0.0.4 outside")
		wantPackets(t, "its neighbour", waiting(t, a2), "10.0.0.1 all", "10.0.0.4 outside")
		wantPackets(t, "a member that is cut off", waiting(t, c))
		wantPackets(t, "a socket that did not join", waiting(t, other))
		if got := n.Stats().PacketsDropped; got != 4 { // Two at c, two at b, which was closed.
			t.Errorf("%d packets dropped, want 4", got)
		}
	})
}

func TestACutLosesPacketsSentAndInFlight(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b := listenPacket(t, n, ipA, ":1"), listenPacket(t, n, ipB, ":1")
		send(t, a, "in flight", netip.AddrPortFrom(ipB, 1))
		n.CutOneWay(ipA, ipB)
		send(t, b, "back", netip.AddrPortFrom(ipA, 1))
		time.Sleep(time.Second)
		send(t, a, "sent into the cut", netip.AddrPortFrom(ipB, 1))
		n.Heal()
		wantPackets(t, "b", waiting(t, b))
		wantPackets(t, "a", waiting(t, a), "10.0.0.2 back")
	})
}

func TestLossTakesItsShareOfPackets(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		n.SetLoss(0.3)
		a, b := listenPacket(t, n, ipA, ":1"), listenPacket(t, n, ipB, ":1")
		const sent = 1000
		for range sent {
			send(t, a, "x", netip.AddrPortFrom(ipB, 1))
		}
		got, dropped := len(waiting(t, b)), n.Stats().PacketsDropped
		if dropped < 250 || dropped > 350 || got+int(dropped) != sent {
			t.Errorf("%d packets arrived and %d were dropped of %d, want about 30 %% dropped", got, dropped, sent)
		}
	})
}

func TestAFullQueueLosesPacketsAndAPausedProcessFillsIt(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b := listenPacket(t, n, ipA, ":1"), listenPacket(t, n, ipB, ":1")
		n.Pause(ipB)
		for range memnet.PacketQueueMax + 7 {
			send(t, a, "x", netip.AddrPortFrom(ipB, 1))
		}
		time.AfterFunc(time.Minute, func() { n.Resume(ipB) })
		start := time.Now()
		if _, _, err := b.ReadFrom(nil); err != nil {
			t.Fatal(err)
		}
		took(t, "ReadFrom at a paused process", start, time.Minute)
		if got := n.Stats().PacketsDropped; got != 7 {
			t.Errorf("%d packets dropped, want 7", got)
		}
		n.Pause(ipA)
		time.AfterFunc(time.Minute, func() { n.Resume(ipA) })
		send(t, a, "x", netip.AddrPortFrom(ipB, 1))
		took(t, "WriteTo at a paused process", start, 2*time.Minute)
	})
}

func TestAPacketSocketRefusesWhatItCannotDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		h := n.Host(ipA)
		a := listenPacket(t, n, ipA, ":1")
		to := &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1}
		_, err := a.WriteTo(make([]byte, memnet.PacketMax+1), to)
		wantErr(t, "WriteTo with a large packet", err, syscall.EMSGSIZE)
		_, err = a.WriteTo(nil, &net.TCPAddr{})
		wantErr(t, "WriteTo to a TCP address", err, syscall.EINVAL)
		_, err = h.ListenPacket("10.0.0.1:1")
		wantErr(t, "ListenPacket on a taken port", err, syscall.EADDRINUSE)
		_, err = h.Multicast(netip.AddrPortFrom(group.Addr(), 1))
		wantErr(t, "Multicast on a taken port", err, syscall.EADDRINUSE)
		_, err = h.Multicast(netip.AddrPortFrom(ipB, 2))
		wantErr(t, "Multicast of an address that is no group", err, syscall.EADDRNOTAVAIL)
		time.AfterFunc(time.Second, func() { n.Down(ipA) })
		_, _, err = a.ReadFrom(nil)
		wantErr(t, "ReadFrom when the process is killed", err, net.ErrClosed)
		_, err = a.WriteTo(nil, to)
		wantErr(t, "WriteTo after that", err, net.ErrClosed)
		wantErr(t, "Close after that", a.Close(), net.ErrClosed)
		_, err = h.ListenPacket(":1")
		wantErr(t, "ListenPacket at a host that is down", err, syscall.ENETDOWN)
		n.Up(ipA)
		if _, err := h.ListenPacket(":1"); err != nil {
			t.Errorf("the port is not free again: %v", err)
		}
	})
}
