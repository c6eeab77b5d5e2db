package memnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// portFirst is the first port that is given out when none is asked for (RFC 6335).
const portFirst = 49152

// Host is a machine with one address that runs one process. Get it from [Network.Host].
type Host struct {
	net       *Network
	ip        netip.Addr
	nextPort  uint16
	listeners map[uint16]*listener
	packets   map[uint16][]*packetConn // several only where all joined a group

	down    bool
	paused  bool
	resumed signal
}

// Addr returns the address of the host.
func (h *Host) Addr() netip.Addr { return h.ip }

// Listen opens a listener on "ip:port" or ":port"; port 0 picks a free one. The address
// that it reports has the IP of the host. It fails with EADDRINUSE if the port is taken,
// EADDRNOTAVAIL if the IP is another host's, and ENETDOWN if the host is down.
func (h *Host) Listen(ctx context.Context, addr string) (net.Listener, error) {
	at, err := h.parse(addr)
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	switch {
	case err != nil:
	case ctx.Err() != nil:
		err = ctx.Err()
	case h.down:
		err = os.NewSyscallError("listen", syscall.ENETDOWN)
	case at.Addr() != h.ip:
		err = os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	case at.Port() != 0 && h.listeners[at.Port()] != nil:
		err = os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(at), Err: err}
	}
	if at.Port() == 0 {
		at = h.ephemeral()
	}
	l := &listener{host: h, addr: at}
	h.listeners[at.Port()] = l
	return l, nil
}

// Dial connects to "ip:port" in one round trip. An unspecified or loopback IP is the host
// itself. It fails with ECONNREFUSED if nobody listens there. If no host has the address, or
// it is cut off, or its backlog is full, Dial tries again after 1 s, after 2 s more, after
// 4 s more and so on until ctx ends. It fails with ENETDOWN if the host itself is down.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	to, err := h.parse(addr)
	for rto := rtoDial; err == nil; rto = min(2*rto, rtoMax) {
		again := time.Now().Add(rto)
		var c *conn
		if c, err = h.handshake(ctx, to); c != nil {
			return c, nil
		}
		if err == nil {
			err = sleep(ctx, time.Until(again))
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
}

// handshake tries to connect once. Without a connection and an error it got no answer.
func (h *Host) handshake(ctx context.Context, to netip.AddrPort) (*conn, error) {
	if err := h.awake(ctx); err != nil {
		return nil, err
	}
	n := h.net
	if there, err := n.travel(ctx, h.ip, to.Addr()); !there {
		return nil, err
	}
	n.mu.Lock()
	peer := n.hosts[to.Addr()]
	refused := peer != nil && peer.listeners[to.Port()] == nil
	ignored := peer == nil || !refused && peer.listeners[to.Port()].full()
	n.mu.Unlock()
	if ignored {
		return nil, nil
	}
	if back, err := n.travel(ctx, to.Addr(), h.ip); !back {
		return nil, err
	}
	if err := h.awake(ctx); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	l := peer.listeners[to.Port()]
	switch {
	case h.down:
		return nil, os.NewSyscallError("connect", syscall.ENETDOWN)
	case refused || l == nil:
		return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	c := newPair(h, h.ephemeral(), l)
	c.out.push(segment{kind: kindOpen})
	return c, nil
}

// travel waits while a handshake's packet is under way, and reports whether it arrived.
func (n *Network) travel(ctx context.Context, from, to netip.Addr) (bool, error) {
	n.mu.Lock()
	wait := n.delay(from, to)
	gone := n.cut(from, to) || n.lost(from, to)
	n.mu.Unlock()
	if gone {
		return false, nil
	}
	if err := sleep(ctx, wait); err != nil {
		return false, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cut(from, to), nil
}

// awake waits while the host is paused.
func (h *Host) awake(ctx context.Context) error {
	for {
		h.net.mu.Lock()
		if !h.paused {
			h.net.mu.Unlock()
			return ctx.Err()
		}
		ch := h.resumed.wait()
		h.net.mu.Unlock()
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// parse reads an address; no IP, an unspecified and a loopback IP stand for the host's.
func (h *Host) parse(addr string) (netip.AddrPort, error) {
	if addr != "" && addr[0] == ':' {
		addr = "0.0.0.0" + addr
	}
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return at, &net.AddrError{Err: "not an IP address with a port", Addr: addr}
	}
	ip := at.Addr().Unmap()
	if ip.IsUnspecified() || ip.IsLoopback() {
		ip = h.ip
	}
	return netip.AddrPortFrom(ip, at.Port()), nil
}

// ephemeral returns the host's address with a free port. The caller holds mu.
func (h *Host) ephemeral() netip.AddrPort {
	for range 1<<16 - portFirst {
		p := h.nextPort
		if h.nextPort++; h.nextPort == 0 {
			h.nextPort = portFirst
		}
		if h.listeners[p] == nil && h.packets[p] == nil {
			return netip.AddrPortFrom(h.ip, p)
		}
	}
	panic("memnet: all ports of " + h.ip.String() + " are taken") //nolint:forbidigo // a test's mistake
}

// listener is a [net.Listener] on a host.
type listener struct {
	host   *Host
	addr   netip.AddrPort
	queue  []*conn // connected and not accepted, at most BacklogMax
	ready  signal
	closed bool
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// Accept waits for a connection. After Close it fails with net.ErrClosed.
func (l *listener) Accept() (c net.Conn, err error) {
	l.host.net.await(&l.ready, func() bool {
		switch {
		case l.closed:
			err = &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
		case l.host.paused || len(l.queue) == 0:
			return false
		default:
			c = l.queue[0]
			l.queue = l.queue[1:]
		}
		return true
	})
	return c, err
}

// Close frees the port and resets the connections that nobody accepted.
func (l *listener) Close() error {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	if l.closed {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
	l.shut()
	return nil
}

// The methods below are called with the lock of the network held.

func (l *listener) full() bool { return len(l.queue) >= BacklogMax }

// offer queues c for Accept, or resets it.
func (l *listener) offer(c *conn) {
	if l.closed || l.full() {
		c.kill()
		return
	}
	l.queue = append(l.queue, c)
	l.ready.broadcast()
}

func (l *listener) shut() {
	l.closed = true
	delete(l.host.listeners, l.addr.Port())
	for _, c := range l.queue {
		c.kill()
	}
	l.queue = nil
	l.ready.broadcast()
}
