package memnet

import (
	"bytes"
	"cmp"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"
)

type packet struct {
	from netip.AddrPort
	data []byte
	at   time.Time // of arrival
}

// packetConn is a [net.PacketConn] on a host.
type packetConn struct {
	host  *Host
	addr  netip.AddrPort
	group netip.Addr // invalid: joined none

	flight []packet    // on its way here, in the order of arrival
	timer  *time.Timer // fires when the front of flight arrives

	queue    []packet // arrived and not read, at most PacketQueueMax
	readable signal
	writable signal // waited for only while the host is paused
	readBy   deadline
	closed   bool
}

// ListenPacket opens a packet socket on "ip:port" or ":port" with the rules and errors of
// [Host.Listen]. It may also write to multicast groups.
func (h *Host) ListenPacket(addr string) (net.PacketConn, error) {
	at, err := h.parse(addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: err}
	}
	return h.bind(&packetConn{host: h, addr: at})
}

// Multicast opens a packet socket that receives what any host writes to the group, its own
// writes included. Many sockets may join the group of one port; a packet to the host's own
// address and that port reaches the first of them.
func (h *Host) Multicast(group netip.AddrPort) (net.PacketConn, error) {
	return h.bind(&packetConn{host: h, addr: netip.AddrPortFrom(h.ip, group.Port()), group: group.Addr()})
}

func (h *Host) bind(c *packetConn) (net.PacketConn, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	port := c.addr.Port()
	shared := func(o *packetConn) bool { return o.group.IsValid() && c.group.IsValid() }
	var err error
	switch {
	case h.down:
		err = syscall.ENETDOWN
	case c.addr.Addr() != h.ip, c.group.IsValid() && !c.group.IsMulticast():
		err = syscall.EADDRNOTAVAIL
	case port != 0 && !all(h.packets[port], shared):
		err = syscall.EADDRINUSE
	}
	if err != nil {
		at := net.UDPAddrFromAddrPort(c.addr)
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: at, Err: os.NewSyscallError("bind", err)}
	}
	if port == 0 {
		c.addr = h.ephemeral()
	}
	h.packets[c.addr.Port()] = append(h.packets[c.addr.Port()], c)
	return c, nil
}

func all[E any](s []E, ok func(E) bool) bool {
	return !slices.ContainsFunc(s, func(e E) bool { return !ok(e) })
}

func (c *packetConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.addr) }

// ReadFrom waits for a packet; what does not fit into b is lost. Its errors are
// net.ErrClosed and os.ErrDeadlineExceeded.
func (c *packetConn) ReadFrom(b []byte) (k int, from net.Addr, err error) {
	c.host.net.await(&c.readable, func() bool {
		switch {
		case c.closed:
			err = c.opError("read", net.ErrClosed)
		case c.host.paused:
			return false
		case c.readBy.passed():
			err = c.opError("read", os.ErrDeadlineExceeded)
		case len(c.queue) == 0:
			return false
		default:
			p := c.queue[0]
			c.queue[0] = packet{}
			c.queue = c.queue[1:]
			k, from = copy(b, p.data), net.UDPAddrFromAddrPort(p.from)
		}
		return true
	})
	return k, from, err
}

// WriteTo sends a packet to a host or a group and never waits for room. What is lost on the
// way is no error. Its errors are net.ErrClosed, EMSGSIZE, and EINVAL for an address that is
// not a [net.UDPAddr].
func (c *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	n := c.host.net
	ua, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, c.opError("write", os.NewSyscallError("sendto", syscall.EINVAL))
	}
	to := ua.AddrPort()
	to = netip.AddrPortFrom(to.Addr().Unmap().WithZone(""), to.Port())
	var err error
	var tap func(from, to netip.AddrPort, b []byte)
	n.await(&c.writable, func() bool {
		switch {
		case c.closed:
			err = c.opError("write", net.ErrClosed)
		case c.host.paused:
			return false
		case len(b) > PacketMax:
			err = c.opError("write", os.NewSyscallError("sendto", syscall.EMSGSIZE))
		default:
			tap = n.tap
			n.route(packet{from: c.addr, data: bytes.Clone(b)}, to)
		}
		return true
	})
	if err != nil {
		return 0, err
	}
	if tap != nil {
		tap(c.addr, to, b)
	}
	return len(b), nil
}

