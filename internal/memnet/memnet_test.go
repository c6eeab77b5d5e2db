package memnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"github.com/espial-go/espial/internal/memnet"
)

var (
	ipA = netip.MustParseAddr("10.0.0.1")
	ipB = netip.MustParseAddr("10.0.0.2")
	ipC = netip.MustParseAddr("10.0.0.3")
)

// dial connects a to a new listener of b and returns both ends and the listener.
func dial(t *testing.T, n *memnet.Network, a, b netip.Addr) (near, far net.Conn, ln net.Listener) {
	t.Helper()
	ln, err := n.Host(b).Listen(t.Context(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	near, err = n.Host(a).Dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return near, far, ln
}

// inBubble runs f in a synctest bubble with a network of a fixed latency.
func inBubble(t *testing.T, latency time.Duration, f func(t *testing.T, n *memnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		n.SetLatency(latency, latency)
		f(t, n)
	})
}

// read reads exactly one string of the given length.
func read(t *testing.T, c net.Conn, length int) string {
	t.Helper()
	b := make([]byte, length)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatalf("reading %d bytes: %v", length, err)
	}
	return string(b)
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatalf("writing %q: %v", s, err)
	}
}

// took fails unless exactly want has passed since start.
func took(t *testing.T, what string, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got != want {
		t.Errorf("%s took %v, want %v", what, got, want)
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func wantTimeout(t *testing.T, what string, err error) {
	t.Helper()
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
		t.Errorf("%s: error %v, want a timeout", what, err)
	}
}

func TestConnIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		n := memnet.New(1)
		ln, err := n.Host(ipB).Listen(context.Background(), ":80")
		if err != nil {
			return nil, nil, nil, err
		}
		if c1, err = n.Host(ipA).Dial(context.Background(), "10.0.0.2:80"); err != nil {
			return nil, nil, nil, err
		}
		if c2, err = ln.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return c1, c2, func() { c1.Close(); c2.Close(); ln.Close() }, nil
	})
}

func TestADialTakesOneRoundTripAndBytesTheLatency(t *testing.T) {
	const latency = 7*time.Millisecond + 3
	inBubble(t, latency, func(t *testing.T, n *memnet.Network) {
		ln, err := n.Host(ipB).Listen(t.Context(), ":80")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		c, err := n.Host(ipA).Dial(t.Context(), "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		took(t, "dialling", start, 2*latency)
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		took(t, "accepting", start, 3*latency)
		if got, want := s.RemoteAddr().String(), c.LocalAddr().String(); got != want {
			t.Errorf("the accepted end sees %s, the dialled end is %s", got, want)
		}
		if _, ok := c.RemoteAddr().(*net.TCPAddr); !ok || c.RemoteAddr().String() != "10.0.0.2:80" {
			t.Errorf("remote address %T %v, want *net.TCPAddr 10.0.0.2:80", c.RemoteAddr(), c.RemoteAddr())
		}
		start = time.Now()
		write(t, c, "hello")
		took(t, "writing", start, 0)
		if got := read(t, s, 5); got != "hello" {
			t.Errorf("read %q, want hello", got)
		}
		took(t, "reading", start, latency)
	})
}

func TestPartitionHoldsBytesAndTheHealLetsThemFlow(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b, _ := dial(t, n, ipA, ipB)
		start := time.Now()
		write(t, a, "in flight, ")
		n.Partition([]netip.Addr{ipA})
		write(t, a, "behind")
		time.AfterFunc(2*time.Second, n.Heal)
		if got, want := read(t, b, 17), "in flight, behind"; got != want {
			t.Errorf("read %q, want %q", got, want)
		}
		// Retransmissions come after 0.2, 0.6, 1.4 and 3 s: the last is the first after the heal.
		took(t, "the delivery", start, 3001*time.Millisecond)
	})
}

func TestResetFailsBothEnds(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b, _ := dial(t, n, ipA, ipB)
		write(t, a, "lost")
		n.Reset(ipB, ipA)
		for _, c := range []net.Conn{a, b} {
			_, err := c.Read(make([]byte, 9))
			wantErr(t, "Read after the reset", err, syscall.ECONNRESET)
			_, err = c.Write([]byte("x"))
			wantErr(t, "Write after the reset", err, syscall.ECONNRESET)
		}
	})
}

func TestEndOfDataComesAfterAllBytes(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		a, b, _ := dial(t, n, ipA, ipB)
		want := bytes.Repeat([]byte("0123456789"), 20_000)
		start := time.Now()
		if _, err := a.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		took(t, "Close", start, 0)
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, error %v, want %d", len(got), err, len(want))
		}
	})
}
