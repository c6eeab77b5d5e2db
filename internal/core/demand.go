package core

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/overlay"
)

// demand is the links on demand: with members that are no peers, for what the two have to
// say to each other. They make nobody a peer, carry no news of others, and nobody is judged
// by them: how they end is no sign of life or death.
type demand struct {
	places overlay.Demand
	links  map[ident.NodeID]*link // that are up: of each pair the one that counts
	asked  map[ident.NodeID]bool  // members that are to be dialled for one
	later  map[ident.NodeID]bool  // members to ask for when the keeper's dial of them has failed
	tries  map[ident.NodeID]int   // dials of a member that failed since the last link
}

func newDemand() demand {
	return demand{
		links: map[ident.NodeID]*link{}, asked: map[ident.NodeID]bool{},
		later: map[ident.NodeID]bool{}, tries: map[ident.NodeID]int{},
	}
}

// Need tells that this node has something to say to a member without a link. It does nothing
// where a link is to come anyway, for want of a place, or where nobody is listed. The caller
// asks again about once a second while that goes on.
func (c *Core) Need(now time.Time, id ident.NodeID) {
	c.enter(now)
	c.ask(now, id)
	c.settle(now)
}

// ask is [Core.Need] within an input.
func (c *Core) ask(now time.Time, id ident.NodeID) {
	d := &c.demand
	_, listed := c.table.Get(id)
	addrs := c.addrs(id)
	switch {
	case !listed || len(addrs) == 0 || c.leaving:
	case !c.mesh.partial || c.peers[id] != nil: // the dial schedule sees to that
	case c.mesh.keeper.Seeks(id):
		d.later[id] = true
	case d.links[id] != nil || !c.place(now, id):
	default:
		d.asked[id] = true
		first := d.tries[id] % len(addrs)
		c.dials.Ask(now, id, slices.Concat(addrs[first:], addrs[:first]))
	}
}

// askLater asks for a link on demand in place of one of peers that could not be had.
func (c *Core) askLater(now time.Time, id ident.NodeID) {
	if c.demand.later[id] {
		delete(c.demand.later, id)
		c.ask(now, id)
	}
}

// Used tells that messages or their acknowledgements have crossed a link since the last call:
// what else a link on demand carries is no reason to keep it.
func (c *Core) Used(now time.Time, id LinkID) {
	if l := c.links[id]; l != nil && c.demand.links[l.Peer] == l {
		c.enter(now)
		c.place(now, l.Peer)
		c.settle(now)
	}
}

// OnDemand returns the number of links on demand that are up.
func (c *Core) OnDemand() int { return len(c.demand.links) }

// AdmitOnDemand is [Core.Admit] for a link on demand.
func (c *Core) AdmitOnDemand(now time.Time, peer ident.NodeID) bool {
	c.enter(now)
	defer c.settle(now)
	return c.peers[peer] == nil && c.place(now, peer)
}

// place takes a place for a link on demand with id, or keeps it. The link that gives way is
// closed.
func (c *Core) place(now time.Time, id ident.NodeID) bool {
	instead, ok := c.demand.places.Use(now, id)
	if !instead.IsZero() {
		c.leaveOff(now, instead)
	}
	return ok
}

// leaveOff ends what was begun for a link on demand that lost its place.
func (c *Core) leaveOff(now time.Time, id ident.NodeID) {
	d := &c.demand
	if l := d.links[id]; l != nil {
		delete(d.links, id)
		c.close(l, frame.CodeIdle, "nobody uses the link")
	}
	c.unask(now, id)
}

// unask ends the wish to dial a member for a link on demand.
func (c *Core) unask(now time.Time, id ident.NodeID) {
	delete(c.demand.asked, id)
	if _, listed := c.table.Get(id); listed && c.mesh.partial && !c.mesh.sought[id] {
		c.dials.Forget(now, id) // its record has the addresses
	}
}

// preempt makes a dial for a peer of one for a link on demand that is to come.
func (c *Core) preempt(id ident.NodeID) {
	if delete(c.demand.asked, id); c.demand.links[id] == nil {
		c.demand.places.Drop(id)
	}
}

// free gives the place of id free: it has no link on demand, and none is to come.
func (c *Core) free(now time.Time, id ident.NodeID) {
	c.demand.places.Drop(id)
	c.unask(now, id)
}

// idle closes links on demand that nobody uses.
func (c *Core) idle(now time.Time) {
	for _, id := range c.demand.places.Tick(now) {
		c.leaveOff(now, id)
	}
}

