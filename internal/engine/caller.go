package engine

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/link"
)

// accept sets up a connection that somebody else dialled.
func (e *Engine) accept(ctx context.Context, nc net.Conn) {
	leave, ok := e.gate.Enter(time.Now(), e.caller(nc))
	if !ok {
		_ = nc.Close() // nothing was said on it
		return
	}
	e.group.Go(func() error {
		defer leave()
		d := core.Dial{Source: dial.Inbound}
		switch c, err := e.handshake(ctx, nc, d); {
		case err != nil:
		case c.ForStreams():
			e.acceptStreams(ctx, c, leave)
		default:
			e.admit(ctx, c, d, leave)
		}
		return nil // a stranger's connection is no failure of this node
	})
}

// homes is where the members are to be found, without zones. It is never written again.
type homes map[netip.Addr]bool

// homesOf returns the addresses of the other members of a view.
func homesOf(v core.View) homes {
	h := homes{}
	add := func(a frame.Addr) {
		if ip := a.IP(); ip.IsValid() {
			h[ip.WithZone("")] = true
		}
	}
	for _, m := range v.Members {
		if m.Self {
			continue
		}
		if a, err := frame.ParseAddr(m.Addr); err == nil {
			add(a)
		}
		for _, a := range m.Record.Addrs {
			add(a)
		}
	}
	return h
}

// caller says where a connection comes from that somebody else dialled.
func (e *Engine) caller(nc net.Conn) link.Caller {
	from := link.AddrPort(nc.RemoteAddr()).Addr()
	own := false
	switch nc.RemoteAddr().(type) {
	case *net.TCPAddr:
		own = from.IsLoopback() || from.IsValid() && from == link.AddrPort(nc.LocalAddr()).Addr()
	case *net.UnixAddr:
		own = true
	default:
		if from.IsLoopback() {
			from = netip.Addr{} // of something on this host that speaks for nobody knows whom
		}
	}
	return link.Caller{Addr: from, Own: own, Member: (*e.homes.Load())[from.WithZone("")]}
}
