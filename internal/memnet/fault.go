package memnet

import (
	"maps"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// Partition cuts the hosts of each group off from all others; hosts in no group are one
// more group. It replaces an earlier partition. Packets are lost. Bytes of streams are
// held and flow again with the sender's first retransmission after the heal, that is at
// most as long after it as the cut lasted, or 200 ms; see [Network.SetUserTimeout] for how
// long a stream endures it. A dial waits.
func (n *Network) Partition(groups ...[]netip.Addr) {
	side := map[netip.Addr]int{}
	for i, g := range groups {
		for _, ip := range g {
			side[ip.Unmap()] = i + 1
		}
	}
	n.change(func() { n.groups = side })
}

// CutOneWay stops everything that goes from one host to another, acknowledgements included;
// the other direction stays open. So a stream's bytes still arrive that way, but their
// writer, too, fails in the end because it hears nothing back.
func (n *Network) CutOneWay(from, to netip.Addr) {
	n.change(func() { n.cuts[path{from.Unmap(), to.Unmap()}] = true })
}

// Heal ends the partition and all one-way cuts. Latency, loss, and hosts that are down or
// paused stay as they are.
func (n *Network) Heal() {
	n.change(func() {
		n.groups = nil
		clear(n.cuts)
	})
}

// change applies a change of the cuts to all streams.
func (n *Network) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	now := time.Now()
	for s := range n.streams {
		s.pathChanged(now)
	}
}

// Reset fails every connection between a and b at both ends with ECONNRESET, at once and
// whatever is cut. Bytes on their way are lost.
func (n *Network) Reset(a, b netip.Addr) {
	a, b = a.Unmap(), b.Unmap()
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range n.streams {
		from, to := s.src.host.ip, s.dst.host.ip
		if from == a && to == b || from == b && to == a {
			s.src.fail(syscall.ECONNRESET)
			s.dst.fail(syscall.ECONNRESET)
		}
	}
}

// Down kills the process of a host: its sockets fail with net.ErrClosed, the peers of its
// connections see a reset after the latency, if it can reach them, and dials to it are
// refused. Listen and Dial at this host fail with ENETDOWN until [Network.Up].
func (n *Network) Down(ip netip.Addr) {
	h := n.Host(ip)
	n.mu.Lock()
	defer n.mu.Unlock()
	h.down, h.paused = true, false
	h.resumed.broadcast()
	for _, p := range slices.Sorted(maps.Keys(h.listeners)) {
		h.listeners[p].shut()
	}
	for _, p := range slices.Sorted(maps.Keys(h.packets)) {
		for _, c := range slices.Clone(h.packets[p]) {
			c.shut()
		}
	}
	for s := range n.streams {
		if s.src.host == h && !s.src.closed {
			s.src.kill()
		}
	}
}

// Up lets a host that is down open sockets again.
func (n *Network) Up(ip netip.Addr) {
	h := n.Host(ip)
	n.mu.Lock()
	defer n.mu.Unlock()
	h.down = false
}

// Pause freezes the process of a host, as SIGSTOP does: its calls to read, write, accept
// and dial wait until [Network.Resume], whatever their deadlines; only closing a socket and
// the end of a dial's context end them. Its kernel goes on: it takes connections, bytes and
// packets up to the limits of the buffers, and delivers what was written before. Timers of
// the frozen program still fire.
func (n *Network) Pause(ip netip.Addr) {
	h := n.Host(ip)
	n.mu.Lock()
	defer n.mu.Unlock()
	h.paused = true
}

// Resume ends a [Network.Pause].
func (n *Network) Resume(ip netip.Addr) {
	h := n.Host(ip)
	n.mu.Lock()
	defer n.mu.Unlock()
	h.paused = false
	h.resumed.broadcast()
	for _, l := range h.listeners {
		l.ready.broadcast()
	}
	for _, socks := range h.packets {
		for _, c := range socks {
			c.wake()
		}
	}
	for s := range n.streams {
		if s.src.host == h {
			s.src.wake()
		}
	}
}
