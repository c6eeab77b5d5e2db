package link

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits of connections whose admission is not over.
const (
	halfOpenMax          = 128 // in all
	halfOpenStrangersMax = 112 // from strangers, who may take 5 s each; the rest is for members and this host
	halfOpenAddrMax      = 8   // from one address
)

// Limits of how often admission begins. A handshake costs 0.6 ms of CPU, so that all strangers
// together get a thirteenth of a core.
const (
	strangersEvery = time.Second / 128 // for all addresses
	strangersBurst = 256               // at once, after a rest

	addrEvery = time.Second / 8 // for one address
	addrBurst = 32

	// strangersKept is the part of strangersBurst that is kept for addresses of which few
	// handshakes begin, so few: then it takes 256 addresses to keep a newcomer out.
	strangersKept = strangersBurst / 2
	calmEvery     = 2 * time.Second
	calmBurst     = 4
)

// Gate bounds the connections whose handshake and admission are under way, and how often they
// begin. The zero value is ready.
type Gate struct {
	mu        sync.Mutex // guards what follows
	open      int
	slow      int // of them, from strangers
	strangers meter
	callers   map[netip.Addr]*caller // that have not rested; some 3,000 at most, and members
	swept     time.Time              // when callers was last cleared of those that have
	crowded   uint64
	hurried   uint64
}

// caller is an address that began a handshake lately.
type caller struct {
	open       int
	rate, calm meter
}

// Caller says where a connection comes from.
type Caller struct {
	Addr   netip.Addr // zero if the transport does not say: then all such strangers share one limit
	Own    bool       // from this host, which no limit for addresses holds for, nor one for strangers
	Member bool       // where a member is to be found, which is no stranger
}

// Enter asks to begin a handshake at the time now. If it may not, the caller closes the
// connection without a word; otherwise it calls leave once, when admission is over.
func (g *Gate) Enter(now time.Time, c Caller) (leave func(), ok bool) {
	c.Addr = c.Addr.Unmap()
	g.mu.Lock()
	defer g.mu.Unlock()
	known := &caller{}
	if k := g.callers[c.Addr]; k != nil && !c.Own {
		known = k
	}
	stranger := !c.Own && !c.Member
	if g.open >= halfOpenMax || known.open >= halfOpenAddrMax || stranger && g.slow >= halfOpenStrangersMax {
		g.crowded++
		return nil, false
	}
	if !c.Own && !g.pass(now, c, known) {
		g.hurried++
		return nil, false
	}
	g.open++
	known.open++
	if stranger {
		g.slow++
	}
	return sync.OnceFunc(func() { g.leave(known, stranger) }), true
}

// pass counts a handshake from an address that is not this host's against the limits, if it is
// within them. Who is turned away leaves no trace.
func (g *Gate) pass(now time.Time, c Caller, known *caller) bool {
	calm, few := known.calm.add(now, calmEvery, calmBurst)
	left := strangersBurst
	if !few || !c.Addr.IsValid() {
		left -= strangersKept
	}
	rate, ok := known.rate.add(now, addrEvery, addrBurst)
	strangers, room := g.strangers.add(now, strangersEvery, left)
	if !ok || !room && !c.Member {
		return false
	}
	known.rate, known.calm = rate, calm
	if !c.Member {
		g.strangers = strangers
	}
	if c.Addr.IsValid() {
		g.keep(now, c.Addr, known)
	}
	return true
}

// keep remembers an address, and now and then forgets those that have rested.
func (g *Gate) keep(now time.Time, addr netip.Addr, c *caller) {
	if now.Sub(g.swept) >= calmEvery*calmBurst {
		g.swept = now
		maps.DeleteFunc(g.callers, func(_ netip.Addr, k *caller) bool {
			return k.open == 0 && !k.rate.rested.After(now) && !k.calm.rested.After(now)
		})
	}
	if g.callers == nil {
		g.callers = map[netip.Addr]*caller{}
	}
	g.callers[addr] = c
}

func (g *Gate) leave(c *caller, stranger bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	c.open--
	if stranger {
		g.slow--
	}
}

// Refused returns how many connections found no room, and how many came too soon.
func (g *Gate) Refused() (crowded, hurried uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.crowded, g.hurried
}

// meter measures how often something happens, by the moment at which it will have rested for
// long enough to happen in a burst (the generic cell rate algorithm of ITU-T I.371).
type meter struct{ rested time.Time }

// add returns the meter after one more at the time now, and whether that is within one in
// every and a burst. If it is not, the meter is at its end and no further.
func (m meter) add(now time.Time, every time.Duration, burst int) (meter, bool) {
	if m.rested.Before(now) {
		m.rested = now
	}
	m.rested = m.rested.Add(every)
	end := now.Add(every * time.Duration(burst))
	if m.rested.After(end) {
		return meter{end}, false
	}
	return m, true
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
