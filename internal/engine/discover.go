package engine

import (
	"context"
	"crypto/rand"
	"net/netip"
	"time"

	"github.com/espial-go/espial/internal/beacon"
	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/packet"
)

// Beacons carries discovery datagrams. Package multicast does it over UDP.
type Beacons interface {
	// Run receives until ctx ends, and closes. It calls receive for each datagram, from
	// several goroutines; b is valid until receive returns. moved is called when the
	// interfaces of the host changed.
	Run(ctx context.Context, receive func(b []byte, from netip.AddrPort, inSubnet bool), moved func()) error

	// Close ends what was opened; the end of Run does it too.
	Close()

	// Send sends b to the group on every interface. It does not wait.
	Send(b []byte)

	// Reply sends b to one node. It does not wait.
	Reply(b []byte, to netip.AddrPort)

	// Status returns figures for people.
	Status() map[string]uint64
}

// listenBeacons brings the owner what the carrier of beacons receives.
func (e *Engine) listenBeacons(ctx context.Context) error {
	return e.cfg.Beacons.Run(ctx, func(b []byte, from netip.AddrPort, inSubnet bool) {
		b = append([]byte(nil), b...)
		e.offer(func(now time.Time) { e.heardBeacon(now, b, beacon.From{Addr: from, InSubnet: inSubnet}) })
	}, func() {
		e.moved()
	})
}

// moved tells the others where this node is now.
func (e *Engine) moved() {
	addrs, err := e.cfg.Addrs, error(nil)
	if e.cfg.Readdress != nil {
		addrs, err = e.cfg.Readdress()
	}
	e.put(func(now time.Time) {
		e.beacons.Moved()
		if err == nil && len(addrs) > 0 {
			err = e.core.SetAddrs(now, addrs)
		}
		if log := e.throttled(classAddrs); err != nil && log != nil {
			log.Warn("addresses stay as they were", "err", err)
		}
	})
}

// heardBeacon carries out what the finder makes of a datagram.
func (e *Engine) heardBeacon(now time.Time, b []byte, from beacon.From) {
	if e.leaving {
		return
	}
	switch a := e.beacons.Received(now, from, b).(type) {
	case beacon.Reply:
		e.cfg.Beacons.Reply(a.Packet, a.To)
	case beacon.Found:
		e.core.Found(now, dial.Candidate{Addr: a.Addr.String(), Source: dial.Multicast, ID: a.ID})
	}
}

// linked reports whether this node has a link with another. Only the owner calls it.
func (e *Engine) linked(id ident.NodeID) bool { return e.core.Holds(id) != [8]byte{} }

func newNonce() (n packet.Nonce) {
	rand.Read(n[:]) // never fails: it ends the program instead
	return n
}

// Peer is a linked member.
type Peer struct {
	Member         core.Member
	Remote         netip.AddrPort
	Endpoint       string // Remote as text, or what there is in its place
	RTT            time.Duration
	Cipher         string
	Since          time.Time
	Sent, Received uint64 // bytes
}

// Peers returns the linked members in the order of the view; none if the engine ended.
func (e *Engine) Peers() []Peer {
	peers, _ := query(e, func(time.Time) []Peer {
		var out []Peer
		for _, m := range e.View().Members {
			l := e.links[m.Link]
			if l == nil {
				continue
			}
			sent, received := l.conn.Bytes()
			out = append(out, Peer{
				Member: m, Remote: l.conn.Remote(), Endpoint: e.endpoint(l, m),
				RTT: e.core.RTT(m.Record.ID), Cipher: l.conn.Cipher(),
				Since: l.since, Sent: sent, Received: received,
			})
		}
		return out
	})
	return peers
}

// Self returns this node as its members see it.
func (e *Engine) Self() core.Member {
	for _, m := range e.View().Members {
		if m.Self {
			return m
		}
	}
	return core.Member{Record: e.record(), Self: true}
}

// RTTs returns the smoothed round-trip times of the linked members.
func (e *Engine) RTTs() map[ident.NodeID]time.Duration {
	out := map[ident.NodeID]time.Duration{}
	for _, p := range e.Peers() {
		out[p.Member.Record.ID] = p.RTT
	}
	return out
}

