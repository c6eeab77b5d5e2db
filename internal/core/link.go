package core

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/overlay"
)

const (
	// meetGrace is for how long after its yes to one connection the arbiter takes
	// another HELLO that names no link for one that was sent before that yes came: two
	// nodes that dial each other at once meet once. A peer that did lose the link in
	// this time asks again. It is above the round trip of any network that keeps to
	// the time-outs of the failure detector.
	meetGrace = 250 * time.Millisecond

	// grantsMax is the number of grants from which on those without a link are dropped.
	grantsMax = 1024

	// recordWithin is how long a link may be up before the record of its peer came.
	recordWithin = 5 * time.Second
)

// LinkID names a link at this node. The caller chooses it: never 0, never twice.
type LinkID uint64

// Link is what is known about a link that came up.
type Link struct {
	ID          LinkID
	Peer        ident.NodeID // proved by the handshake
	Incarnation ident.Incarnation
	Name        string  // from the peer's HELLO
	Tag         [8]byte // of this connection, the same at both ends, not zero

	// Dialed reports that this node dialled, DialNumber which [Dial] it was.
	Dialed     bool
	DialNumber uint64

	// HelloAt is when the peer's HELLO was read. Of two incarnations of one node the one
	// that spoke later is the later one: its process was alive when the other one's had
	// already said its HELLO.
	HelloAt time.Time

	// Addr is where the peer can be reached again, as IP:port or scheme://rest: for a link
	// that this node dialled its far end; for an inbound one the peer's address with the port on
	// which it says that it listens, or empty if it does not.
	Addr string

	// Remote is the IP address of the peer's end; zero if that has none.
	Remote netip.Addr

	// Source is the one of the Dial; [dial.Inbound] for an inbound link.
	Source dial.Source

	// Serial is the arbiter's number of the link, from its ACCEPT or, at the arbiter,
	// from the [Ruling].
	Serial uint64

	// Join is the join number that the peer's ACCEPT proposed to this node.
	Join uint64

	// OnDemand reports that the HELLO of the end that dialled asked for a link on demand.
	OnDemand bool
}

// Closed says how a link ended.
type Closed struct {
	// By is who ended it: ByPeer if the peer's end closed or reset it, BySelf if this
	// node did, ByNobody if it timed out or failed otherwise.
	By By

	// Code is the one of the BYE, if there was one.
	Code frame.Code
}

// Offer is a connection on which the arbiter has to rule. Its peer is admitted.
type Offer struct {
	Peer        ident.NodeID
	Incarnation ident.Incarnation
	PeerHolds   [8]byte   // Hello.Holds of the peer
	HelloAt     time.Time // when that HELLO was read
	OnDemand    bool      // it is to be a link on demand
}

// Ruling is the arbiter's answer to an [Offer].
type Ruling struct {
	// OK reports that the connection is to be the link of the pair: the caller sends
	// ACCEPT and calls LinkUp. Otherwise it sends REJECT with [frame.CodeDuplicate].
	OK bool

	// Full reports that there is no room for another link: the REJECT has
	// [frame.CodeFull] instead.
	Full bool

	// Serial and Join are what that ACCEPT carries.
	Serial, Join uint64
}

// link is a link that is up.
type link struct {
	Link
	since  time.Time
	listed bool         // the peer's record came over it, and the peer is not on trial
	trial  frame.Record // of a peer that was lost, while it has to show that it answers
	closed bool         // CloseLink was asked for
	retire time.Time    // when to close it, once it was replaced
}

// grant is the arbiter's yes to a connection.
type grant struct {
	incarnation ident.Incarnation
	at          time.Time
	held        bool // the peer holds the link that this one replaces
	onDemand    bool
}

