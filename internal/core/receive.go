package core

import (
	"time"

	"github.com/espial-go/espial/internal/fault"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Receive takes a control frame from a link: any but Records, which go to Learn after
// they were decoded and verified. The signature of a Suspicion is verified by then, too.
// Frames of the data path and those that end a link are the caller's own.
func (c *Core) Receive(now time.Time, id LinkID, f frame.Frame) {
	l := c.links[id]
	demanded := c.demanded(l)
	if !demanded && !c.current(l) {
		return
	}
	c.enter(now)
	defer c.settle(now)
	if demanded {
		c.demandReceive(now, l, f)
		return
	}
	switch f := f.(type) {
	case frame.Probe:
		c.send(l, frame.Ack(f))
	case frame.Ack:
		c.detector.Acked(now, l.Peer, f.Number)
	case frame.ProbeRequest:
		c.detector.Asked(now, l.Peer, fault.Ask{
			Number: f.Number, Target: f.Target, Incarnation: f.Incarnation,
		})
	case frame.ProbeResult:
		c.detector.Result(now, l.Peer, f.Number, f.Alive)
	case frame.Suspect:
		c.detector.Suspected(now, l.Peer, f.Target, f.Incarnation, f.Refused && c.watcher(l.Peer, f.Target))
	case frame.Suspicion:
		c.suspected(now, l, f)
	case frame.Digest:
		c.table.Digested(now, l.Peer, f.Hash)
	default:
		c.close(l, frame.CodeProtocol, "unexpected "+f.Type().String())
	}
}

// Learn takes member records that came over a link. The caller decoded and verified
// them. The first one of the peer itself lists it, or begins its trial.
func (c *Core) Learn(now time.Time, id LinkID, rs []frame.Record) {
	l := c.links[id]
	demanded := c.demanded(l)
	if !demanded && !c.current(l) {
		return
	}
	c.enter(now)
	defer c.settle(now)
	if demanded {
		c.demandLearn(now, l, rs)
		return
	}
	for _, r := range rs {
		before := c.version(r.ID)
		switch p := c.peers[r.ID]; {
		case p == l && r.Incarnation == l.Incarnation && !l.came():
			c.introduce(now, l, r)
		case c.mesh.partial && p != nil && !p.listed && p.Incarnation != r.Incarnation:
			// A handshake has shown that another incarnation runs.
		default:
			c.table.Merge(now, l.Peer, r)
		}
		// A join number is no change that the table reports, but it belongs in the view.
		c.changed = c.changed || c.version(r.ID) != before
	}
}

// version returns the version of the record of a listed member, 0 for one that is not.
func (c *Core) version(id ident.NodeID) uint64 {
	m, _ := c.table.Get(id)
	return m.Record.Version
}

// introduce takes the record that the peer of a fresh link sent about itself. A peer that this
// node has lost is listed when it showed that it answers: a link that loses most of what it is
// given comes up now and then, and would bring the peer back for moments, again and again.
func (c *Core) introduce(now time.Time, l *link, r frame.Record) {
	if r.State == frame.Left || !c.table.Failed(l.Peer, l.Incarnation) {
		c.list(now, l, r)
		return
	}
	l.trial = r
	c.detector.Try(now, l.Peer)
}

// list lists the peer of a link by its record.
func (c *Core) list(now time.Time, l *link, r frame.Record) {
	if r.Name != l.Name {
		c.close(l, frame.CodeProtocol, "record and HELLO differ in the name")
		return
	}
	if err := c.table.LinkUp(now, r, c.source(l)); err != nil {
		c.close(l, frame.CodeProtocol, err.Error())
		return
	}
	l.listed = true
	if l.Addr == "" {
		c.reached[l.Peer] = c.home(l, r)
	}
	c.carry(now) // so that the detector knows the member
	c.detector.LinkUp(now, l.Peer)
}
