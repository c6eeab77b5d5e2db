package core

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/member"
)

const (
	// unspokenMax bounds the nodes that this one cannot dial and has not told of yet.
	unspokenMax = 1024

	// unspokenWait is what they get to dial this one: most are linked within a second.
	unspokenWait = 10 * time.Second
)

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
// found so or, for paths, the user named one. What a member names must not aim this node at
// what runs beside it.
func (c *Core) dialable(addrs []frame.Addr) []string {
	var out []string
	for _, a := range addrs {
		switch {
		case !slices.Contains(c.schemes, a.Scheme) || !parses(a):
		case a.IP().IsLinkLocalUnicast():
		case a.IsLocal() && !c.local(a):
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
		ip, path := a.IP(), strings.HasPrefix(a.Addr, "/")
		if ip.IsValid() && ip == l.Remote || path && !l.Remote.IsValid() {
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

// local reports whether a local address of another node means this host.
func (c *Core) local(a frame.Addr) bool {
	own := func(o frame.Addr) bool { return o.Scheme == a.Scheme && o.IsLocal() }
	return slices.ContainsFunc(c.table.Self().Addrs, own) ||
		strings.HasPrefix(a.Addr, "/") && slices.Contains(c.paths, a.Scheme)
}

// unspoken is a node that this one can never dial, which may still dial this one.
type unspoken struct {
	id    ident.NodeID
	addrs []frame.Addr
	due   time.Time
}

// unspeakable takes note of a node, named by others, that has addresses and none of a scheme
// that this node speaks.
func (c *Core) unspeakable(now time.Time, id ident.NodeID, addrs []frame.Addr) {
	speaks := func(a frame.Addr) bool { return slices.Contains(c.schemes, a.Scheme) }
	if len(addrs) == 0 || slices.ContainsFunc(addrs, speaks) || c.reports.unspoken[id] {
		return
	}
	if len(c.reports.unspoken) >= reportsMax {
		clear(c.reports.unspoken)
	}
	c.reports.unspoken[id] = true
	if len(c.unspoken) < unspokenMax {
		c.unspoken = append(c.unspoken, unspoken{id, addrs, now.Add(unspokenWait)})
	}
}

// tellUnspoken tells of the nodes that could not be dialled and have not dialled this one.
func (c *Core) tellUnspoken(now time.Time) {
	for len(c.unspoken) > 0 && !c.unspoken[0].due.After(now) {
		u := c.unspoken[0]
		c.unspoken = c.unspoken[1:]
		if c.linkWith(u.id) == nil {
			c.act(Unspoken{ID: u.id, Addrs: u.addrs})
		}
	}
}

// nextUnspoken returns when tellUnspoken has something to do.
func (c *Core) nextUnspoken() (at time.Time, ok bool) {
	if len(c.unspoken) == 0 {
		return time.Time{}, false
	}
	return c.unspoken[0].due, true
}

// place returns the one form of an address that all of its forms share.
func place(addr string) string {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return addr
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
}
