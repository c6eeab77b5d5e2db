package core

import (
	"slices"
	"strings"
	"time"

	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/member"
)

// Pin wants a link with a node, which the user named, for as long as it is a member.
func (c *Core) Pin(now time.Time, id ident.NodeID) {
	c.enter(now)
	c.mesh.named[id] = true
	c.repin(id)
	c.settle(now)
}

// Unpin takes Pin back.
func (c *Core) Unpin(now time.Time, id ident.NodeID) {
	c.enter(now)
	delete(c.mesh.named, id)
	c.repin(id)
	c.settle(now)
}

// Require wants links with these nodes, ascending, for as long as they are members, and not
// any more with those that it named the last time.
func (c *Core) Require(now time.Time, ids []ident.NodeID) {
	c.enter(now)
	last := c.mesh.required
	c.mesh.required = slices.Clone(ids)
	for _, id := range slices.Concat(last, ids) {
		c.repin(id)
	}
	c.settle(now)
}

// repin tells the keeper whether anybody wants a link with a node.
func (c *Core) repin(id ident.NodeID) {
	m := &c.mesh
	_, wanted := slices.BinarySearchFunc(m.required, id, ident.NodeID.Compare)
	wanted = wanted || m.named[id]
	for _, other := range m.pins {
		wanted = wanted || other == id
	}
	if wanted {
		m.keeper.Pin(id)
	} else {
		m.keeper.Unpin(id)
	}
}

// PinAddr tries an address that the user named for life, as those of [Config.Seeds], and wants
// a link with whoever answers there last. It reports whether it has room for the address: there
// are at most [PinsMax].
func (c *Core) PinAddr(now time.Time, addr string) bool {
	c.enter(now)
	defer c.settle(now)
	addr = named(addr)
	if _, known := c.mesh.pins[addr]; known {
		return true
	}
	if len(c.mesh.pins) >= PinsMax {
		return false
	}
	c.mesh.pins[addr] = ident.NodeID{}
	c.dials.Found(now, dial.Candidate{Addr: addr, Source: dial.Seed})
	// In a partial mesh a member is not dialled for being named.
	ms := c.table.Members()
	at := func(m member.Member) bool { return slices.Contains(c.addrs(m.Record.ID), addr) }
	if i := slices.IndexFunc(ms, at); i >= 0 {
		c.pinned(addr, ms[i].Record.ID)
	}
	return true
}

// answered pins who answered at an address of PinAddr.
func (c *Core) answered(addr string, o dial.Outcome) {
	switch o.Kind {
	case dial.OK, dial.Duplicate, dial.Full:
		c.pinned(addr, o.ID)
	default:
	}
}

// pinned pins who is to be found at an address of PinAddr, in place of who was before.
func (c *Core) pinned(addr string, id ident.NodeID) {
	last, named := c.mesh.pins[addr]
	if !named || id.IsZero() || id == last {
		return
	}
	c.mesh.pins[addr] = id
	c.repin(id)
	c.repin(last)
}

// named returns the one form of an address that the user named, as the dial schedule has it:
// the name of a host has no upper case, a path may.
func named(addr string) string {
	if addr = place(addr); strings.Contains(addr, "://") {
		return addr
	}
	return strings.ToLower(addr) // an IPv6 address has no upper case either
}
