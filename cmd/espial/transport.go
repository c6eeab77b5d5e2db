package main

import (
	"slices"
	"strings"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/transport"
	"github.com/espial-go/espial/transport/tcp"
	"github.com/espial-go/espial/transport/unix"
	"github.com/espial-go/espial/transport/websocket"
)

// carry sets the transport of c by the schemes of its addresses: a node speaks TCP and what
// the user named. One that listens at an address with a scheme has no multicast, unless the user
// asked for it, which is an error then.
func (f *nodeFlags) carry(c *espial.Config, discover bool) error {
	by := transport.ByScheme{"tcp": tcp.Transport{}}
	web := &websocket.Transport{}
	for _, addr := range slices.Concat([]string{c.Listen, c.Advertise}, c.Seeds) {
		switch scheme, _, ok := strings.Cut(addr, "://"); {
		case !ok || scheme == "tcp":
		case scheme == "unix":
			by[scheme] = unix.Transport{}
		case scheme == "ws" || scheme == "wss":
			by["ws"], by["wss"] = web, web
		default:
			return usagef("%q: this version knows unix://, ws:// and wss://", addr)
		}
	}
	if len(by) == 1 {
		return nil
	}
	c.Transport = by
	if strings.Contains(c.Listen, "://") && !strings.HasPrefix(c.Listen, "tcp://") && !discover {
		c.Multicast.Off = true
	}
	return nil
}
