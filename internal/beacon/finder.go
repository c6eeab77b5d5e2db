package beacon

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/packet"
)

// Interval is the time between two beacons of a node that runs for a while. It is drawn
// anew each time, up to a fifth shorter or longer, so that nodes that started together
// fall out of step.
const Interval = 2 * time.Second

// opening says when the first beacons leave, counted from the start or from a change of
// the interfaces. The first makes a join quick, the others make up for loss and for a
// switch that takes its time to let a new member of the group in.
//
//nolint:gochecknoglobals // a constant table
var opening = [...]time.Duration{
	0, 50 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond, time.Second,
}

// Config says whom a [Finder] announces and whom it knows. All fields are required.
type Config struct {
	Tag         packet.ClusterTag // of the cluster; datagrams with another are ignored
	ID          ident.NodeID      // of this node
	Incarnation ident.Incarnation // of this node
	Port        uint16            // the TCP port on which this node listens

	// Linked reports whether a node needs no finding. The Finder calls it from
	// Received.
	Linked func(ident.NodeID) bool

	// Nonce returns 16 bytes that nobody can foresee.
	Nonce func() packet.Nonce
}

// Stats counts what a [Finder] did and what it ignored, for each datagram one.
type Stats struct {
	Beacons    uint64 // announcements due
	Challenges uint64 // questions asked
	Answers    uint64 // questions answered
	Found      uint64 // answers that named an address

	Malformed uint64 // not a datagram of this protocol version
	Foreign   uint64 // of another cluster
	Own       uint64 // of this node itself, as loopback brings them back
	Outside   uint64 // from outside the subnets of the receiving interface
	Linked    uint64 // announcements of nodes that are linked
	Repeated  uint64 // announcements from a source questioned less than ChallengeLife ago
	Limited   uint64 // announcements and questions above RateMax or ShareMax
	Unasked   uint64 // answers to no question, too late, or not what was announced
}

// From is where a datagram came from, as the socket saw it.
type From struct {
	Addr     netip.AddrPort // its source; an IPv6 link-local one with its zone
	InSubnet bool           // it lies in a subnet of the interface that received it
}

// Action is what [Finder.Received] asks for: a [Reply] or [Found].
type Action interface{ action() }

// Reply is a datagram to send to one address.
type Reply struct {
	To     netip.AddrPort
	Packet []byte
}

// Found is a node that answered for its address.
type Found struct {
	Addr        netip.AddrPort // the address that answered, with the TCP port that it named
	ID          ident.NodeID   // who it claims to be; the dial must prove it
	Incarnation ident.Incarnation
}

func (Reply) action() {}
func (Found) action() {}

// Finder finds nodes. It must be used by one goroutine.
type Finder struct {
	c      Config
	rand   *rand.Rand
	beacon []byte
	began  time.Time // when the opening began
	opened int       // beacons of the opening that have left
	next   time.Time // when the next beacon leaves
	asked  window    // questions
	told   window    // answers
	stats  Stats
}

// New returns a Finder whose first beacon is due at once. r is the source of jitter.
func New(c Config, r *rand.Rand) *Finder {
	b := packet.Beacon{Tag: c.Tag, ID: c.ID, Incarnation: c.Incarnation, Port: c.Port}
	return &Finder{c: c, rand: r, beacon: b.Append(nil)}
}

// Tick returns the datagram to send to the group on every interface, or nil if none is
// due. It is the same slice each time; the caller must not change it. Beacons that a
// late Tick missed are not made up for.
func (f *Finder) Tick(now time.Time) []byte {
	if now.Before(f.next) {
		return nil
	}
	if f.opened == 0 {
		f.began = now
	}
	f.opened++
	for f.opened < len(opening) && !f.began.Add(opening[f.opened]).After(now) {
		f.opened++
	}
	if f.opened < len(opening) {
		f.next = f.began.Add(opening[f.opened])
	} else {
		const fifth = Interval / 5
		f.next = now.Add(Interval - fifth + time.Duration(f.rand.Int64N(int64(2*fifth)+1)))
	}
	f.stats.Beacons++
	return f.beacon
}

// Next returns when the next beacon is due; the zero time means at once.
func (f *Finder) Next() time.Time { return f.next }

// Moved tells that the interfaces of this host changed: the next beacon is due at once
// and the opening begins anew.
func (f *Finder) Moved() { f.opened, f.next = 0, time.Time{} }

// Received takes a datagram from the group or from one node and returns what to do, or
// nil. It keeps nothing of b.
func (f *Finder) Received(now time.Time, from From, b []byte) Action {
	p, err := packet.Decode(b)
	if err != nil || !from.Addr.IsValid() || from.Addr.Port() == 0 {
		f.stats.Malformed++
		return nil
	}
	if !from.InSubnet {
		f.stats.Outside++
		return nil
	}
	switch p := p.(type) {
	case packet.Beacon:
		if f.ours(p.Tag, p.ID) {
			return f.question(now, from.Addr, p)
		}
	case packet.Challenge:
		if f.ours(p.Tag, p.ID) {
			return f.answer(now, from.Addr, p)
		}
	case packet.Answer:
		if f.ours(p.Tag, p.ID) {
			return f.conclude(now, from.Addr, p)
		}
	}
	return nil
}

// ours reports whether a datagram is of another node of this cluster.
func (f *Finder) ours(tag packet.ClusterTag, id ident.NodeID) bool {
	switch {
	case tag != f.c.Tag:
		f.stats.Foreign++
	case id == f.c.ID:
		f.stats.Own++
	default:
		return true
	}
	return false
}

// question answers a beacon with a challenge.
func (f *Finder) question(now time.Time, from netip.AddrPort, p packet.Beacon) Action {
	if f.c.Linked(p.ID) {
		f.stats.Linked++
		return nil
	}
	f.asked.expire(now)
	if f.asked.find(from) != nil {
		f.stats.Repeated++
		return nil
	}
	if !f.asked.admits(from.Addr()) {
		f.stats.Limited++
		return nil
	}
	q := packet.Challenge{Tag: f.c.Tag, Nonce: f.c.Nonce(), ID: f.c.ID, Port: f.c.Port}
	f.asked = append(f.asked, sent{at: now, to: from, nonce: q.Nonce, id: p.ID, incarnation: p.Incarnation})
	f.stats.Challenges++
	return Reply{To: from, Packet: q.Append(nil)}
}

// answer repeats the nonce of a challenge.
func (f *Finder) answer(now time.Time, from netip.AddrPort, p packet.Challenge) Action {
	f.told.expire(now)
	if !f.told.admits(from.Addr()) {
		f.stats.Limited++
		return nil
	}
	f.told = append(f.told, sent{at: now, to: from})
	f.stats.Answers++
	a := packet.Answer{
		Tag: f.c.Tag, Nonce: p.Nonce, ID: f.c.ID, Incarnation: f.c.Incarnation, Port: f.c.Port,
	}
	return Reply{To: from, Packet: a.Append(nil)}
}

// conclude holds an answer against its question.
func (f *Finder) conclude(now time.Time, from netip.AddrPort, p packet.Answer) Action {
	f.asked.expire(now)
	q := f.asked.find(from)
	if q == nil || q.answered || q.nonce != p.Nonce || q.id != p.ID || q.incarnation != p.Incarnation {
		f.stats.Unasked++
		return nil
	}
	q.answered = true
	f.stats.Found++
	return Found{Addr: netip.AddrPortFrom(from.Addr(), p.Port), ID: p.ID, Incarnation: p.Incarnation}
}

// Stats returns the counters.
func (f *Finder) Stats() Stats { return f.stats }
