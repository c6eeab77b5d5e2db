package espial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/link"
)

// Transport is what carries links and the connections of streams, below TLS and admission, in
// place of TCP. Packages transport/unix and transport/websocket are two, transport.ByScheme
// makes one of several, and any type with these methods is another.
//
// An address is scheme://rest: a scheme of at most 16 bytes of a-z, 0-9, + and -, and a rest
// of at most 128 bytes without spaces, '?', '#' and '@'. One without a scheme is TCP's. A
// transport says which schemes it speaks by a method Schemes() []string; without that they are
// those of Config.Listen, Config.Seeds, and TCP if Config.Listen has none. What other members
// say of themselves in other schemes is never dialled.
//
// Both methods are called from several goroutines. A connection has to carry bytes in order,
// and to have deadlines. Reading on after the CloseWrite of the other end, if there is such a
// method, helps a goodbye to arrive.
type Transport interface {
	// Listen takes connections at an address until the listener is closed. If the text of
	// the listener's Addr has a scheme, it is what others are told, as after port 0 was asked
	// for; else they are told addr, and without a scheme Addr has to be a [net.TCPAddr]. An IP
	// address of an accepted connection's RemoteAddr that has a method AddrPort, as
	// [net.TCPAddr] has, is who the limits for strangers count; a [net.UnixAddr] is this host.
	Listen(ctx context.Context, addr string) (net.Listener, error)

	// Dial connects to an address within ctx, which ends after one second or, for an address
	// with a scheme, three. The end of ctx after that changes nothing. An error that
	// wraps ECONNREFUSED means that nobody listens there: so the death of a process is told from
	// a broken network. The RemoteAddr of a connection
	// to an address without a scheme is where the node is dialled again, if it is a
	// [net.TCPAddr].
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// speaker is a transport that says which schemes it speaks.
type speaker interface{ Schemes() []string }

// transport returns what carries links: that of the system unless the user has another.
func (c *Config) transport(sys env) Transport {
	if c.Transport == nil {
		return sys
	}
	return c.Transport
}

// schemes returns the schemes that the node speaks.
func (c *Config) schemes() ([]string, error) {
	if c.Transport == nil {
		return []string{frame.TCP}, nil
	}
	if s, ok := c.Transport.(speaker); ok {
		return slices.Clone(s.Schemes()), nil
	}
	var all []string
	for _, text := range append([]string{c.Listen}, c.Seeds...) {
		a, err := frame.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(all, a.Scheme) {
			all = append(all, a.Scheme)
		}
	}
	return all, nil
}

// untold is the text of a scheme that addresses of TCP need not have.
const untold = frame.TCP + "://"

// checkTransport refuses addresses that the transport does not speak.
func (c *Config) checkTransport() error {
	schemes, err := c.schemes()
	if err != nil {
		schemes = nil // Listen or Seeds says why
	}
	if err := c.checkSpoken(c.Listen, schemes); err != nil {
		if c.Listen == "" {
			return outOfRange("Listen", "is required: the transport speaks %s", strings.Join(schemes, ", "))
		}
		return outOfRange("Listen", "%q: %s", c.Listen, words(err))
	}
	for _, seed := range c.Seeds {
		if err := c.checkDialable(seed, schemes); err != nil {
			return outOfRange("Seeds", "%q: %v", seed, words(err))
		}
	}
	return nil
}

// checkDialable refuses what the node could never dial.
func (c *Config) checkDialable(addr string, schemes []string) error {
	if !strings.Contains(addr, "://") {
		if err := checkAddr(addr); err != nil {
			return fmt.Errorf("is no host:port: %w", err)
		}
	}
	return c.checkSpoken(addr, schemes)
}

// checkSpoken refuses an address that the transport does not speak.
func (c *Config) checkSpoken(addr string, schemes []string) error {
	a, err := frame.ParseAddr(addr)
	switch {
	case err != nil:
		return err
	case slices.Contains(schemes, a.Scheme):
		return nil
	case c.Transport == nil:
		return fmt.Errorf("is of %s, and without Config.Transport a node speaks tcp alone", a.Scheme)
	}
	return fmt.Errorf("is of %s, and the transport speaks %s", a.Scheme, strings.Join(schemes, ", "))
}

// bound returns where a listener listens that was opened at addr.
func bound(addr string, ln net.Listener) (frame.Addr, error) {
	text := ln.Addr().String()
	switch {
	case strings.Contains(text, "://"):
	case strings.Contains(addr, "://"):
		text = addr
	default:
		ap := link.AddrPort(ln.Addr())
		if _, ok := ln.Addr().(*net.TCPAddr); !ok {
			return frame.Addr{}, fmt.Errorf("%v is no TCP address", ln.Addr())
		}
		return frame.Addr{Scheme: frame.TCP, Addr: ap.String()}, nil
	}
	return frame.ParseAddr(text)
}

// errNoBeacons says why a node takes no part in multicast.
var errNoBeacons = errors.New("beacons name IP:port, and this node listens at an address with a scheme: " +
	"turn multicast off (Multicast.Off, --discover none), and give all nodes but the first a seed")

// advertise returns what gives the addresses that others are told of a listener.
func (c *Config) advertise(listen frame.Addr, sys env) func() ([]frame.Addr, error) {
	return func() ([]frame.Addr, error) {
		local, err := sys.locals()
		if err != nil {
			return nil, err
		}
		return engine.Advertised(c.Advertise, listen, local)
	}
}
