package link_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/memnet"
)

// latency is that of the network in memory, one way.
const latency = time.Millisecond

var (
	addrA = netip.MustParseAddr("10.0.0.1")
	addrB = netip.MustParseAddr("10.0.0.2")
)

// newKey returns the key that 32 bytes of value n make.
func newKey(t testing.TB, n byte) *ident.Key {
	t.Helper()
	key, err := ident.NewKey(bytes.NewReader(bytes.Repeat([]byte{n}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newIdentity(t testing.TB, n byte) *link.Identity {
	t.Helper()
	i, err := link.NewIdentity(newKey(t, n))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// sockets returns both ends of a connection from A to B.
func sockets(t testing.TB, n *memnet.Network) (dialed, accepted net.Conn) {
	t.Helper()
	ln, err := n.Host(addrB).Listen(t.Context(), ":27272")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if dialed, err = n.Host(addrA).Dial(t.Context(), "10.0.0.2:27272"); err != nil {
		t.Fatal(err)
	}
	if accepted, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dialed.Close()
		accepted.Close()
	})
	return dialed, accepted
}

// shake runs the handshake over both ends.
func shake(t testing.TB, dialed, accepted net.Conn) (a, b *link.Conn) {
	t.Helper()
	var g errgroup.Group
	g.Go(func() (err error) {
		a, err = link.Handshake(t.Context(), dialed, link.Dialer, newIdentity(t, 1))
		return err
	})
	g.Go(func() (err error) {
		b, err = link.Handshake(t.Context(), accepted, link.Acceptor, newIdentity(t, 2))
		return err
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// inBubble runs f in virtual time with a network.
func inBubble(t *testing.T, f func(t *testing.T, n *memnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		n.SetLatency(latency, latency)
		f(t, n)
	})
}

// policy admits everybody; self is whose it is.
func policy(self *link.Identity, name string) link.Policy {
	return link.Policy{
		Config: admission.Config{
			Self: self.ID(), CheckName: func(string) error { return nil },
			Hello: frame.Hello{Proto: frame.Proto, Cluster: [16]byte{1}, Incarnation: 5, Name: name},
		},
		Arbitrate: func(context.Context, frame.Hello, time.Time) admission.Ruling {
			return admission.Ruling{OK: true, Serial: 3, Join: 2}
		},
	}
}

// admit runs admission over both ends and returns how it ended at each.
func admit(t testing.TB, a, b *link.Conn, pa, pb link.Policy) (upA, upB admission.Up, errA, errB error) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() { upA, errA = a.Admit(t.Context(), pa) })
	wg.Go(func() { upB, errB = b.Admit(t.Context(), pb) })
	wg.Wait()
	return upA, upB, errA, errB
}

// linked returns both ends of a link after admission.
func linked(t testing.TB, dialed, accepted net.Conn) (a, b *link.Conn) {
	t.Helper()
	a, b = shake(t, dialed, accepted)
	_, _, errA, errB := admit(t, a, b, policy(newIdentity(t, 1), "a"), policy(newIdentity(t, 2), "b"))
	if errA != nil || errB != nil {
		t.Fatalf("admission: %v and %v", errA, errB)
	}
	return a, b
}

// end is a handler that collects what it receives and sends what it is given.
type end struct {
	mu      sync.Mutex
	got     []string                 // types and payloads
	fail    error                    // Receive returns it
	data    [][]byte                 // Fill takes from its front
	fill    func() [][]byte          // instead of data
	receive func(frames []frame.Raw) // sees all of them
}

func (e *end) Receive(frames []frame.Raw) error {
	if e.receive != nil {
		e.receive(frames)
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range frames {
		e.got = append(e.got, f.Type.String()+" "+string(f.Payload))
	}
	return e.fail
}

func (e *end) Fill(dst [][]byte, bytesMax int) [][]byte {
	if e.fill != nil {
		return append(dst, e.fill()...)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for size := 0; len(e.data) > 0 && size < bytesMax; e.data = e.data[1:] {
		dst = append(dst, e.data[0])
		size += len(e.data[0])
	}
	return dst
}

// received returns what came so far.
func (e *end) received() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.got...)
}

// runner runs both ends of a link.
type runner struct {
	a, b       *link.Conn
	atA, atB   *end
	errA, errB error
	cancelA    context.CancelFunc
	wg         sync.WaitGroup
}

// run starts both ends. The test ends the link and calls wait.
func run(t testing.TB, a, b *link.Conn) *runner {
	r := &runner{a: a, b: b, atA: &end{}, atB: &end{}}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancelA = cancel
	r.wg.Go(func() { r.errA = a.Run(ctx, r.atA) })
	r.wg.Go(func() { r.errB = b.Run(t.Context(), r.atB) })
	return r
}

// wait returns how the link ended at both ends.
func (r *runner) wait() (errA, errB error) {
	r.wg.Wait()
	r.cancelA()
	return r.errA, r.errB
}

// byeOf returns the BYE that err reports.
func byeOf(err error) frame.Bye {
	if e, ok := errors.AsType[*link.ByeError](err); ok {
		return e.Bye
	}
	return frame.Bye{}
}

// linkedOver is linked over a fresh connection.
func linkedOver(t testing.TB, n *memnet.Network) (a, b *link.Conn) {
	t.Helper()
	dialed, accepted := sockets(t, n)
	return linked(t, dialed, accepted)
}