// Arbitrate rules whether a connection is to be the link of its pair. Only the end
// with the lower ID asks, at the moment in which it would send its ACCEPT.
//
// The first connection of a pair wins. A further one wins only if the peer lost the
// first: its HELLO does not name it, and was not on its way while the first came up. One of
// peers wins over one on demand, and takes its place.
func (c *Core) Arbitrate(now time.Time, o Offer) Ruling {
	c.enter(now)
	defer c.settle(now)
	if c.leaving || c.table.Over(o.Peer, o.Incarnation) {
		return Ruling{}
	}
	l := c.linkWith(o.Peer)
	if l != nil && l.Incarnation != o.Incarnation {
		l = nil
	}
	switch {
	case c.duplicate(l, o):
		return Ruling{}
	case !c.room(now, o):
		return Ruling{Full: true}
	}
	if len(c.grants) >= grantsMax {
		// Of some the connection broke before the link came up, and nobody says so.
		maps.DeleteFunc(c.grants, func(id ident.NodeID, g grant) bool {
			return c.linkWith(id) == nil && now.Sub(g.at) >= meetGrace
		})
	}
	c.serial++
	held := l != nil && (o.PeerHolds == l.Tag || o.PeerHolds == inverse(l.Tag))
	c.grants[o.Peer] = grant{o.Incarnation, now, held, o.OnDemand}
	return Ruling{OK: true, Serial: c.serial, Join: c.table.ProposeJoin()}
}

// duplicate reports whether a connection is one too many, where l is the link of the pair,
// nil for none.
func (c *Core) duplicate(l *link, o Offer) bool {
	if o.OnDemand && c.peers[o.Peer] != nil {
		return true
	}
	if l != nil && (!l.OnDemand || o.OnDemand) && l.Tag == o.PeerHolds && !c.rotationOf(o.Peer) {
		return true
	}
	g, granted := c.grants[o.Peer]
	granted = granted && g.incarnation == o.Incarnation && (!g.onDemand || o.OnDemand)
	return granted && o.HelloAt.Before(g.at.Add(meetGrace))
}

// Admit reports whether there is room for a link with a peer. The end that is not the
// arbiter asks when its policy admits the peer, at the moment in which it would send its
// ACCEPT; after a no it sends REJECT with [frame.CodeFull].
func (c *Core) Admit(now time.Time, peer ident.NodeID) bool { return c.mesh.keeper.Admit(now, peer) }

// room is [Core.Admit] or, for a link on demand, takes a place.
func (c *Core) room(now time.Time, o Offer) bool {
	if o.OnDemand {
		return c.place(now, o.Peer)
	}
	return c.mesh.keeper.Admit(now, o.Peer)
}

// Abandoned tells that a connection came to nothing, without a refusal, after this node had
// said yes to it: the room that was kept for it is free.
func (c *Core) Abandoned(now time.Time, peer ident.NodeID) {
	if c.demand.links[peer] == nil && !c.demand.asked[peer] {
		c.demand.places.Drop(peer)
	}
	c.mesh.keeper.Failed(now, peer)
}

// Join returns the join number to propose to a peer in the ACCEPT of the end that is
// not the arbiter.
func (c *Core) Join() uint64 { return c.table.ProposeJoin() }

// Holds returns the tag of the link that this node has with a peer now, as the HELLO to
// it says: zero for none, every bit turned over for one that is to be replaced.
func (c *Core) Holds(peer ident.NodeID) [8]byte {
	switch l := c.linkWith(peer); {
	case l == nil:
		return [8]byte{}
	case c.rotationOf(peer):
		return inverse(l.Tag)
	default:
		return l.Tag
	}
}

// LinkUp tells that both ends accepted a connection.
func (c *Core) LinkUp(now time.Time, l Link) {
	c.enter(now)
	defer c.settle(now)
	n := &link{Link: l, since: now}
	c.links[l.ID] = n
	if l.OnDemand {
		c.demandUp(now, n)
		return
	}
	old := c.peers[l.Peer]
	switch {
	case c.leaving:
		c.close(n, frame.CodeLeave, "")
		return
	case c.table.Over(l.Peer, l.Incarnation):
		c.close(n, frame.CodeClose, "this incarnation is over")
		return
	case old != nil && old.Incarnation != l.Incarnation && l.HelloAt.Before(old.HelloAt):
		// The last word of a process that is over took long. Believing it would bury
		// the one that took its place.
		c.close(n, frame.CodeClose, "a later start of the node is linked")
		return
	case old != nil && old.Incarnation == l.Incarnation && l.Serial < old.Serial:
		c.close(n, frame.CodeDuplicate, "a newer link came up before")
		return
	case old != nil:
		c.replace(now, old, n)
		if old.Incarnation != l.Incarnation {
			c.detector.LinkDown(now, l.Peer, true)
			c.table.LinkDown(l.Peer)
		}
	}
	c.promote(now, n)
	c.peers[l.Peer] = n
	c.mesh.keeper.Up(now, l.Peer, l.Dialed)
	delete(c.rotating, l.Peer)
	c.awaited = append(c.awaited, n)
	c.changed = true
	c.accepted(now, n)
	if m, ok := c.table.Get(l.Peer); ok && m.Record.Incarnation == l.Incarnation {
		c.detector.Heard(now, l.Peer, now) // it takes a process to accept a link
	}
	c.table.FixJoin(l.Join)
	c.reached[l.Peer] = place(l.Addr)
	c.dials.Linked(now, l.Peer, c.flights[l.DialNumber].Addr, l.Dialed)
	c.send(n, frame.Records{List: [][]byte{c.table.Self().Raw}})
}

