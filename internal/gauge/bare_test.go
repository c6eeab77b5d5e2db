package gauge_test

import (
	"context"
	"crypto/tls"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/gauge"
)

// TestBare brings every message to every receiver before it ends.
func TestBare(t *testing.T) {
	const receivers, messages = 2, 5000 // more than the buffers hold
	m := gauge.NewMeter(receivers)
	m.Begin(false)
	var to, from errgroup.Group
	addrs, err := gauge.ReceiveBare(t.Context(), &to, m.Tallies)
	if err != nil {
		t.Fatal(err)
	}
	b, err := gauge.DialBare(t.Context(), &from, addrs)
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, 1000)
	for range messages {
		if err := b.Send(payload); err != nil {
			t.Fatal(err)
		}
	}
	b.Close()
	if err := from.Wait(); err != nil {
		t.Error(err)
	}
	if err := to.Wait(); err != nil {
		t.Error(err)
	}
	if r := m.Report(); r.Count != receivers*messages {
		t.Errorf("%d messages to %d receivers: %d came", messages, receivers, r.Count)
	}
}

// TestBareWithoutAReceiver fails, instead of waiting for room for ever.
func TestBareWithoutAReceiver(t *testing.T) {
	config, err := gauge.TLS()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var to, from errgroup.Group
	to.Go(func() error {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		if err := c.(*tls.Conn).HandshakeContext(t.Context()); err != nil {
			return err
		}
		return c.Close()
	})
	b, err := gauge.DialBare(t.Context(), &from, []string{ln.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Wait(); err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, 1<<20)
	for i := 0; b.Send(payload) == nil; i++ {
		if i == 1000 {
			t.Fatalf("%d messages of %d bytes went to a receiver that is gone", i, len(payload))
		}
	}
	if err := from.Wait(); err == nil {
		t.Error("the writer ended without an error")
	}
}

// TestNobodyCame: listeners end with their context.
func TestNobodyCame(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	addrs, err := gauge.ReceiveBare(ctx, &g, gauge.NewMeter(2).Tallies)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := g.Wait(); err == nil {
		t.Error("they ended without an error")
	}
	if _, err := gauge.DialBare(t.Context(), &g, addrs); err == nil {
		t.Errorf("dialed %q, where nobody listens any more", addrs)
	}
}

// TestPing comes back on each connection, and leaves nothing running.
func TestPing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	addr, err := gauge.Pong(ctx, &g)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p, err := gauge.DialPing(ctx, addr)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 128, 1 << 17, 1} {
			if err := p.Call(make([]byte, size)); err != nil {
				t.Errorf("Call with %d bytes: %v", size, err)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Errorf("the other end: %v", err)
	}
}
