package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/espial-go/espial/internal/frame"
)

// ErrAdvertise reports an Advertise setting that fits no address of this host.
var ErrAdvertise = errors.New("engine: nothing to advertise")

// Advertised returns the addresses that others are told, the preferred first, for a
// listener at listen. what is the user's wish: an address with a scheme, an IP with or without
// a port, an interface, a subnet, or nothing.
func Advertised(what string, listen frame.Addr, local []Local) ([]frame.Addr, error) {
	if strings.Contains(what, "://") {
		a, err := frame.ParseAddr(what)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAdvertise, err)
		}
		return []frame.Addr{a}, nil
	}
	at, path, numeric := listen.Split()
	switch {
	case !numeric && what == "":
		return []frame.Addr{listen}, nil
	case !numeric:
		return nil, fmt.Errorf("%w: %q is nothing for %s; give an address with a scheme",
			ErrAdvertise, what, listen)
	}
	aps, err := advertised(what, at, local)
	var out []frame.Addr
	for _, ap := range aps[:min(len(aps), frame.AddrsMax)] {
		out = append(out, frame.Addr{Scheme: listen.Scheme, Addr: ap.String() + path})
	}
	return out, err
}

// advertised is Advertised for IP addresses.
func advertised(what string, listen netip.AddrPort, local []Local) ([]netip.AddrPort, error) {
	port := listen.Port()
	if what == "" {
		if !listen.Addr().IsUnspecified() {
			return []netip.AddrPort{listen}, nil
		}
		return ports(port, suitable(local, listen.Addr().Is4())), nil
	}
	if ap, err := netip.ParseAddrPort(what); err == nil {
		return []netip.AddrPort{ap}, nil
	}
	if ip, err := netip.ParseAddr(what); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip, port)}, nil
	}
	in, err := chooser(what)
	if err != nil {
		return nil, err
	}
	var chosen []netip.Addr
	for _, l := range local {
		if in(l) {
			chosen = append(chosen, l.Prefix.Addr())
		}
	}
	if len(chosen) == 0 {
		if strings.Contains(what, "/") {
			return nil, fmt.Errorf("%w: this host has no address in %s", ErrAdvertise, what)
		}
		return nil, fmt.Errorf("%w: this host has no address and no interface %q", ErrAdvertise, what)
	}
	return ports(port, chosen), nil
}

// ports returns the addresses with a port.
func ports(port uint16, ips []netip.Addr) []netip.AddrPort {
	out := make([]netip.AddrPort, 0, len(ips))
	for _, ip := range ips {
		out = append(out, netip.AddrPortFrom(ip, port))
	}
	return out
}

// chooser returns the test for an interface name or a subnet, the latter with a
// length or with a netmask (192.168.2.0/255.255.255.0).
func chooser(what string) (func(Local) bool, error) {
	base, mask, ok := strings.Cut(what, "/")
	if !ok {
		return func(l Local) bool { return l.Interface == what }, nil
	}
	if m, err := netip.ParseAddr(mask); err == nil && m.Is4() {
		ones, bits := net.IPMask(m.AsSlice()).Size()
		if bits == 0 {
			return nil, fmt.Errorf("%w: netmask of %q has a hole", ErrAdvertise, what)
		}
		what = base + "/" + strconv.Itoa(ones)
	}
	subnet, err := netip.ParsePrefix(what)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no subnet", ErrAdvertise, what)
	}
	return func(l Local) bool { return subnet.Contains(l.Prefix.Addr()) }, nil
}

// suitable returns the addresses of this host at which others may reach it, IPv4
// first. Loopback is for hosts that have nothing else; a link-local address means
// nothing without a zone, which differs from host to host.
func suitable(local []Local, only4 bool) []netip.Addr {
	var out, loopback []netip.Addr
	for _, l := range local {
		switch ip := l.Prefix.Addr(); {
		case only4 && !ip.Is4(), ip.IsLinkLocalUnicast():
		case ip.IsLoopback():
			loopback = append(loopback, ip)
		default:
			out = append(out, ip)
		}
	}
	if len(out) == 0 {
		out = loopback
	}
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return out
}

// Local is an address of this host.
type Local struct {
	Interface string
	Prefix    netip.Prefix
}

// Locals returns the addresses of the interfaces that are up.
func Locals() ([]Local, error) {
	ifs, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("engine: list the addresses of this host: %w", err)
	}
	var out []Local
	for _, i := range ifs {
		as, err := i.Addrs()
		if i.Flags&net.FlagUp == 0 || err != nil {
			continue
		}
		for _, a := range as {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				ones, _ := n.Mask.Size()
				out = append(out, Local{Interface: i.Name, Prefix: netip.PrefixFrom(ip.Unmap(), ones)})
			}
		}
	}
	return out, nil
}
