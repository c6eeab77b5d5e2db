package core

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/member"
	"github.com/espial-go/espial/internal/overlay"
)

// mesh is which links there should be. In a complete mesh everybody is linked with
// everybody: the dial schedule sees to that, all watch all, and the keeper only says what
// is over MaxPeers. In a partial one the links are the keeper's.
type mesh struct {
	keeper  *overlay.Keeper
	view    *overlay.View
	edits   map[ident.NodeID]*overlay.Member // of the view since then; nil for who is gone
	stale   bool                             // who is listed, or could be, has changed
	partial bool
	watched []ident.NodeID          // in a partial mesh, sorted
	sought  map[ident.NodeID]bool   // members that are to be dialled, without a link yet
	named   map[ident.NodeID]bool   // by Pin
	pins    map[string]ident.NodeID // who answered at the addresses of PinAddr; zero before that
	proven  []*link                 // of members that others proved while they were on trial
	news    []member.Announce       // to be passed on together

	required []ident.NodeID // by Require, sorted
}

func newMesh(c Config, self frame.Record) mesh {
	m := mesh{
		keeper: overlay.New(overlay.Config{Self: c.Self, MinPeers: c.MinPeers, MaxPeers: c.MaxPeers}),
		view:   overlay.NewView([]overlay.Member{seat(self)}),
		edits:  map[ident.NodeID]*overlay.Member{},
		sought: map[ident.NodeID]bool{},
		named:  map[ident.NodeID]bool{},
		pins:   map[string]ident.NodeID{},
	}
	m.keeper.Still(true)
	m.keeper.View(m.view)
	return m
}

// seat is what the overlay knows of a member by its record.
func seat(r frame.Record) overlay.Member {
	return overlay.Member{ID: r.ID, Rings: r.Rings, Links: r.Links}
}

// seated takes note that a member was listed or has another record.
func (m *mesh) seated(r frame.Record) {
	s := seat(r)
	m.edits[r.ID], m.stale = &s, true
}

// gone takes note that a node is no member any more.
func (m *mesh) gone(id ident.NodeID) { m.edits[id], m.stale = nil, true }

// reshape makes the links follow the members. It reports whether something came of it that
// the other machines have to hear of.
func (c *Core) reshape(now time.Time) (more bool) {
	m := &c.mesh
	for _, l := range m.proven {
		if more = true; c.peers[l.Peer] == l && !l.listed && !l.closed {
			c.list(now, l, l.trial)
		}
	}
	m.proven = nil
	if m.stale {
		more, m.stale = true, false
		c.redraw(now)
	}
	at, due := m.keeper.Next()
	if !due || at.After(now) {
		return more
	}
	acts := m.keeper.Tick(now)
	for _, a := range acts {
		switch a := a.(type) {
		case overlay.Dial:
			c.seek(now, a.ID)
		case overlay.Close:
			c.part(now, a)
		}
	}
	c.unseek(now)
	return more || len(acts) > 0
}

// redraw computes the overlay anew.
func (c *Core) redraw(now time.Time) {
	m := &c.mesh
	if len(m.edits) > 0 {
		var joined []overlay.Member
		var gone []ident.NodeID
		for id, seat := range m.edits {
			if seat == nil {
				gone = append(gone, id)
			} else {
				joined = append(joined, *seat)
			}
		}
		clear(m.edits)
		m.view = m.view.With(joined, gone) // which sorts them
		m.keeper.View(m.view)
	}
	if partial := !c.complete(); partial != m.partial {
		m.partial = partial
		c.turn(now)
	}
	c.table.Partial(now, m.partial)
	if m.partial {
		m.watched = m.keeper.Watched(make([]ident.NodeID, 0, 2*overlay.RingsMax+1))
		c.detector.Watch(now, m.watched)
	}
}

