// Package memnet is a network in memory: hosts with IP addresses, TCP-like streams,
// UDP-like packets and multicast groups, with latency, loss and faults on demand.
//
//	n := memnet.New(1)
//	n.SetLatency(time.Millisecond, 2*time.Millisecond)
//	a, b := n.Host(netip.MustParseAddr("10.0.0.1")), n.Host(netip.MustParseAddr("10.0.0.2"))
//	ln, err := b.Listen(ctx, ":7946")
//	...
//	c, err := a.Dial(ctx, ln.Addr().String())
//
// # What it promises
//
// Addresses are [net.TCPAddr] and [net.UDPAddr], errors are [net.OpError] around the error
// numbers of a real socket. Streams keep their order under every fault; a fault delays or
// resets them, as TCP would. Packets may be lost, and reordered by jitter. A host reaches
// itself at once and is never cut off from itself. A full buffer makes a writer wait; a full
// packet queue loses the packet and counts it.
//
// Closing a stream never waits: what was written still arrives, followed by io.EOF, or by
// ECONNRESET if unread bytes were thrown away (RFC 2525, section 2.17) or the peer writes on.
// What arrived before a reset can still be read, as on Linux. Both ends have CloseWrite.
//
// # Virtual time
//
// Everything that waits does so on a channel made by the waiter, and the package starts no
// goroutine of its own (timers are [time.AfterFunc]), so code that uses it runs in virtual
// time inside a testing/synctest bubble: a latency of 3 ms is exactly 3 ms there. Use a
// Network inside one bubble only.
//
// # Concurrency
//
// All methods may be called from many goroutines and at any time, faults also while traffic
// flows. One lock guards a whole network; it is never held while waiting or calling out.
package memnet

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Limits and times of a new network. The retransmission times are those of Linux
// (TCP_RTO_MIN, TCP_RTO_MAX, TCP_TIMEOUT_INIT in include/net/tcp.h).
const (
	// BufferDefault bounds the bytes of one direction of a stream that are written
	// and not yet read by the peer.
	BufferDefault = 256 << 10
	// UserTimeoutDefault is how long a stream survives without an acknowledgement.
	UserTimeoutDefault = 5 * time.Second
	// BacklogMax bounds the connections that wait in a listener for Accept. Further
	// dials are not answered, so that they try again.
	BacklogMax = 128
	// PacketQueueMax bounds the packets that wait in a packet socket. Further packets
	// are lost and counted in [Stats.PacketsDropped].
	PacketQueueMax = 1024
	// PacketMax is the largest payload of a packet in bytes: 65,535 less the headers of
	// IPv4 and UDP. A larger one fails with EMSGSIZE.
	PacketMax = 65_507

	segmentMax = 16 << 10               // bytes of a stream that are delayed or lost as one
	rtoMin     = 200 * time.Millisecond // before the first retransmission of a segment
	rtoMax     = 120 * time.Second      // the doubling of retransmission times ends here
	rtoDial    = time.Second            // before the first retransmission of a dial
)

// Stats are the totals of a [Network] since [New].
type Stats struct {
	Conns          uint64 // streams opened; both ends count as one
	Bytes          uint64 // bytes written to streams
	Packets        uint64 // packets written, a multicast packet counting once
	PacketsDropped uint64 // copies of packets lost: by chance, by a cut, in a full queue, or unwanted
}

// Network connects hosts. Create one with [New].
type Network struct {
	mu      sync.Mutex // guards all below and all fields of hosts, sockets and streams
	rand    *rand.Rand
	hosts   map[netip.Addr]*Host
	order   []*Host // the hosts in the order of their creation
	streams map[*stream]struct{}

	latency     span
	pairLatency map[path]span
	loss        float64
	cuts        map[path]bool
	groups      map[netip.Addr]int // the side of each host in a partition; 0 for the rest

	buffer      int
	userTimeout time.Duration
	tap         func(from, to netip.AddrPort, b []byte)
	stats       Stats
}

