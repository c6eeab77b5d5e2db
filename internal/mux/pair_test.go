package mux_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/memnet"
	"github.com/espial-go/espial/internal/mux"
)

// latency is that of the network in memory, one way.
const latency = time.Millisecond

// pair is two nodes with a session between them; a dialled its connection.
type pair struct {
	*testing.T
	a, b           *mux.Session
	atA, atB       *mux.Services
	connA, connB   net.Conn
	cancelA, stopB context.CancelFunc
	wg             sync.WaitGroup
}

// connections returns both ends of a connection in memory.
func connections(t testing.TB, n *memnet.Network) (dialed, accepted net.Conn) {
	t.Helper()
	hostA, hostB := n.Host(netip.MustParseAddr("10.0.0.1")), n.Host(netip.MustParseAddr("10.0.0.2"))
	ln, err := hostB.Listen(t.Context(), ":27272")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if dialed, err = hostA.Dial(t.Context(), "10.0.0.2:27272"); err != nil {
		t.Fatal(err)
	}
	if accepted, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return dialed, accepted
}

// join runs a session between two connections.
func join(t *testing.T, dialed, accepted net.Conn, idleMax time.Duration) *pair {
	t.Helper()
	return joinWith(t, dialed, accepted, func(c *mux.Config) {
		if c.Dialed {
			c.IdleMax = idleMax
		}
	})
}

// joinWith is join with settings that edit makes at each end.
func joinWith(t *testing.T, dialed, accepted net.Conn, edit func(*mux.Config)) *pair {
	t.Helper()
	p := &pair{T: t, atA: &mux.Services{}, atB: &mux.Services{}, connA: dialed, connB: accepted}
	confA := mux.Config{Dialed: true, Services: p.atA, Local: "node-a", Remote: "node-b"}
	confB := mux.Config{Services: p.atB, Local: "node-b", Remote: "node-a"}
	edit(&confA)
	edit(&confB)
	var errA, errB error
	p.a, errA = mux.New(dialed, confA)
	p.b, errB = mux.New(accepted, confB)
	if errA != nil || errB != nil {
		t.Fatalf("New = %v and %v", errA, errB)
	}
	ctxA, cancelA := context.WithCancel(t.Context())
	ctxB, cancelB := context.WithCancel(t.Context())
	p.cancelA, p.stopB = cancelA, cancelB
	p.wg.Go(func() { p.a.Run(ctxA) })
	p.wg.Go(func() { p.b.Run(ctxB) })
	return p
}

// stop ends both sessions and waits until nothing of them is left.
func (p *pair) stop() {
	p.cancelA()
	p.stopB()
	p.wg.Wait()
}

// inPair runs f in virtual time with a session between two nodes.
func inPair(t *testing.T, f func(p *pair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		n.SetLatency(latency, latency)
		dialed, accepted := connections(t, n)
		p := join(t, dialed, accepted, 0)
		defer p.stop()
		f(p)
	})
}

// listen opens a listener at b.
func (p *pair) listen(service string) *mux.Listener {
	p.Helper()
	ln, err := p.atB.Listen("node-b", service)
	if err != nil {
		p.Fatal(err)
	}
	return ln
}

// open opens a stream from a and accepts it.
func (p *pair) open(ln net.Listener, service string) (a, b *mux.Stream) {
	p.Helper()
	a, err := p.a.Open(p.Context(), service)
	if err != nil {
		p.Fatalf("Open(%q) = %v", service, err)
	}
	nc, err := ln.Accept()
	if err != nil {
		p.Fatal(err)
	}
	return a, nc.(*mux.Stream)
}

// codeOf returns the code of the reset that err reports.
func codeOf(err error) mux.Code {
	if e, ok := errors.AsType[*mux.ResetError](err); ok {
		return e.Code
	}
	return mux.CodeNone
}

// readAll returns what comes until the end, as text.
func readAll(r io.Reader) (string, error) {
	b, err := io.ReadAll(r)
	return string(b), err
}

// addr returns the IP address of this end of a connection.
func addr(t testing.TB, nc net.Conn) netip.Addr {
	t.Helper()
	return nc.LocalAddr().(*net.TCPAddr).AddrPort().Addr()
}
