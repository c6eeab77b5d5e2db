package espial_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// full dials a stream over which n writes as fast as it can to who discards it, and returns
// what ends it.
func (c *cluster) full(n *espial.Node, addr string, opts ...espial.DialOption) (end func()) {
	c.Helper()
	nc, err := n.Dial(c.Context(), addr, opts...)
	if err != nil {
		c.Fatal(err)
	}
	var writes sync.WaitGroup
	writes.Go(func() {
		for err := error(nil); err == nil; {
			_, err = nc.Write(make([]byte, 64<<10))
		}
	})
	return func() {
		nc.Close()
		writes.Wait()
	}
}

// A transfer that takes all that its connection has delays a question over another stream to
// the same member. One that was dialled with Bulk does not, nor events and calls.
func TestBulkStandsInNobodysWay(t *testing.T) {
	empty(t, func(c *cluster) {
		c.net.SetLatency(time.Millisecond, time.Millisecond)
		c.net.SetBuffer(128 << 10)
		a := c.start(espial.Config{Name: "node-0"})
		b := c.start(espial.Config{Name: "node-1"})
		c.meet(2)
		sink, err := b.Listen("sink")
		if err != nil {
			c.Fatal(err)
		}
		go func() {
			for {
				nc, err := sink.Accept()
				if err != nil {
					return
				}
				go func() {
					io.Copy(io.Discard, nc)
					nc.Close()
				}()
			}
		}()
		ln, err := b.Listen("echo")
		if err != nil {
			c.Fatal(err)
		}
		nc, err := a.Dial(c.Context(), "echo.node-1")
		if err != nil {
			c.Fatal(err)
		}
		other, err := ln.Accept()
		if err != nil {
			c.Fatal(err)
		}
		go io.Copy(other, other)
		echo := espial.NewMethod[string, string]("echo")
		if _, err := echo.Serve(b, func(_ context.Context, _ espial.Caller, q string) (string, error) { return q, nil }); err != nil {
			c.Fatal(err)
		}
		asks := map[string]func() error{
			"a stream": func() error {
				if _, err := nc.Write([]byte("word")); err != nil {
					return err
				}
				_, err := io.ReadFull(nc, make([]byte, 4))
				return err
			},
			"a call": func() error {
				_, err := echo.Call(c.Context(), a, espial.Named("node-1"), "word")
				return err
			},
			"an event": func() error { return a.Publish(c.Context(), "tick", nil, espial.Named("node-1").Queued()) },
		}
		go func() {
			for range b.Subscribe(c.Context(), "tick") {
			}
		}()
		time.Sleep(time.Second)
		worst := func() map[string]time.Duration {
			took := map[string]time.Duration{}
			for range 20 {
				for what, ask := range asks {
					began := time.Now()
					if err := ask(); err != nil {
						c.Fatalf("%s: %v", what, err)
					}
					took[what] = max(took[what], time.Since(began))
					time.Sleep(3 * time.Millisecond)
				}
			}
			return took
		}
		idle := worst()
		end := c.full(a, "sink.node-1")
		shared := worst()
		end()
		end = c.full(a, "sink.node-1", espial.Bulk())
		bulk := worst()
		end()
		c.Logf("idle %v, beside a transfer %v, beside one with Bulk %v", idle, shared, bulk)
		for what := range asks {
			if bulk[what] > idle[what]*3/2 {
				c.Errorf("%s takes %v beside a bulk stream, %v alone", what, bulk[what], idle[what])
			}
		}
		if shared["a stream"] < 2*idle["a stream"] {
			c.Errorf("%v beside a transfer that shares its connection: this test measures nothing", shared["a stream"])
		}
	})
}

// Wrappers are told at both ends whether a stream has a connection of its own.
func TestWrappersAreToldOfBulk(t *testing.T) {
	empty(t, func(c *cluster) {
		var mu sync.Mutex
		own := map[string]int{}
		note := func(nc net.Conn, s espial.StreamInfo) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if s.Bulk {
				own[s.Service]++
			}
			return nc, nil
		}
		for range 2 {
			c.start(espial.Config{Wrap: []wrapper{note}})
		}
		c.meet(2)
		for _, service := range []string{"large", "small"} {
			c.serveEcho(c.nodes[1], service)
			var opts []espial.DialOption
			if service == "large" {
				opts = append(opts, espial.Bulk())
			}
			nc, err := c.nodes[0].Dial(c.Context(), service+".node-1", opts...)
			if err != nil {
				c.Fatal(err)
			}
			time.Sleep(time.Second)
			nc.Close()
		}
		if own["large"] != 2 || own["small"] != 0 {
			c.Errorf("ends that were told of a connection of their own: %v, want both of the large one", own)
		}
	})
}
