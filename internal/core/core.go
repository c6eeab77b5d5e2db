package core

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/fault"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/member"
	"github.com/espial-go/espial/internal/overlay"
)

// Defaults and limits of [Config].
const (
	MinPeersDefault = overlay.MinPeersDefault
	PeersMax        = overlay.LinksMax
	PinsMax         = 256 // addresses that [Core.PinAddr] takes, besides [Config.Seeds]
)

// Config holds what a [Core] is made of.
type Config struct {
	// Self is this node's ID.
	Self ident.NodeID

	// Record is what this node says about itself: public key, incarnation, name, host,
	// addresses, eligibility, metadata. Version, join number, rings, links and signature
	// are core's business.
	Record frame.Record

	// Sign signs a record of this node; see [frame.Record.Sign].
	Sign func(*frame.Record) error

	// Vouch signs a suspicion of this node; see [frame.Suspicion.Sign].
	Vouch func(*frame.Suspicion) error

	// Check refuses a record of another node, for the grammar of what it says. Nil
	// refuses none.
	Check func(frame.Record) error

	// SuspectAfter and RemoveAfter are the times without a sign of life after which a
	// member is suspected and removed. Defaults 1 s and 3 s.
	SuspectAfter, RemoveAfter time.Duration

	// MinPeers is how many links the node looks for, MaxPeers how many it has at most. See
	// [overlay.Config] for defaults and limits; 0 means the default.
	MinPeers, MaxPeers int

	// Seeds are the addresses that the user named: host:port, or scheme://rest.
	Seeds []string

	// Schemes are those of addresses that this node can dial. Default [frame.TCP] alone.
	Schemes []string

	// Rand is the source of chance. It serves this Core alone.
	Rand *rand.Rand
}

// Core decides what a node does about its cluster. It must be used by one goroutine.
type Core struct {
	self     ident.NodeID
	table    *member.Table
	detector *fault.Detector
	dials    *dial.Scheduler
	schemes  []string // of addresses that this node can dial
	paths    []string // schemes of seeds that are paths of this host
	unspoken []unspoken

	mesh   mesh
	demand demand

	links   map[LinkID]*link       // reported up and not yet down
	peers   map[ident.NodeID]*link // of each pair the one that counts
	awaited []*link                // whose peer's record has not come, oldest first; and some others
	grants  map[ident.NodeID]grant // the arbiter's last yes to each peer
	serial  uint64                 // of the last grant

	flights map[uint64]Dial         // dials that have not ended
	reached map[ident.NodeID]string // where each listed member was linked last
	named   map[ident.NodeID]string // what named a node first that is not listed yet
	// rotating has when the replacement of the link with a peer was last tried; rotated
	// counts the tries.
	rotating map[ident.NodeID]time.Time
	rotated  uint64
	retired  []*link // replaced, for the peer to close

	suspicions suspicions
	vouch      func(*frame.Suspicion) error

	reports reports
	leaving bool

	out     []Action
	changed bool   // the view is not what the last View said
	views   uint64 // number of the last View
}

// New returns the core of a node that starts now and knows nobody. It fails if the
// record cannot be signed. Its first View is of this node alone.
func New(now time.Time, c Config) (*Core, error) {
	c.Record.ID, c.Record.Rings = c.Self, overlay.Rings(c.MaxPeers)
	c.Record.Links = uint16(min(c.MaxPeers, overlay.LinksMax))
	if len(c.Schemes) == 0 {
		c.Schemes = []string{frame.TCP}
	}
	table, err := member.New(now, member.Config{
		Record: c.Record, Sign: c.Sign, Check: c.Check, RemoveAfter: c.RemoveAfter, Rand: c.Rand,
	})
	if err != nil {
		return nil, fmt.Errorf("core: %w", err)
	}
	k := &Core{
		self:  c.Self,
		table: table,
		detector: fault.New(fault.Config{
			Self: c.Self, Incarnation: c.Record.Incarnation,
			SuspectAfter: c.SuspectAfter, RemoveAfter: c.RemoveAfter,
		}, c.Rand),
		dials:      newDials(c),
		schemes:    c.Schemes,
		mesh:       newMesh(c, table.Self()),
		demand:     newDemand(),
		vouch:      c.Vouch,
		links:      map[LinkID]*link{},
		peers:      map[ident.NodeID]*link{},
		grants:     map[ident.NodeID]grant{},
		flights:    map[uint64]Dial{},
		reached:    map[ident.NodeID]string{},
		rotating:   map[ident.NodeID]time.Time{},
		named:      map[ident.NodeID]string{},
		reports:    newReports(),
		suspicions: suspicions{heard: map[frame.Statement]time.Time{}},
		changed:    true,
	}
	for _, addr := range c.Seeds {
		if a, err := frame.ParseAddr(addr); err == nil && strings.HasPrefix(a.Addr, "/") {
			k.paths = append(k.paths, a.Scheme)
		}
		k.dials.Found(now, dial.Candidate{Addr: addr, Source: dial.Seed})
	}
	k.settle(now)
	return k, nil
}

