package sim

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	// dialTimeout is how long a node waits for a connection, as in package engine.
	dialTimeout = time.Second

	// rtoMin is the first retransmission time-out of a stream; it doubles with every
	// further try, as TCP's does (RFC 6298, with the minimum that Linux uses).
	rtoMin = 200 * time.Millisecond

	// lossyLoss is the probability that a segment is lost where most of them are.
	lossyLoss = 0.8

	// userTimeout is how long a stream may hold data that the peer's kernel has not
	// acknowledged before it breaks (TCP_USER_TIMEOUT as the link sets it).
	userTimeout = 5 * time.Second
)

// network is the wire between the hosts: a latency, a loss rate, and which
// directions are cut. A host is an index; it has one address and at most one
// process.
type network struct {
	loop    *loop
	rand    *rand.Rand
	latency time.Duration // one way
	jitter  time.Duration // at most this much is added to the latency of a segment
	loss    float64       // probability that a segment is lost
	drop    float64       // probability that a node drops a control frame that arrived
	cut     map[path]int  // how many faults cut a direction now
	lossy   map[path]int  // how many faults lose most of what goes that way
	bound   map[netip.AddrPort]*process
	conns   uint64 // connections made
}

// path is one direction between two hosts.
type path struct{ from, to int }

// open reports whether packets flow from one host to another. A host always reaches
// itself.
func (n *network) open(p path) bool { return p.from == p.to || n.cut[p] == 0 }

// through decides the fate of one segment: whether it arrives.
func (n *network) through(p path) bool {
	loss := n.loss
	if n.lossy[p] > 0 {
		loss = lossyLoss
	}
	return n.open(p) && (loss == 0 || n.rand.Float64() >= loss)
}

// delay draws how long one segment takes.
func (n *network) delay() time.Duration {
	if n.jitter == 0 {
		return n.latency
	}
	return n.latency + time.Duration(n.rand.Int64N(int64(n.jitter)))
}

// dialError says how a dial ended without a connection.
type dialError uint8

const (
	dialOK dialError = iota
	dialRefused
	dialTimedOut
)

// dial connects from to the address and calls done in the process of from: after a
// round trip with a connection or a refusal, or after [dialTimeout]. A lost SYN is
// sent again after one second, which is when the caller gives up, so one loss is a
// time-out.
func (n *network) dial(from *process, addr netip.AddrPort, done func(*end, dialError)) {
	ended := false
	finish := func(e *end, err dialError) {
		if ended {
			if e != nil {
				e.reset()
			}
			return
		}
		ended = true
		done(e, err)
	}
	n.loop.after(dialTimeout, func() { from.do(func() { finish(nil, dialTimedOut) }) })
	host, known := hostOf(addr)
	if !known || !n.through(path{from.host, host}) {
		return // as a dropped SYN: nobody answers
	}
	n.loop.after(n.delay(), func() {
		to := n.bound[addr]
		if !n.through(path{host, from.host}) {
			return
		}
		if to == nil {
			n.loop.after(n.delay(), func() { from.do(func() { finish(nil, dialRefused) }) })
			return
		}
		near, far := n.connect(from, to)
		// The kernel completes the handshake even while the process is paused.
		to.do(func() { to.accept(far) })
		n.loop.after(n.delay(), func() { from.do(func() { finish(near, dialOK) }) })
	})
}

// hostAddr is the address of a host with the given port.
func hostAddr(host int, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(host >> 8), byte(host)}), port)
}

// hostOf is the inverse of hostAddr.
func hostOf(addr netip.AddrPort) (host int, ok bool) {
	if !addr.Addr().Is4() {
		return 0, false
	}
	b := addr.Addr().As4()
	return int(b[2])<<8 | int(b[3]), b[0] == 10 && b[1] == 0
}
