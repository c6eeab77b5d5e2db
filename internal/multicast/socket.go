package multicast

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/espial-go/espial/internal/packet"
)

// datagramMax is the size of the buffer of a socket, in bytes. What is longer is not
// ours: a datagram of espial passes every network in one piece.
const datagramMax = 2048

// spec names a socket: two with one spec do the same.
type spec struct {
	index  int // of the interface
	name   string
	group  netip.AddrPort
	source netip.Addr // to send from; invalid for the socket that joins the group
}

// specs returns the sockets that a list of interfaces calls for: first the senders,
// so that whatever is heard can be replied to.
func specs(list []nic, groups []netip.AddrPort) (senders, receivers []spec) {
	for _, n := range list {
		for _, g := range groups {
			s := spec{index: n.Index, name: n.Name, group: g}
			from := n.sources(g.Addr().Is6())
			if len(from) == 0 {
				continue
			}
			receivers = append(receivers, s)
			for _, s.source = range from {
				senders = append(senders, s)
			}
		}
	}
	return senders, receivers
}

// options are those that sockets of both families have.
type options interface {
	JoinGroup(ifi *net.Interface, group net.Addr) error
	LeaveGroup(ifi *net.Interface, group net.Addr) error
	SetMulticastInterface(ifi *net.Interface) error
	SetMulticastLoopback(on bool) error
	SetBPF(filter []bpf.RawInstruction) error
}

// socket is an open one. Its methods may be called by several goroutines.
type socket struct {
	spec
	conn    *net.UDPConn
	options options
	subnets atomic.Pointer[[]netip.Prefix] // of the interface
	checks  bool                           // the system tells where a datagram arrived
	rejoin  time.Time                      // when to join anew; touched by Run's goroutine
}

// open opens a socket of n.
func open(s spec, n nic, c Config) (*socket, error) {
	network, at := "udp4", s.group // the net package binds all addresses, shared, for a group
	if s.group.Addr().Is6() {
		network = "udp6"
	}
	if s.source.IsValid() {
		at = netip.AddrPortFrom(s.source, 0)
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, fmt.Errorf("multicast: interface %q: %w", s.name, err)
	}
	o := &socket{spec: s, conn: conn}
	o.subnets.Store(&n.subnets)
	if err := o.configure(n, c); err != nil {
		return nil, errors.Join(fmt.Errorf("multicast: interface %q: %w", s.name, err), conn.Close())
	}
	return o, nil
}

// configure sets the options of a sender, or joins the group with a receiver.
func (s *socket) configure(n nic, c Config) error {
	var hops, tell error
	if s.group.Addr().Is6() {
		p := ipv6.NewPacketConn(s.conn)
		hops, s.options = p.SetMulticastHopLimit(c.TTL), p
		if !s.source.IsValid() {
			tell = p.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true)
		}
	} else {
		p := ipv4.NewPacketConn(s.conn)
		hops, s.options = p.SetMulticastTTL(c.TTL), p
		if !s.source.IsValid() {
			tell = p.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true)
		}
	}
	if c.Tag != (packet.ClusterTag{}) {
		program, err := filter(c.Tag)
		if err != nil {
			return err
		}
		// Where the system has no filters (all but Linux), the reader sorts out the rest.
		_ = s.options.SetBPF(program)
	}
	// Senders need it on Unix, receivers on Windows.
	if err := errors.Join(hops, s.options.SetMulticastLoopback(!c.NoLoopback)); err != nil {
		return err
	}
	if s.source.IsValid() {
		// Without it the datagram goes where the routing table says, or nowhere.
		return s.options.SetMulticastInterface(&n.Interface)
	}
	s.checks = tell == nil
	if err := ownGroupsOnly(s.conn, s.group.Addr().Is6()); err != nil {
		return err
	}
	return s.options.JoinGroup(&n.Interface, s.groupAddr())
}

func (s *socket) groupAddr() *net.UDPAddr { return net.UDPAddrFromAddrPort(s.group) }

// join leaves the group and joins it again, which makes the host report its membership
// unless another program's socket is a member too.
func (s *socket) join() error {
	ifi := &net.Interface{Index: s.index, Name: s.name}
	return errors.Join(s.options.LeaveGroup(ifi, s.groupAddr()), s.options.JoinGroup(ifi, s.groupAddr()))
}

// send sends to the group.
func (s *socket) send(b []byte) error {
	to := s.group
	if to.Addr().Is6() {
		to = netip.AddrPortFrom(to.Addr().WithZone(s.name), to.Port())
	}
	_, err := s.conn.WriteToUDPAddrPort(b, to)
	return err
}

// meant reports whether a datagram with the control messages oob came by the interface
// of s and to its group, as far as the system tells. A socket that is bound to all
// addresses receives what is sent to the host itself too.
func (s *socket) meant(oob []byte) bool {
	if s.source.IsValid() || !s.checks {
		return true
	}
	var index int
	var dst net.IP
	if s.group.Addr().Is6() {
		var m ipv6.ControlMessage
		if m.Parse(oob) != nil {
			return false
		}
		index, dst = m.IfIndex, m.Dst
	} else {
		var m ipv4.ControlMessage
		if m.Parse(oob) != nil {
			return false
		}
		index, dst = m.IfIndex, m.Dst
	}
	to, ok := netip.AddrFromSlice(dst)
	return ok && to.Unmap() == s.group.Addr() && index == s.index
}

// reaches reports whether to lies in the subnet of the address that s sends from. The
// other subnets of the interface are the affair of other sockets: to their neighbours
// the source of this one is a stranger.
func (s *socket) reaches(to netip.Addr) bool {
	if !s.source.IsValid() || to.Zone() != "" && to.Zone() != s.name {
		return false
	}
	source, to := s.source.WithZone(""), to.WithZone("")
	return slices.ContainsFunc(*s.subnets.Load(), func(p netip.Prefix) bool {
		return p.Addr() == source && p.Contains(to)
	})
}
