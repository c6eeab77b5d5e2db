package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits of connections whose admission is not over.
const (
	halfOpenMax     = 128 // in all
	halfOpenAddrMax = 8   // from one address, loopback excepted
)

// Gate bounds the connections whose handshake and admission are under way. The zero
// value is ready.
type Gate struct {
	mu      sync.Mutex // guards what follows
	open    int
	byAddr  map[netip.Addr]int
	refused uint64
}

// Enter asks to begin a handshake with addr. If it may not, the caller closes the
// connection without a word; otherwise it calls leave once, when admission is over.
func (g *Gate) Enter(addr netip.Addr) (leave func(), ok bool) {
	addr = addr.Unmap()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= halfOpenMax || !addr.IsLoopback() && g.byAddr[addr] >= halfOpenAddrMax {
		g.refused++
		return nil, false
	}
	if g.byAddr == nil {
		g.byAddr = map[netip.Addr]int{}
	}
	g.open++
	g.byAddr[addr]++
	return sync.OnceFunc(func() { g.leave(addr) }), true
}

func (g *Gate) leave(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.byAddr[addr]--; g.byAddr[addr] == 0 {
		delete(g.byAddr, addr)
	}
}

// Refused returns how many connections found no room.
func (g *Gate) Refused() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

// Bounds of the pause after a failed accept.
const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// Serve hands each connection that ln accepts to take, until ctx ends, when it closes
// ln and returns nil. Where accepting fails, for one because the process has no file
// descriptor left, it waits a little and tries again.
func Serve(ctx context.Context, ln net.Listener, take func(net.Conn)) error {
	stop := context.AfterFunc(ctx, func() {
		_ = ln.Close() // only wakes Accept
	})
	defer stop()
	pause := acceptPauseMin
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			pause = acceptPauseMin
			take(nc)
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, acceptPauseMax)
	}
}
