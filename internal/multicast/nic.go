package multicast

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// nicsMax bounds the interfaces in use. A host of containers has hundreds, nearly all
// of them ports of a bridge that is itself one.
const nicsMax = 32

// nic is a suitable network interface.
type nic struct {
	net.Interface
	subnets []netip.Prefix // with the address of this host in each, not masked
}

// nics returns the suitable interfaces by index, at most [nicsMax], and the number of
// those left out. Only the one with the given name is suitable, if that is not empty,
// and loopback is not if noLoopback is set: what is sent there comes back whatever the
// socket says.
func nics(only string, noLoopback bool) (suitable []nic, left int, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, 0, fmt.Errorf("multicast: list interfaces: %w", err)
	}
	for _, ifi := range all {
		other := only != "" && ifi.Name != only
		if other || noLoopback && ifi.Flags&net.FlagLoopback != 0 || !usable(ifi.Flags) {
			continue
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // it went away in this instant
		}
		if n := (nic{ifi, prefixes(addrs)}); len(n.subnets) > 0 {
			suitable = append(suitable, n)
		}
	}
	slices.SortFunc(suitable, func(a, b nic) int { return a.Index - b.Index })
	kept := min(len(suitable), nicsMax)
	return suitable[:kept], len(suitable) - kept, nil
}

// usable reports whether an interface with these flags can carry multicast.
func usable(f net.Flags) bool {
	const up = net.FlagUp | net.FlagRunning
	return f&up == up && f&(net.FlagMulticast|net.FlagLoopback) != 0
}

// prefixes converts the addresses of an interface and drops what is none.
func prefixes(addrs []net.Addr) (out []netip.Prefix) {
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(n.IP)
		bits, _ := n.Mask.Size()
		if addr = addr.Unmap(); ok && bits <= addr.BitLen() && !addr.IsUnspecified() {
			out = append(out, netip.PrefixFrom(addr, bits))
		}
	}
	return out
}

// contains reports whether an address lies in one of the subnets.
func contains(subnets []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return p.Contains(a) })
}

// sources returns the addresses to send from with a family: of IPv4 one for each
// subnet, so that the neighbours in each of them believe the source; of IPv6 the
// link-local one, which all neighbours share.
func (n nic) sources(six bool) (out []netip.Addr) {
	var seen []netip.Prefix
	for _, p := range n.subnets {
		a := p.Addr()
		switch {
		case a.Is4() == six, six && n.Flags&net.FlagLoopback != 0:
			continue // IPv6 multicast does not work on loopback
		case six && !a.IsLinkLocalUnicast():
			continue
		case six:
			return []netip.Addr{a.WithZone(n.Name)}
		case !slices.Contains(seen, p.Masked()):
			seen = append(seen, p.Masked())
			out = append(out, a)
		}
	}
	return out[:min(len(out), sourcesMax)]
}

// sourcesMax bounds the IPv4 subnets of one interface.
const sourcesMax = 8