// LinkDown tells that a link ended. A link that core closed is reported, too.
func (c *Core) LinkDown(now time.Time, id LinkID, how Closed) {
	l := c.links[id]
	if l == nil {
		return
	}
	c.enter(now)
	defer c.settle(now)
	l.closed = true
	delete(c.links, id)
	if c.demanded(l) {
		c.demandDown(now, l)
		return
	}
	if c.peers[l.Peer] != l {
		return // another link took its place, or the peer is not wanted any more
	}
	why := whyOf(how)
	c.unlink(now, l, why)
	c.detector.LinkDown(now, l.Peer, how.By == ByPeer && why == overlay.Lost)
	if how.By == ByPeer && how.Code == frame.CodeLeave && l.listed {
		c.table.Goodbye(l.Peer)
		return
	}
	c.table.LinkDown(l.Peer)
	c.unlinked(now, l.Peer, why)
}

// Heard tells that bytes of the peer's process were read from a link at the time at.
func (c *Core) Heard(now time.Time, id LinkID, at time.Time) {
	if l := c.links[id]; c.current(l) {
		c.enter(now)
		c.detector.Heard(now, l.Peer, at)
		c.settle(now)
	}
}

// current reports whether l speaks for the incarnation that its peer now has. An older
// link of the pair does until it is down.
func (c *Core) current(l *link) bool {
	if l == nil {
		return false
	}
	p := c.peers[l.Peer]
	return p != nil && p.Incarnation == l.Incarnation
}

// demanded reports whether l is the link on demand of its pair.
func (c *Core) demanded(l *link) bool { return l != nil && c.demand.links[l.Peer] == l }

// linkWith returns the link with a node that counts, nil if there is none: the one of peers,
// or one on demand.
func (c *Core) linkWith(id ident.NodeID) *link {
	if l := c.peers[id]; l != nil {
		return l
	}
	return c.demand.links[id]
}

// unlink makes l not the link of its pair any more.
func (c *Core) unlink(now time.Time, l *link, why overlay.Why) {
	c.mesh.keeper.Down(now, l.Peer, why)
	delete(c.peers, l.Peer)
	delete(c.grants, l.Peer)
	delete(c.rotating, l.Peer)
	c.changed = true
}

// close asks for the end of a link.
func (c *Core) close(l *link, code frame.Code, reason string) {
	if !l.closed {
		l.closed = true
		c.act(CloseLink{Link: l.ID, Code: code, Reason: reason})
	}
}

// send asks for a frame to be written to a link.
func (c *Core) send(l *link, f frame.Frame) {
	if !l.closed {
		c.act(Send{Link: l.ID, Frame: f})
	}
}

// sorted returns the links that are up, by ID.
func (c *Core) sorted() []*link {
	return slices.SortedFunc(maps.Values(c.links), func(a, b *link) int { return cmp.Compare(a.ID, b.ID) })
}

// expire closes links over which the peer's record does not come.
func (c *Core) expire(now time.Time) {
	for {
		at, ok := c.nextExpiry()
		if !ok || now.Before(at) {
			return
		}
		c.close(c.awaited[0], frame.CodeProtocol, "no record of the peer")
	}
}

// nextExpiry returns when expire has something to do.
func (c *Core) nextExpiry() (at time.Time, ok bool) {
	for len(c.awaited) > 0 && (c.awaited[0].came() || c.awaited[0].closed) {
		c.awaited = c.awaited[1:]
	}
	if len(c.awaited) == 0 {
		return time.Time{}, false
	}
	return c.awaited[0].since.Add(recordWithin), true
}

// came reports whether the record of the peer came over l.
func (l *link) came() bool { return l.listed || !l.trial.ID.IsZero() }

func (c *Core) act(a Action) { c.out = append(c.out, a) }
