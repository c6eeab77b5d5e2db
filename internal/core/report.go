package core

import (
	"cmp"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/member"
	"github.com/espial-go/espial/internal/overlay"
)

const (
	// rejectedEvery is the least time between two reports of one rejected node.
	rejectedEvery = time.Minute

	// reportsMax bounds what is remembered to report things once, of each kind.
	reportsMax = 4096
)

// life names one incarnation of one node.
type life struct {
	id          ident.NodeID
	incarnation ident.Incarnation
}

// reports is what was said, so that it is not said again.
type reports struct {
	accepted map[life]bool
	rejected map[string]time.Time // by ID or, where none was proved, by address
	unspoken map[ident.NodeID]bool
}

func newReports() reports {
	return reports{
		accepted: map[life]bool{}, rejected: map[string]time.Time{}, unspoken: map[ident.NodeID]bool{},
	}
}

// accepted reports the first ACCEPT of this node's life with an incarnation.
func (c *Core) accepted(now time.Time, l *link) {
	k := life{l.Peer, l.Incarnation}
	if c.reports.accepted[k] {
		return
	}
	if len(c.reports.accepted) >= reportsMax {
		clear(c.reports.accepted) // a report too many is better than memory without end
	}
	c.reports.accepted[k] = true
	c.act(Change{Kind: NodeAccepted, At: now, Member: Member{
		Record: frame.Record{ID: l.Peer, Incarnation: l.Incarnation, Name: l.Name},
		Source: l.Source.String(), Link: l.ID, Addr: l.Addr,
	}})
}

// Rejected tells that admission ended with a refusal, by whichever end. The user hears
// of each node once in a minute. A duplicate or a node that reached itself is no
// refusal.
func (c *Core) Rejected(now time.Time, r Rejection) {
	c.enter(now)
	defer c.settle(now)
	switch r.Code {
	case frame.CodeDuplicate, frame.CodeSelf:
		return
	case frame.CodeFull:
		if r.By == ByPeer && !r.OnDemand {
			c.mesh.keeper.Failed(now, r.Peer)
		}
		if m, listed := c.table.Get(r.Peer); listed && m.Record.Incarnation == r.Incarnation {
			c.detector.Heard(now, r.Peer, now) // it takes a process to shake hands
		}
		return
	default:
	}
	c.mesh.keeper.Failed(now, r.Peer)
	if r.By == BySelf && r.Incarnation != 0 {
		c.table.Refuse(r.Peer, r.Incarnation)
		c.mesh.stale = true
	}
	c.dials.Rejected(now, r.Peer)
	key := r.Addr
	if !r.Peer.IsZero() {
		key = r.Peer.String()
	}
	if last, ok := c.reports.rejected[key]; ok && now.Sub(last) < rejectedEvery {
		return
	}
	if len(c.reports.rejected) >= reportsMax {
		clear(c.reports.rejected)
	}
	c.reports.rejected[key] = now
	c.act(Change{Kind: NodeRejected, At: now, By: r.By, Code: r.Code, Reason: r.Reason, Member: Member{
		Record: frame.Record{ID: r.Peer, Incarnation: r.Incarnation, Name: r.Name}, Addr: r.Addr,
	}})
}

// report turns a change of the table into one for the user.
func (c *Core) report(now time.Time, a member.Action) {
	change := Change{At: now}
	switch a := a.(type) {
	case member.Added:
		change.Kind, change.Member = AddedNode, c.member(a.Member)
		c.added(now, a.Member.Record)
		if c.peers[a.Member.Record.ID] == nil { // else it found this node
			c.unspeakable(now, a.Member.Record.ID, a.Member.Record.Addrs)
		}
	case member.Removed:
		change.Kind, change.Member = RemovedNode, c.member(a.Member)
		change.Cause = causeOf(a.Member.State)
	case member.Updated:
		change.Kind, change.Member = UpdatedNode, c.member(a.Member)
		c.mesh.seated(a.Member.Record)
	case member.Suspected:
		change.Kind, change.Member = SuspectedNode, c.member(a.Member)
	case member.PeerAdded:
		change.Kind, change.Member = PeerAdded, c.member(a.Member)
	case member.PeerRemoved:
		change.Kind, change.Member = PeerRemoved, c.member(a.Member)
	case member.Connected:
		change.Kind = Connected
	case member.Disconnected:
		change.Kind = Disconnected
	case member.Split:
		change.Kind, change.Present, change.Missing = Split, c.withSelf(a.Here), c.all(a.Gone)
	case member.Healed:
		change.Kind, change.Member = Healed, c.member(a.Member)
	default:
		return
	}
	c.act(change)
	if r, ok := a.(member.Removed); ok {
		c.removed(now, r.Member)
	}
}

// added carries the begin of a membership to the other machines.
func (c *Core) added(now time.Time, r frame.Record) {
	c.detector.Add(now, r.ID, r.Incarnation)
	c.mesh.seated(r)
	c.dials.Listed(r.ID, c.mesh.partial)
	if l := c.peers[r.ID]; l != nil && !l.listed && l.trial.ID == r.ID && l.Incarnation == r.Incarnation {
		c.mesh.proven = append(c.mesh.proven, l)
	}
}

// removed carries the end of a membership to the other machines.
func (c *Core) removed(now time.Time, m member.Member) {
	id := m.Record.ID
	c.detector.Remove(id)
	c.mesh.gone(id)
	c.dials.Listed(id, false)
	code := frame.CodeLeave
	if m.State == member.Failed {
		code = frame.CodeClose
	}
	c.demandOver(id, m.Record.Incarnation, code)
	if c.peers[id] == nil {
		delete(c.reached, id)
	}
	if m.State == member.Failed {
		return // dead, and dialled for life, or replaced by an incarnation that is linked
	}
	c.dials.Forget(now, id)
	if l := c.peers[id]; l != nil && l.Incarnation == m.Record.Incarnation {
		c.unlink(now, l, overlay.Lost)
		delete(c.reached, id)
		c.close(l, frame.CodeLeave, "")
	}
}

func causeOf(s member.State) Cause {
	switch s {
	case member.Left:
		return CauseLeft
	case member.Expelled:
		return CauseExpelled
	default:
		return CauseFailed
	}
}

// members returns the members including this node.
func (c *Core) members() []Member { return c.withSelf(c.table.Members()) }

// withSelf returns ms and this node, by join number and ID.
func (c *Core) withSelf(ms []member.Member) []Member {
	all, self := c.all(ms), Member{Record: c.table.Self(), Self: true}
	at, _ := slices.BinarySearchFunc(all, self, func(a, b Member) int {
		return cmp.Or(ident.CompareJoins(a.Record.Join, b.Record.Join), a.Record.ID.Compare(b.Record.ID))
	})
	return slices.Insert(all, at, self)
}

func (c *Core) all(ms []member.Member) []Member {
	all := make([]Member, 0, len(ms)+1)
	for _, m := range ms {
		all = append(all, c.member(m))
	}
	return all
}

// member converts a member and adds its link.
func (c *Core) member(m member.Member) Member {
	v := Member{
		Record: m.Record, Suspect: m.State == member.Suspect, Source: m.Source, Since: m.Since,
	}
	if l := c.peers[m.Record.ID]; l != nil && m.Linked && l.Incarnation == m.Record.Incarnation {
		v.Link, v.Addr = l.ID, l.Addr
	}
	return v
}
