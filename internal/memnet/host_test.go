package memnet_test

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/memnet"
)

func TestListenRefusesWhatAHostCannotBind(t *testing.T) {
	n := memnet.New(1)
	h := n.Host(ipA)
	if _, err := h.Listen(t.Context(), ":80"); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		addr string
		want error
	}{
		{"the port is taken", t.Context(), "10.0.0.1:80", syscall.EADDRINUSE},
		{"the address is another host's", t.Context(), "10.0.0.2:81", syscall.EADDRNOTAVAIL},
		{"the context has ended", ended, ":82", context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.Listen(tt.ctx, tt.addr)
			wantErr(t, "Listen on "+tt.addr, err, tt.want)
		})
	}
	if _, err := h.Listen(t.Context(), "name:80"); err == nil {
		t.Error("Listen on a name: no error, want one")
	}
	ln, err := h.Listen(t.Context(), ":0")
	if err != nil || ln.Addr().String() != "10.0.0.1:49152" {
		t.Errorf("Listen on :0 gave %v, error %v, want the first free port 49152", ln, err)
	}
	n.Down(ipA)
	_, err = h.Listen(t.Context(), ":83")
	wantErr(t, "Listen at a host that is down", err, syscall.ENETDOWN)
}

func TestAnUnansweredDialLastsUntilItsContextEnds(t *testing.T) {
	tests := []struct {
		name string
		set  func(n *memnet.Network)
		addr string
	}{
		{"no such host", func(*memnet.Network) {}, "10.9.9.9:80"},
		{"a partition", func(n *memnet.Network) { n.Partition([]netip.Addr{ipB}) }, "10.0.0.2:80"},
		{"requests cut", func(n *memnet.Network) { n.CutOneWay(ipA, ipB) }, "10.0.0.2:80"},
		{"answers cut", func(n *memnet.Network) { n.CutOneWay(ipB, ipA) }, "10.0.0.2:80"},
		{"everything lost", func(n *memnet.Network) { n.SetLoss(1) }, "10.0.0.2:80"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
				n.Host(ipB) // A refusal would need an answer, too.
				tt.set(n)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				_, err := n.Host(ipA).Dial(ctx, tt.addr)
				wantErr(t, "Dial", err, context.DeadlineExceeded)
				wantTimeout(t, "Dial", err)
				took(t, "Dial", start, time.Minute)
			})
		})
	}
}

func TestADialIsRefusedAfterOneRoundTrip(t *testing.T) {
	inBubble(t, 5*time.Millisecond, func(t *testing.T, n *memnet.Network) {
		n.Host(ipB)
		start := time.Now()
		_, err := n.Host(ipA).Dial(t.Context(), "10.0.0.2:80")
		wantErr(t, "Dial", err, syscall.ECONNREFUSED)
		took(t, "the refusal", start, 10*time.Millisecond)
	})
}

func TestADialSucceedsWhenThePathHeals(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		ln, err := n.Host(ipB).Listen(t.Context(), ":80")
		if err != nil {
			t.Fatal(err)
		}
		n.Partition([]netip.Addr{ipA}, []netip.Addr{ipB})
		time.AfterFunc(1500*time.Millisecond, n.Heal)
		start := time.Now()
		if _, err := n.Host(ipA).Dial(t.Context(), ln.Addr().String()); err != nil {
			t.Fatal(err)
		}
		took(t, "Dial", start, 3*time.Second+2*time.Millisecond) // The attempts are at 0, 1 and 3 s.
	})
}

func TestACutDuringTheHandshakeDelaysTheDial(t *testing.T) {
	for _, at := range []time.Duration{time.Second / 20, 3 * time.Second / 20} { // On its way there, and back.
		inBubble(t, time.Second/10, func(t *testing.T, n *memnet.Network) {
			if _, err := n.Host(ipB).Listen(t.Context(), ":80"); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(at, func() { n.Partition([]netip.Addr{ipA}) })
			time.AfterFunc(time.Second/2, n.Heal)
			start := time.Now()
			if _, err := n.Host(ipA).Dial(t.Context(), "10.0.0.2:80"); err != nil {
				t.Fatal(err)
			}
			took(t, "Dial", start, 1200*time.Millisecond)
		})
	}
}

func TestAFullBacklogLeavesDialsUnanswered(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, n *memnet.Network) {
		ln, err := n.Host(ipB).Listen(t.Context(), ":80")
		if err != nil {
			t.Fatal(err)
		}
		for range memnet.BacklogMax {
			if _, err := n.Host(ipA).Dial(t.Context(), "10.0.0.2:80"); err != nil {
				t.Fatal(err)
			}
		}
		time.AfterFunc(time.Second/2, func() { _, _ = ln.Accept() })
		start := time.Now()
		if _, err := n.Host(ipA).Dial(t.Context(), "10.0.0.2:80"); err != nil {
			t.Fatal(err)
		}
		took(t, "the dial that waits for the backlog", start, time.Second)
	})
}

func TestClosingAListenerEndsWhatItHolds(t *testing.T) {
	inBubble(t, time.Millisecond, func(t *testing.T, n *memnet.Network) {
		ln, err := n.Host(ipB).Listen(t.Context(), ":80")
		if err != nil {
			t.Fatal(err)
		}
		queued, err := n.Host(ipA).Dial(t.Context(), "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond + 1)
		unopened, err := n.Host(ipA).Dial(t.Context(), "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		for _, c := range []net.Conn{queued, unopened} {
			_, err = c.Read(make([]byte, 1))
			wantErr(t, "Read of a connection that nobody accepted", err, syscall.ECONNRESET)
		}
		_, err = ln.Accept()
		wantErr(t, "Accept", err, net.ErrClosed)
		wantErr(t, "the second Close", ln.Close(), net.ErrClosed)
		_, err = n.Host(ipA).Dial(t.Context(), "10.0.0.2:80")
		wantErr(t, "Dial", err, syscall.ECONNREFUSED)
		if _, err := n.Host(ipB).Listen(t.Context(), ":80"); err != nil {
			t.Errorf("the port is not free again: %v", err)
		}
	})
}

func TestCloseWakesAccept(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, n *memnet.Network) {
		ln, err := n.Host(ipB).Listen(t.Context(), ":80")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { ln.Close() })
		start := time.Now()
		_, err = ln.Accept()
		wantErr(t, "Accept", err, net.ErrClosed)
		took(t, "Accept", start, time.Second)
	})
}

func TestAHostReachesItselfAtOnce(t *testing.T) {
	inBubble(t, time.Second, func(t *testing.T, n *memnet.Network) {
		n.Partition([]netip.Addr{ipA}, []netip.Addr{ipB})
		n.SetLoss(1)
		if _, err := n.Host(ipA).Listen(t.Context(), "0.0.0.0:80"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		c, err := n.Host(ipA).Dial(t.Context(), "127.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.RemoteAddr().String(); got != "10.0.0.1:80" {
			t.Errorf("remote address %s, want the host's own", got)
		}
		took(t, "Dial", start, 0)
	})
}