// complete reports whether the members, and those that would be if the mesh were partial,
// can all be linked with one another.
func (c *Core) complete() bool {
	v := c.mesh.view
	if recs := c.table.Candidates(); len(recs) > 0 {
		seats := make([]overlay.Member, 0, len(recs))
		for _, r := range recs {
			seats = append(seats, seat(r))
		}
		v = v.With(seats, nil)
	}
	return v.Complete(overlay.FullMeshMaxDefault)
}

// turn hands the links over to the keeper, or back to the dial schedule.
func (c *Core) turn(now time.Time) {
	m := &c.mesh
	m.keeper.Still(!m.partial)
	c.detector.Watch(now, nil)
	for _, o := range c.table.Members() {
		id := o.Record.ID
		c.dials.Listed(id, m.partial)
		if !m.partial && !o.Linked {
			c.dials.Unlinked(now, id, c.addrs(id))
		}
	}
}

// seek has a member dialled that the keeper wants.
func (c *Core) seek(now time.Time, id ident.NodeID) {
	addrs := c.addrs(id)
	if len(addrs) == 0 || c.leaving {
		c.mesh.keeper.Failed(now, id)
		return
	}
	_, before := c.reached[id]
	c.mesh.sought[id] = true
	c.preempt(id)
	c.dials.Seek(now, id, addrs, before)
}

// unseek forgets the addresses of members that are not wanted any more: their records have
// them.
func (c *Core) unseek(now time.Time) {
	for id := range c.mesh.sought {
		if c.peers[id] == nil && (c.mesh.keeper.Wants(id) || c.watches(id)) {
			continue
		}
		delete(c.mesh.sought, id)
		if _, listed := c.table.Get(id); listed && c.peers[id] == nil {
			c.dials.Forget(now, id)
		}
	}
}

// part closes a link that the keeper gave up.
func (c *Core) part(now time.Time, a overlay.Close) {
	l := c.peers[a.ID]
	if l == nil {
		return
	}
	code, reason := frame.CodeIdle, "nobody needs the link"
	if a.Why == overlay.Full {
		code, reason = frame.CodeFull, "others need the room"
	}
	c.unlink(now, l, a.Why)
	c.detector.LinkDown(now, a.ID, false)
	c.table.LinkDown(a.ID)
	c.dials.Parted(a.ID)
	c.close(l, code, reason)
}

// unlinked decides what follows from a link that went down.
func (c *Core) unlinked(now time.Time, peer ident.NodeID, why overlay.Why) {
	_, listed := c.table.Get(peer)
	switch {
	case c.mesh.partial && listed:
		c.dials.Parted(peer) // the keeper knows what to do
		if why == overlay.Lost && c.watches(peer) {
			c.redial(now, peer) // whether that is refused tells a crash from a cut
		}
	case why != overlay.Lost:
		c.dials.Remember(now, peer, c.addrs(peer))
		c.dials.Parted(peer)
	default:
		c.dials.Unlinked(now, peer, c.addrs(peer))
	}
	if !listed {
		delete(c.reached, peer)
	}
}

// whyOf returns why the peer closed a link.
func whyOf(how Closed) overlay.Why {
	switch {
	case how.By != ByPeer:
	case how.Code == frame.CodeIdle:
		return overlay.Unused
	case how.Code == frame.CodeFull:
		return overlay.Full
	}
	return overlay.Lost
}

// watches reports whether this node watches a member.
func (c *Core) watches(id ident.NodeID) bool {
	if !c.mesh.partial {
		return true
	}
	_, ok := slices.BinarySearchFunc(c.mesh.watched, id, ident.NodeID.Compare)
	return ok
}

// passOn tells the peers what is news, each frame to all but the one that it came from.
func (c *Core) passOn() {
	for len(c.mesh.news) > 0 {
		except := c.mesh.news[0].Except
		var raws [][]byte
		c.mesh.news = slices.DeleteFunc(c.mesh.news, func(a member.Announce) bool {
			if a.Except != except {
				return false
			}
			raws = append(raws, a.Raw)
			return true
		})
		for _, f := range frame.PackRecords(raws) {
			c.tell(except, f)
		}
	}
}
