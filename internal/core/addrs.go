package core

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/member"
)

// unspokenMax bounds what is remembered of nodes that this one cannot dial.
const unspokenMax = 1024

// Addrs returns where a member, or one that was lost, is to be found, first where it was
// linked last. None may mean that it has no address of a scheme that this node speaks.
func (c *Core) Addrs(id ident.NodeID) []string { return c.addrs(id) }

func (c *Core) addrs(id ident.NodeID) []string {
	m, ok := c.table.Get(id)
	if !ok {
		lost := c.table.Lost()
		i := slices.IndexFunc(lost, func(m member.Member) bool { return m.Record.ID == id })
		if i < 0 {
			return nil
		}
		m = lost[i]
	}
	addrs := c.dialable(m.Record.Addrs)
	if last := c.reached[id]; last != "" {
		addrs = slices.Insert(addrs, 0, last)
	}
	return addrs
}

// dialable returns the addresses of another node that this one may dial, as text: those that
// the transport speaks, and none that mean another place here than there. A link-local
// address needs a zone, and a path or loopback is this host, unless this node itself is to be
// found so. What a member names must not aim this node at what runs beside it.
func (c *Core) dialable(addrs []frame.Addr) []string {
	var out []string
	for _, a := range addrs {
		ap, _, numeric := a.Split()
		switch {
		case !slices.Contains(c.schemes, a.Scheme) || !parses(a):
		case numeric && ap.Addr().IsLinkLocalUnicast():
		case a.Local() && !c.local(a.Scheme):
		default:
			out = append(out, a.String())
		}
	}
	return out
}

// home returns where the peer of an inbound link is, if the link does not say it: the address
// of its record at the IP that it came from or, without one, at a path of this host.
func (c *Core) home(l *link, r frame.Record) string {
	for _, text := range c.dialable(r.Addrs) {
		a, _ := frame.ParseAddr(text) // dialable did
		switch ap, _, numeric := a.Split(); {
		case numeric && ap.Addr() == l.Remote, !l.Remote.IsValid() && strings.HasPrefix(a.Addr, "/"):
			return text
		}
	}
	return ""
}

// parses reports whether an address of another node has the grammar of addresses.
func parses(a frame.Addr) bool {
	_, err := frame.ParseAddr(a.String())
	return err == nil
}

// local reports whether this node says that it is to be found on its own host by a scheme.
func (c *Core) local(scheme string) bool {
	return slices.ContainsFunc(c.table.Self().Addrs, func(a frame.Addr) bool {
		return a.Scheme == scheme && a.Local()
	})
}

// unspoken tells once of a node that can never be dialled, because it has addresses and none
// of them is of a scheme that this node speaks.
func (c *Core) unspoken(id ident.NodeID, addrs []frame.Addr) {
	speaks := func(a frame.Addr) bool { return slices.Contains(c.schemes, a.Scheme) }
	if len(addrs) == 0 || slices.ContainsFunc(addrs, speaks) || c.reports.unspoken[id] {
		return
	}
	if len(c.reports.unspoken) >= unspokenMax {
		clear(c.reports.unspoken)
	}
	c.reports.unspoken[id] = true
	c.act(Unspoken{ID: id, Addrs: addrs})
}

// place returns the one form of an address that all of its forms share.
func place(addr string) string {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return addr
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
}
