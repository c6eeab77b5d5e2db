package link_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/link"
)

// enter enters n times and returns how often it was let in, and the ways out.
func enter(g *link.Gate, addr string, n int) (in int, leave []func()) {
	for range n {
		if out, ok := g.Enter(netip.MustParseAddr(addr)); ok {
			in++
			leave = append(leave, out)
		}
	}
	return in, leave
}

func TestGate(t *testing.T) {
	var g link.Gate
	in, leave := enter(&g, "192.0.2.7", 20)
	if in != 8 || g.Refused() != 12 {
		t.Errorf("one address got in %d times and was refused %d times, want 8 and 12", in, g.Refused())
	}
	if in, _ := enter(&g, "::ffff:192.0.2.7", 1); in != 0 {
		t.Error("the same address got in again in its IPv6 form")
	}
	leave[0]()
	leave[0]() // a second call counts for nothing
	if in, _ := enter(&g, "192.0.2.7", 20); in != 1 {
		t.Errorf("one left and %d got in", in)
	}
	if in, _ := enter(&g, "127.0.0.1", 200); in != 128-8 {
		t.Errorf("loopback got in %d times, want what is left of 128", in)
	}
	if in, _ := enter(&g, "2001:db8::1", 1); in != 0 {
		t.Error("the 129th got in")
	}
	leave[1]()
	if in, _ := enter(&g, "2001:db8::1", 2); in != 1 {
		t.Errorf("one left and %d got in", in)
	}
}

// exhausted is a listener whose process has no descriptor left for a while.
type exhausted struct {
	failures int
	at       []time.Time // of each Accept
	closed   chan struct{}
}

func (l *exhausted) Accept() (net.Conn, error) {
	l.at = append(l.at, time.Now())
	if l.failures--; l.failures >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	if l.failures == -1 {
		a, b := net.Pipe()
		_ = a.Close()
		return b, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *exhausted) Close() error   { close(l.closed); return nil }
func (l *exhausted) Addr() net.Addr { return &net.TCPAddr{} }

func TestServeSurvivesExhaustion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &exhausted{failures: 11, closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		taken := 0
		go func() {
			done <- link.Serve(ctx, l, func(nc net.Conn) {
				taken++
				_ = nc.Close()
			})
		}()
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
		if taken != 1 {
			t.Errorf("%d connections taken, want 1", taken)
		}
		var pauses []time.Duration
		for i := range l.at[1:] {
			pauses = append(pauses, l.at[i+1].Sub(l.at[i]).Round(time.Millisecond))
		}
		const ms = time.Millisecond
		want := []time.Duration{
			5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, 1000 * ms, 1000 * ms, 1000 * ms, 0,
		}
		if !slices.Equal(pauses, want) {
			t.Errorf("pauses %v, want %v", pauses, want)
		}
	})
}

func TestServeReportsAListenerThatSomebodyClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &exhausted{failures: -2, closed: make(chan struct{})}
		done := make(chan error)
		go func() { done <- link.Serve(t.Context(), l, func(net.Conn) {}) }()
		synctest.Wait()
		_ = l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve = %v, want %v", err, net.ErrClosed)
		}
		l.closed = make(chan struct{}) // the end of the test's context closes it again
	})
}