// newDials returns the dial schedule. Where links are few, all nodes that start together have
// none left for most of those whom they find, and seek the ones that they need instead.
func newDials(c Config) *dial.Scheduler {
	return dial.New(dial.Config{Self: c.Self, Spare: min(c.MaxPeers, dial.RateMaxDefault/2)}, c.Rand)
}

// Found adds an address to try. See [dial.Scheduler.Found] for what must be true of it.
func (c *Core) Found(now time.Time, d dial.Candidate) {
	c.enter(now)
	defer c.settle(now)
	if _, listed := c.table.Get(d.ID); listed && c.mesh.partial {
		return
	}
	c.name(d.ID, d.Source.String())
	c.dials.Found(now, d)
}

// DialDone tells how a [Dial] ended.
func (c *Core) DialDone(now time.Time, number uint64, o dial.Outcome) {
	c.enter(now)
	d := c.flights[number]
	delete(c.flights, number)
	if number&rotations != 0 {
		c.settle(now) // says nothing about the peer, whose link is up
		return
	}
	c.dials.Done(now, number, o)
	c.answered(d.Addr, o)
	switch {
	case d.OnDemand:
		c.demandDone(now, d, o)
	case !d.Pin.IsZero() && o.Kind != dial.OK && o.Kind != dial.Duplicate:
		c.mesh.keeper.Failed(now, d.Pin)
		c.askLater(now, d.Pin)
	}
	if (o.Kind == dial.Refused || o.Kind == dial.WrongID) && c.reached[d.Pin] == place(d.Addr) {
		// Nobody, or somebody else, is where the member was: its process is gone. At
		// other addresses of a member a refusal says nothing: they may be old, or mean
		// another machine here than there.
		c.detector.Refused(now, d.Pin)
	}
	c.settle(now)
}

// SetMeta replaces the metadata of this node. It fails if the record cannot be signed,
// for one because meta exceeds [frame.MetaMax].
func (c *Core) SetMeta(now time.Time, meta map[string]string) error {
	c.enter(now)
	defer c.settle(now)
	return c.table.SetMeta(meta)
}

// SetAddrs replaces the addresses of this node. It fails if the record cannot be
// signed.
func (c *Core) SetAddrs(now time.Time, addrs []frame.Addr) error {
	c.enter(now)
	defer c.settle(now)
	return c.table.SetAddrs(addrs)
}

// Leave says goodbye: the members learn that this node left, and it dials nobody any
// more. Links stay open, so that what is queued can leave, until Close.
func (c *Core) Leave(now time.Time) {
	if c.leaving {
		return
	}
	c.enter(now)
	c.leaving = true
	c.table.Leave()
	c.settle(now)
}

// Close is Leave, and closes every link.
func (c *Core) Close(now time.Time) {
	c.Leave(now)
	for _, l := range c.sorted() {
		c.close(l, frame.CodeLeave, "")
	}
}

// Tick does what is due. It is right to call it late, and what it was late by is
// evidence of a node that was paused.
func (c *Core) Tick(now time.Time) {
	c.enter(now)
	c.table.Tick(now)
	c.expire(now)
	c.retire(now)
	c.idle(now)
	c.tellUnspoken(now)
	c.settle(now)
}

// Next returns when Tick is due; ok is false if nothing is pending. The time may lie in
// the past. Ask again after every input.
func (c *Core) Next() (at time.Time, ok bool) {
	sooner := func(t time.Time, due bool) {
		if due && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	sooner(c.detector.Next())
	sooner(c.table.Next())
	sooner(c.nextExpiry())
	sooner(c.nextRetirement())
	sooner(c.demand.places.Next())
	sooner(c.nextUnspoken())
	if !c.leaving {
		sooner(c.dials.Next())
	}
	if c.mesh.partial {
		sooner(c.mesh.keeper.Next())
	}
	return at, ok
}

// Take returns what is to be carried out since the last Take, in order.
func (c *Core) Take() []Action {
	out := c.out
	c.out = nil
	return out
}

// Self returns the signed record of this node.
func (c *Core) Self() frame.Record { return c.table.Self() }

// RTT returns the smoothed round trip to a member, 0 if none was measured yet.
func (c *Core) RTT(peer ident.NodeID) time.Duration {
	rtt, _ := c.detector.RTT(peer)
	return rtt
}

// enter begins an input. A detector that is overdue learns that first: what the input
// says must not hide that this node was paused until now.
func (c *Core) enter(now time.Time) { c.detector.Tick(now) }