// Changes returns a feed that begins with the present members and leaders, and then has
// every change. It registers now.
func (e *Engine) Changes(ctx context.Context) *Feed {
	f, err := ask(ctx, e, func(now time.Time) *Feed {
		first := []Change{e.cfg.Listening}
		for _, m := range e.View().Members {
			if !m.Self {
				first = append(first, Change{Change: core.Change{Kind: core.AddedNode, At: now, Member: m}})
			}
		}
		first = append(first, e.leading(now)...)
		if e.diskErr != nil {
			first = append(first, e.diskDown(now))
		}
		return e.hub.add(first)
	})
	if err != nil {
		f = newFeed(e.hub)
		f.end()
	}
	return f
}

// SetMeta replaces the metadata of this node.
func (e *Engine) SetMeta(ctx context.Context, meta map[string]string) error {
	return order(ctx, e, func(now time.Time) error { return e.core.SetMeta(now, meta) })
}

// Pin wants a link with a node for as long as it is a member.
func (e *Engine) Pin(ctx context.Context, id ident.NodeID) error {
	return order(ctx, e, func(now time.Time) error {
		e.core.Pin(now, id)
		return nil
	})
}

// PinAddr tries an address for life and wants a link with who answers there. It returns
// [ErrPins] if there are too many of them.
func (e *Engine) PinAddr(ctx context.Context, addr string) error {
	return order(ctx, e, func(now time.Time) error {
		if !e.core.PinAddr(now, addr) {
			return ErrPins
		}
		return nil
	})
}

// drainInterval is how often Drain looks.
const drainInterval = 5 * time.Millisecond

// Drain waits until every linked member has acknowledged everything, or ctx ends.
func (e *Engine) Drain(ctx context.Context) error {
	t := time.NewTicker(drainInterval)
	defer t.Stop()
	for !e.exchange.Drained() {
		select {
		case <-t.C:
		case <-e.ended:
			return ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Status holds figures for people.
type Status struct {
	Members, Peers             int
	Multicast, Queues, Dropped map[string]uint64
	DiskError                  string // why marks cannot be written; empty if they can
}

// Status returns figures on the node.
func (e *Engine) Status() Status {
	onDemand := uint64(0)
	s, ok := query(e, func(time.Time) Status {
		onDemand = uint64(e.core.OnDemand())
		v := e.View()
		s := Status{Members: len(v.Members), Multicast: map[string]uint64{}}
		for _, m := range v.Members {
			if m.Link != 0 { // not every link has its member listed, and one that rotates has two
				s.Peers++
			}
		}
		if e.diskErr != nil {
			s.DiskError = e.diskErr.Error()
		}
		if e.cfg.Beacons != nil {
			s.Multicast = e.cfg.Beacons.Status()
			b := e.beacons.Stats()
			s.Multicast["found"], s.Multicast["foreign"] = b.Found, b.Foreign
			s.Multicast["ignored"] = b.Malformed + b.Outside + b.Limited + b.Unasked
		}
		return s
	})
	if !ok {
		s = Status{Members: 1, Multicast: map[string]uint64{}} // alone, and nowhere
	}
	s.Queues, s.Dropped = e.exchange.Figures()
	s.Queues["streams"], s.Queues["stream_connections"] = e.streams.figures()
	s.Queues["links_on_demand"] = onDemand
	s.Dropped["stream_connections"] = e.streams.refused.Load()
	s.Dropped["unwrapped_streams"] = e.streams.unwrapped.Load()
	s.Queues["inputs"] = uint64(len(e.inputs))
	s.Dropped["inputs"] = e.dropped.inputs.Load()
	s.Dropped["breaches"] = e.dropped.breaches.Load()
	s.Dropped["handshakes"] = e.dropped.handshakes.Load()
	s.Dropped["records"] = e.dropped.records.Load()
	s.Dropped["unspoken"] = e.dropped.unspoken.Load()
	s.Dropped["suspicions"] = e.dropped.suspicions.Load()
	s.Dropped["half_open"], s.Dropped["too_often"] = e.gate.Refused()
	return s
}