// demandDone takes the end of a dial for a link on demand.
func (c *Core) demandDone(now time.Time, d Dial, o dial.Outcome) {
	if o.Kind == dial.OK || c.demand.links[d.Pin] != nil {
		return // or the peer was sooner
	}
	if _, listed := c.table.Get(d.Pin); listed && o.Kind != dial.Duplicate && o.Kind != dial.Full {
		c.demand.tries[d.Pin]++
	}
	if c.demand.asked[d.Pin] {
		c.free(now, d.Pin)
	}
}

// demandUp takes a link on demand that both ends accepted.
func (c *Core) demandUp(now time.Time, n *link) {
	d := &c.demand
	old := d.links[n.Peer]
	switch {
	case c.leaving:
		c.close(n, frame.CodeLeave, "")
	case c.table.Over(n.Peer, n.Incarnation):
		c.close(n, frame.CodeClose, "this incarnation is over")
	case c.peers[n.Peer] != nil:
		c.close(n, frame.CodeDuplicate, "the two are peers")
	case old != nil && old.Incarnation != n.Incarnation && n.HelloAt.Before(old.HelloAt):
		c.close(n, frame.CodeClose, "a later start of the node is linked")
	case old != nil && old.Incarnation == n.Incarnation && n.Serial < old.Serial:
		c.close(n, frame.CodeDuplicate, "a newer link came up before")
	case !c.place(now, n.Peer):
		c.close(n, frame.CodeFull, "no room for another link")
	default:
		if old != nil {
			c.replace(now, old, n)
		}
		d.links[n.Peer] = n
		delete(d.tries, n.Peer)
		c.unask(now, n.Peer)
		c.awaited = append(c.awaited, n)
		c.accepted(now, n)
		c.send(n, frame.Records{List: [][]byte{c.table.Self().Raw}})
	}
}

// demandDown takes the end of a link on demand. Nothing follows from it: who still has
// something to say asks for another one.
func (c *Core) demandDown(now time.Time, l *link) {
	delete(c.demand.links, l.Peer)
	delete(c.grants, l.Peer)
	c.free(now, l.Peer)
}

// promote puts the link of a new peer in the place of one on demand.
func (c *Core) promote(now time.Time, n *link) {
	if old := c.demand.links[n.Peer]; old != nil {
		delete(c.demand.links, n.Peer)
		c.replace(now, old, n)
	}
	c.demand.places.Drop(n.Peer)
	delete(c.demand.asked, n.Peer)
	delete(c.demand.later, n.Peer)
	delete(c.demand.tries, n.Peer)
}

// demandOver ends the link on demand with an incarnation that is no member any more.
func (c *Core) demandOver(id ident.NodeID, inc ident.Incarnation, code frame.Code) {
	l := c.demand.links[id]
	if l != nil && l.Incarnation != inc {
		return
	}
	if l != nil {
		delete(c.demand.links, id)
		c.close(l, code, "no member any more")
	}
	c.demand.places.Drop(id)
	delete(c.demand.asked, id)
	delete(c.demand.later, id)
	delete(c.demand.tries, id)
}

// demandReceive takes a control frame of a link on demand. Of the cluster it tells no more
// than that this node is lost at the other end.
func (c *Core) demandReceive(now time.Time, l *link, f frame.Frame) {
	switch f := f.(type) {
	case frame.Probe:
		c.send(l, frame.Ack(f))
	case frame.Suspicion:
		if f.Target == c.self {
			c.suspected(now, l, f)
		}
	default:
		c.close(l, frame.CodeProtocol, "unexpected "+f.Type().String()+" on a link on demand")
	}
}

// demandLearn takes the records that came over a link on demand. All but those of the peer
// itself are ignored.
func (c *Core) demandLearn(now time.Time, l *link, rs []frame.Record) {
	for _, r := range rs {
		if r.ID != l.Peer || r.Incarnation != l.Incarnation {
			continue
		}
		before := c.version(r.ID)
		switch {
		case r.Name != l.Name:
			c.close(l, frame.CodeProtocol, "record and HELLO differ in the name")
		case c.table.Meet(now, r):
			l.listed = true
		default:
			c.carry(now) // what the peer is told comes before the end
			c.close(l, frame.CodeClose, "not a member here")
		}
		c.changed = c.changed || c.version(r.ID) != before
	}
}
