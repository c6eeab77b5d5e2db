package core

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/fault"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/member"
)

const (
	// heardMax bounds the suspicions that are remembered so as to be passed on once.
	heardMax = 4096

	// heardFor is for how long they are. It is longer than one takes to all members, and
	// short enough for what is said again because it was lost on its way.
	heardFor = 3 * time.Second

	// youngFor is how long all others may take to list a member that is listed here.
	youngFor = 2 * time.Second
)

// suspicions is which of them were made here or heard lately.
type suspicions struct {
	heard map[frame.Statement]time.Time
	order []frame.Statement // oldest first
}

// news reports whether a suspicion was not heard lately, and takes note of it.
func (s *suspicions) news(now time.Time, k frame.Statement) bool {
	for len(s.order) > 0 && (len(s.order) >= heardMax || now.Sub(s.heard[s.order[0]]) >= heardFor) {
		delete(s.heard, s.order[0])
		s.order = s.order[1:]
	}
	if _, known := s.heard[k]; known {
		return false
	}
	s.heard[k] = now
	s.order = append(s.order, k)
	return true
}

// suspect tells the others whom this node suspects. In a complete mesh they hear it from
// this node. In a partial one they pass it on, so it has this node's signature and names
// the version of the record that refutes it: any higher one.
func (c *Core) suspect(now time.Time, a fault.Tell) {
	if !c.mesh.partial {
		c.tell(ident.NodeID{}, frame.Suspect{
			Target: a.ID, Incarnation: a.Incarnation, Refused: a.Refused,
		})
		return
	}
	c.accuse(now, member.Accuse{
		ID: a.ID, Incarnation: a.Incarnation, Version: c.version(a.ID), Refused: a.Refused,
	})
}

// accuse states a suspicion to one member or to all.
func (c *Core) accuse(now time.Time, a member.Accuse) {
	s := frame.Suspicion{
		Target: a.ID, Incarnation: a.Incarnation, Version: a.Version, Refused: a.Refused, By: c.self,
	}
	if err := c.vouch(&s); err != nil {
		return // the key that signed the own record signs this as well
	}
	c.suspicions.news(now, s.Statement())
	if a.To.IsZero() {
		c.tell(ident.NodeID{}, s)
	} else {
		c.sendTo(a.To, s)
	}
}

// suspected takes a suspicion that the peer of l made or passes on. Whom it is about
// answers with a higher version of its record, unless it has one already, and even if the
// accuser is none of its members: it may be one of the others'.
func (c *Core) suspected(now time.Time, l *link, s frame.Suspicion) {
	_, listed := c.table.Get(s.By)
	mine := s.Target == c.self
	if !listed && !mine || c.Ahead(s) || !c.suspicions.news(now, s.Statement()) {
		return
	}
	if !mine {
		c.weigh(now, l, s)
		return
	}
	self := c.table.Self()
	switch {
	case s.Incarnation != self.Incarnation:
	case s.Version < self.Version:
		c.send(l, frame.Records{List: [][]byte{self.Raw}})
	default:
		c.detector.Suspected(now, s.By, s.Target, s.Incarnation, s.Refused)
	}
}

// Ahead reports whether a suspicion speaks of a record that this node has not seen. Who
// passes on a true one has passed on the record before. So it is not believed, and not taken
// note of: a version that its target never signed is one that it cannot refute.
func (c *Core) Ahead(s frame.Suspicion) bool {
	r := c.table.Self()
	if s.Target != c.self {
		m, listed := c.table.Get(s.Target)
		if r = m.Record; !listed {
			return false
		}
	}
	return s.Incarnation == r.Incarnation && s.Version > r.Version
}

// weigh takes a suspicion of another node and passes it on, but for one that a record
// refutes already.
func (c *Core) weigh(now time.Time, l *link, s frame.Suspicion) {
	m, listed := c.table.Get(s.Target)
	switch {
	case !listed || m.Record.Incarnation != s.Incarnation:
		if listed || c.table.Failed(s.Target, s.Incarnation) || c.table.Over(s.Target, s.Incarnation) {
			c.tell(l.Peer, s)
		}
		return
	case s.Version < m.Record.Version:
		c.send(l, frame.Records{List: [][]byte{m.Record.Raw}})
		return
	}
	watcher := c.watcher(s.By, s.Target)
	c.tell(l.Peer, s)
	if l.Peer == s.By && (!watcher || c.young(now, s.By)) {
		// What others do not take from somebody whom they do not list yet, so that it may
		// not reach the one whom it is about, they take from this node.
		c.accuse(now, member.Accuse{ID: s.Target, Incarnation: s.Incarnation, Version: m.Record.Version})
	}
	c.detector.Suspected(now, s.By, s.Target, s.Incarnation, s.Refused && watcher)
}

// young reports whether a member was listed so lately that others may not list it yet.
func (c *Core) young(now time.Time, id ident.NodeID) bool {
	m, listed := c.table.Get(id)
	return listed && now.Sub(m.Since) < youngFor
}

// watcher reports whether a member is one of those who watch another one, and so may find
// that it is gone. In a complete mesh everybody is.
func (c *Core) watcher(by, id ident.NodeID) bool {
	return !c.mesh.partial || slices.Contains(c.mesh.keeper.Watchers(nil, id), by)
}