// path is one direction between two hosts.
type path struct{ from, to netip.Addr }

// span is a range of delays, bounds included.
type span struct{ min, max time.Duration }

// New returns a network without hosts, latency, loss or faults. The seed determines the
// chances of loss and jitter.
func New(seed uint64) *Network {
	return &Network{
		rand:        rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // a simulation, not a secret
		hosts:       map[netip.Addr]*Host{},
		streams:     map[*stream]struct{}{},
		pairLatency: map[path]span{},
		cuts:        map[path]bool{},
		buffer:      BufferDefault,
		userTimeout: UserTimeoutDefault,
	}
}

// Host returns the host with the address ip, which it creates on first use.
func (n *Network) Host(ip netip.Addr) *Host {
	ip = ip.Unmap()
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[ip]
	if h == nil {
		h = &Host{
			net: n, ip: ip, nextPort: portFirst,
			listeners: map[uint16]*listener{}, packets: map[uint16][]*packetConn{},
		}
		n.hosts[ip] = h
		n.order = append(n.order, h)
	}
	return h
}

// SetLatency sets the one-way delay between hosts, which is drawn evenly from least to
// most for each segment and packet. Default 0. Jitter never reorders a stream. What is on
// its way keeps its delay.
func (n *Network) SetLatency(least, most time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latency = span{least, max(least, most)}
}

// SetPairLatency is [Network.SetLatency] for both directions between a and b only.
func (n *Network) SetPairLatency(a, b netip.Addr, least, most time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, b = a.Unmap(), b.Unmap()
	s := span{least, max(least, most)}
	n.pairLatency[path{a, b}], n.pairLatency[path{b, a}] = s, s
}

// SetLoss sets the probability, 0 to 1, that a segment or packet is lost. Default 0. A lost
// packet is gone. A lost segment of a stream arrives by retransmission after 200 ms, or,
// lost again, after 400 ms more and so on; what was written behind it waits.
func (n *Network) SetLoss(p float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = p
}

// SetBuffer sets the bytes that one direction of a stream takes before Write waits for the
// reader. Default [BufferDefault]; it holds for all streams from their next write on.
func (n *Network) SetBuffer(bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.buffer = bytes
	for s := range n.streams {
		s.src.writable.broadcast()
	}
}

// SetUserTimeout sets how long the acknowledgement of a stream's bytes may be prevented by
// a cut, in either direction, before the writer fails with ETIMEDOUT (TCP_USER_TIMEOUT).
// Default [UserTimeoutDefault], 0 is for ever. It applies to cuts noticed from now on.
func (n *Network) SetUserTimeout(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.userTimeout = d
}

// Tap has f called with the bytes of every later write to a stream, in pieces of at most
// 16 KiB, and of every packet, once they were accepted. f runs on the goroutine of the writer
// and must not keep b. A nil f ends it; one tap is active at a time.
func (n *Network) Tap(f func(from, to netip.AddrPort, b []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = f
}

// Stats returns the totals so far.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// delay draws the time that something takes from one host to another. The caller holds mu.
func (n *Network) delay(from, to netip.Addr) time.Duration {
	if from == to {
		return 0
	}
	s, ok := n.pairLatency[path{from, to}]
	if !ok {
		s = n.latency
	}
	if s.max == s.min {
		return s.min
	}
	return s.min + time.Duration(n.rand.Int64N(int64(s.max-s.min)+1))
}

// lost draws whether something is lost between two hosts. The caller holds mu.
func (n *Network) lost(from, to netip.Addr) bool {
	return from != to && n.loss > 0 && n.rand.Float64() < n.loss
}

// cut reports whether nothing passes from one host to another. The caller holds mu.
func (n *Network) cut(from, to netip.Addr) bool {
	return from != to && (n.cuts[path{from, to}] || n.groups[from] != n.groups[to])
}
