package core

import (
	"time"

	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/fault"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/member"
	"github.com/espial-go/espial/internal/overlay"
)

// settle ends an input: it carries the decisions of each machine to the others until
// none has any more, then starts the dials that are due and shows the new view.
func (c *Core) settle(now time.Time) {
	c.carry(now)
	for c.reshape(now) {
		c.carry(now)
	}
	c.passOn()
	if at, due := c.dials.Next(); due && !at.After(now) && !c.leaving {
		for _, s := range c.dials.Tick(now) {
			d := Dial{
				Number: s.Number, Addr: s.Addr, Pin: s.ID, Source: s.Source, OnDemand: c.demand.asked[s.ID],
			}
			c.flights[s.Number] = d
			c.act(d)
		}
	}
	if c.changed {
		c.changed = false
		c.views++
		c.act(View{Number: c.views, Members: c.members(), Graph: c.mesh.keeper.Graph()})
	}
}

// carry carries the decisions of the table and the detector to one another. It ends,
// because the table answers nothing to what the detector says but changes.
func (c *Core) carry(now time.Time) {
	for {
		table, detector := c.table.Take(), c.detector.Take()
		if len(table)+len(detector) == 0 {
			return
		}
		for _, a := range table {
			c.tabled(now, a)
		}
		for _, a := range detector {
			c.detected(now, a)
		}
	}
}

// tabled carries out what the member table decided.
func (c *Core) tabled(now time.Time, a member.Action) {
	switch a := a.(type) {
	case member.Want:
		c.wanted(now, a)
	case member.Forget:
		c.dials.Forget(now, a.ID)
	case member.Refuted:
		c.detector.Refuted(now, a.ID)
	case member.SelfChanged:
		c.changed = true
		c.tell(ident.NodeID{}, frame.Records{List: [][]byte{c.table.Self().Raw}})
	case member.Announce:
		if c.mesh.news = append(c.mesh.news, a); !c.mesh.partial {
			c.passOn()
		}
	case member.Accuse:
		c.accuse(now, a)
	case member.Inform:
		c.sendTo(a.To, frame.Records{List: [][]byte{a.Raw}})
	case member.Sync:
		for _, f := range frame.PackRecords(c.table.Records()) {
			c.sendTo(a.To, f)
		}
	case member.Digest:
		c.sendTo(a.To, frame.Digest{Hash: a.Hash})
	default:
		c.changed = true
		c.report(now, a)
	}
}

// wanted takes note of a node of which a member told. In a partial mesh nobody is dialled
// for that.
func (c *Core) wanted(now time.Time, a member.Want) {
	c.unspeakable(now, a.ID, a.Addrs)
	if c.mesh.partial {
		return
	}
	c.mesh.stale = true
	c.name(a.ID, dial.Peer.String())
	for _, addr := range c.dialable(a.Addrs) {
		c.dials.Found(now, dial.Candidate{Addr: addr, Source: dial.Peer, ID: a.ID})
	}
}

// detected carries out what the failure detector decided.
func (c *Core) detected(now time.Time, a fault.Action) {
	switch a := a.(type) {
	case fault.Probe:
		c.sendTo(a.ID, frame.Probe{Number: a.Number})
	case fault.Request:
		c.sendTo(a.Helper, frame.ProbeRequest{
			Number: a.Number, Target: a.Target, Incarnation: a.Incarnation,
		})
	case fault.Answer:
		c.sendTo(a.To, frame.ProbeResult{Number: a.Number, Alive: a.Alive})
	case fault.Tell:
		c.suspect(now, a)
	case fault.Redial:
		c.redial(now, a.ID)
	case fault.Refute:
		c.table.Refute()
	case fault.Suspect:
		c.table.Suspect(a.ID)
	case fault.Alive:
		c.table.Alive(a.ID)
		c.changed = true
	case fault.Dead:
		c.dead(now, a)
	case fault.Passed:
		if l := c.peers[a.ID]; l != nil && l.trial.ID == a.ID && !l.closed {
			c.list(now, l, l.trial)
		}
	}
}

// redial has a member dialled at once: somebody found its address refusing.
func (c *Core) redial(now time.Time, id ident.NodeID) {
	if !c.mesh.partial {
		c.dials.Want(now, id)
		return
	}
	c.mesh.sought[id] = true
	c.preempt(id)
	c.dials.Seek(now, id, c.addrs(id), true)
}

// dead removes a member that failed. Its link, if the cut has not broken it yet, goes
// with it: what would come over it after a heal has to be admitted anew. The member is
// dialled for life.
func (c *Core) dead(now time.Time, a fault.Dead) {
	m, _ := c.table.Get(a.ID)
	c.table.Dead(now, a.ID, a.Silent)
	l := c.peers[a.ID]
	if l != nil && l.Incarnation != m.Record.Incarnation {
		return // the next incarnation is here already
	}
	if l != nil {
		c.unlink(now, l, overlay.Lost)
		c.close(l, frame.CodeClose, "no sign of life")
	}
	if !c.watches(a.ID) {
		// Not at once: all who know it by its record alone would come together.
		c.dials.Remember(now, a.ID, c.addrs(a.ID))
		return
	}
	c.dials.Unlinked(now, a.ID, c.addrs(a.ID))
}

// tell sends a frame to every listed peer but one.
func (c *Core) tell(except ident.NodeID, f frame.Frame) {
	for _, l := range c.sorted() {
		if l.Peer != except && c.peers[l.Peer] == l {
			c.send(l, f)
		}
	}
}

// sendTo sends a frame to a peer, if it is linked, or over a link on demand.
func (c *Core) sendTo(id ident.NodeID, f frame.Frame) {
	if l := c.linkWith(id); l != nil {
		c.send(l, f)
	}
}

// namedMax bounds what is remembered about who named nodes that are not listed.
const namedMax = 1024

// name takes note of what named a node first.
func (c *Core) name(id ident.NodeID, source string) {
	if _, known := c.named[id]; known || id.IsZero() || len(c.named) >= namedMax {
		return
	}
	if _, listed := c.table.Get(id); !listed {
		c.named[id] = source
	}
}

// source returns what named the peer of a link first.
func (c *Core) source(l *link) string {
	if s, ok := c.named[l.Peer]; ok {
		delete(c.named, l.Peer)
		return s
	}
	return l.Source.String()
}
