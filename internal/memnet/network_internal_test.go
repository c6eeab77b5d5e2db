package memnet

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestEndedConnectionsLeaveNothingBehind resets and kills under traffic. Whatever arrives is
// the front of what was written, and the network forgets a connection with its last end.
func TestEndedConnectionsLeaveNothingBehind(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			n := New(seed)
			n.SetLatency(0, 10*time.Millisecond)
			n.SetLoss(0.05)
			a, b := n.Host(netip.MustParseAddr("10.0.0.1")), n.Host(netip.MustParseAddr("10.0.0.2"))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			var wg sync.WaitGroup
			wg.Go(func() { serveCounts(ctx, t, &wg, b) })
			for range 4 {
				wg.Go(func() { dialCounts(ctx, a) })
			}
			for _, f := range []func(){
				func() { n.Reset(a.Addr(), b.Addr()) }, func() { n.CutOneWay(b.ip, a.ip) }, func() { n.Pause(a.ip) },
				n.Heal, func() { n.Resume(a.ip) }, func() { n.Down(b.ip) }, func() { n.Up(b.ip) },
				func() { n.Partition([]netip.Addr{a.ip}) }, func() { n.Down(b.ip) }, func() { n.Up(b.ip) }, n.Heal,
			} {
				time.Sleep(500 * time.Millisecond)
				f()
			}
			wg.Wait()
			time.Sleep(time.Minute) // The last ends and resets arrive.
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.stats.Conns < 8 || len(n.streams) > 0 {
				t.Errorf("seed %d: %d streams of %d connections are left, want 0 of 8 or more",
					seed, len(n.streams), n.stats.Conns)
			}
		})
	}
}

func TestAConnectionClosedByHalvesLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		h := n.Host(netip.MustParseAddr("10.0.0.1"))
		ln, err := h.Listen(t.Context(), ":80")
		if err != nil {
			t.Fatal(err)
		}
		a, err := h.Dial(t.Context(), ":80")
		if err != nil {
			t.Fatal(err)
		}
		b, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []net.Conn{a, b} {
			if err := c.(*conn).CloseWrite(); err != nil {
				t.Error(err)
			}
		}
		for _, c := range []net.Conn{a, b} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if len(n.streams) > 0 {
			t.Errorf("%d streams are left, want none", len(n.streams))
		}
	})
}

// dialCounts dials again and again and writes 0, 1, 2 and so on until ctx ends.
func dialCounts(ctx context.Context, h *Host) {
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, time.Second)
		c, err := h.Dial(try, "10.0.0.2:80")
		cancel()
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		for i := 0; err == nil && ctx.Err() == nil; i++ {
			_, err = c.Write([]byte{byte(i)})
			time.Sleep(20 * time.Millisecond)
		}
		c.Close()
	}
}

// serveCounts listens again and again and checks what dialCounts wrote.
func serveCounts(ctx context.Context, t *testing.T, wg *sync.WaitGroup, h *Host) {
	for ctx.Err() == nil {
		ln, err := h.Listen(ctx, ":80")
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		stop := context.AfterFunc(ctx, func() { ln.Close() })
		for err == nil {
			var c net.Conn
			if c, err = ln.Accept(); err == nil {
				wg.Go(func() { readCounts(t, c) })
			}
		}
		stop()
	}
}

func readCounts(t *testing.T, c net.Conn) {
	defer c.Close()
	b := make([]byte, 1)
	for want := byte(0); ; want++ {
		// A peer that was cut off when it failed is never heard again.
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		if b[0] != want {
			t.Errorf("byte %d arrived, want %d", b[0], want)
			return
		}
	}
}