// route sends p to the sockets that to names. The caller holds mu.
func (n *Network) route(p packet, to netip.AddrPort) {
	n.stats.Packets++
	if !to.Addr().IsMulticast() {
		if h := n.hosts[to.Addr()]; h != nil && len(h.packets[to.Port()]) > 0 {
			n.carry(p, h.packets[to.Port()][0])
			return
		}
		n.stats.PacketsDropped++
		return
	}
	for _, h := range n.order {
		for _, c := range h.packets[to.Port()] {
			if c.group == to.Addr() {
				n.carry(p, c)
			}
		}
	}
}

// carry takes p to c, unless it is lost. The caller holds mu.
func (n *Network) carry(p packet, c *packetConn) {
	from, to := p.from.Addr(), c.host.ip
	if n.cut(from, to) || n.lost(from, to) {
		n.stats.PacketsDropped++
		return
	}
	// Packets of one instant keep their order, so that only jitter reorders.
	now := time.Now()
	p.at = now.Add(n.delay(from, to))
	i, _ := slices.BinarySearchFunc(c.flight, p.at, func(q packet, at time.Time) int {
		return cmp.Or(q.at.Compare(at), -1)
	})
	c.flight = slices.Insert(c.flight, i, p)
	c.land(now)
}

// Close frees the socket. Closing twice returns net.ErrClosed.
func (c *packetConn) Close() error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.shut()
	return nil
}

// SetDeadline is SetReadDeadline, as writing does not wait.
func (c *packetConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline sets when ReadFrom gives up; the zero time is never.
func (c *packetConn) SetReadDeadline(t time.Time) error {
	n := c.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	c.readBy.set(n, &c.readable, t)
	return nil
}

// SetWriteDeadline does nothing, as writing does not wait.
func (*packetConn) SetWriteDeadline(time.Time) error { return nil }

// The methods below are called with the lock of the network held.

// land queues what has arrived by now and sets the timer for the rest.
func (c *packetConn) land(now time.Time) {
	n := c.host.net
	for len(c.flight) > 0 && !c.flight[0].at.After(now) {
		p := c.flight[0]
		c.flight = slices.Delete(c.flight, 0, 1)
		if n.cut(p.from.Addr(), c.host.ip) || len(c.queue) >= PacketQueueMax {
			n.stats.PacketsDropped++
			continue
		}
		c.queue = append(c.queue, p)
		c.readable.broadcast()
	}
	switch {
	case len(c.flight) > 0 && c.timer == nil:
		c.timer = time.AfterFunc(c.flight[0].at.Sub(now), c.arrive)
	case len(c.flight) > 0:
		c.timer.Reset(c.flight[0].at.Sub(now))
	}
}

// arrive is the timer's call.
func (c *packetConn) arrive() {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	c.land(time.Now())
}

func (c *packetConn) shut() {
	c.closed = true
	c.host.net.stats.PacketsDropped += uint64(len(c.flight))
	c.flight, c.queue = nil, nil
	c.readBy.stop()
	socks := slices.DeleteFunc(c.host.packets[c.addr.Port()], func(o *packetConn) bool { return o == c })
	if c.host.packets[c.addr.Port()] = socks; len(socks) == 0 {
		delete(c.host.packets, c.addr.Port())
	}
	c.wake()
}

func (c *packetConn) wake() {
	c.readable.broadcast()
	c.writable.broadcast()
}

func (c *packetConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Addr: c.LocalAddr(), Err: err}
}
