package multicast

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/espial-go/espial/internal/packet"
)

// GroupDefault is the IPv4 group and port: an address of the administratively scoped
// block (RFC 2365), which nobody else was found to use, and the port of espial.
const GroupDefault = "239.255.77.82:27272"

// group6Default is the IPv6 group: transient and of link-local scope (ff12), with a
// group ID above 0x80000000, the range for those that choose one (RFC 3307, section
// 4.3).
const group6Default = "ff12::8e51:4d52"

// Limits and defaults.
const (
	ttlMax        = 255
	rescanDefault = 5 * time.Second
	rescanMin     = 10 * time.Millisecond
)

// Config holds the settings of a [Carrier]. The zero value of a field means its default.
type Config struct {
	// Group is the IPv4 group with its UDP port. Default [GroupDefault].
	Group netip.AddrPort

	// Group6 is the IPv6 group. Default ff12::8e51:4d52 with the port of Group.
	Group6 netip.AddrPort

	// Tag lets the system drop, unread and uncounted, what is no datagram of the cluster
	// with this tag, where it can (Linux). Default: everything is received.
	Tag packet.ClusterTag

	// Interface names the one interface to use. Default: every suitable one.
	Interface string

	// NoLoopback hides the datagrams from other nodes on this host (on Windows: those
	// of other nodes from this one). The loopback interface is then not used.
	NoLoopback bool

	// TTL is how many hops a datagram to the group lives. Default 1: it passes no
	// router. At most 255. IPv6 datagrams pass none whatever it says, as the default
	// of Group6 has link-local scope.
	TTL int

	// Rescan is the time between two readings of the list of interfaces. Default 5 s,
	// at least 10 ms.
	Rescan time.Duration

	// Logger receives operational messages. Default: discard.
	Logger *slog.Logger
}

// withDefaults returns a copy with every zero field set.
func (c Config) withDefaults() Config {
	if !c.Group.IsValid() {
		c.Group = netip.MustParseAddrPort(GroupDefault)
	}
	if !c.Group6.IsValid() {
		c.Group6 = netip.AddrPortFrom(netip.MustParseAddr(group6Default), c.Group.Port())
	}
	if c.TTL == 0 {
		c.TTL = 1
	}
	if c.Rescan == 0 {
		c.Rescan = rescanDefault
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// check returns an error that names the first field out of range.
func (c Config) check() error {
	switch {
	case !isGroup(c.Group, netip.Addr.Is4):
		return fmt.Errorf("multicast: Group %v is not an IPv4 group with a port", c.Group)
	case !isGroup(c.Group6, netip.Addr.Is6) || c.Group6.Addr().Zone() != "":
		return fmt.Errorf("multicast: Group6 %v is not an IPv6 group with a port and no zone", c.Group6)
	case c.TTL < 1 || c.TTL > ttlMax:
		return fmt.Errorf("multicast: TTL %d is not between 1 and %d", c.TTL, ttlMax)
	case c.Rescan < rescanMin:
		return fmt.Errorf("multicast: Rescan %v is below %v", c.Rescan, rescanMin)
	default:
		return nil
	}
}

// isGroup reports whether g is a group of a family, with a port.
func isGroup(g netip.AddrPort, family func(netip.Addr) bool) bool {
	a := g.Addr()
	return family(a) && !a.Is4In6() && a.IsMulticast() && g.Port() != 0
}
