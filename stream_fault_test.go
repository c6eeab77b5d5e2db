package espial_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
)

// ends dials so many streams to a service and returns both ends of each, in the same order.
func (c *cluster) ends(from *espial.Node, ln net.Listener, addr string, count int) (dialed, accepted []net.Conn) {
	c.Helper()
	for range count {
		nc, err := from.Dial(c.Context(), addr)
		if err != nil {
			c.Fatalf("stream %d: %v", len(dialed), err)
		}
		other, err := ln.Accept()
		if err != nil {
			c.Fatal(err)
		}
		dialed, accepted = append(dialed, nc), append(accepted, other)
	}
	return dialed, accepted
}

// Of a thousand streams one is never read, and a listener beside them never accepts: the others
// keep 0.9 of their speed, and what the backlog does not hold is refused at once.
func TestOneOfAThousandStreamsStalls(t *testing.T) {
	const streams = 1000
	size := 64 << 10
	if raceEnabled {
		size = 8 << 10
	}
	// run sends size bytes over each stream and returns how long that takes.
	run := func(c *cluster, from, to []net.Conn) time.Duration {
		began := time.Now()
		var all sync.WaitGroup
		for i := range from {
			all.Go(func() {
				if _, err := from[i].Write(make([]byte, size)); err != nil {
					c.Errorf("stream %d: %v", i, err)
				}
			})
			all.Go(func() {
				if _, err := io.CopyN(io.Discard, to[i], int64(size)); err != nil {
					c.Errorf("stream %d: %v", i, err)
				}
			})
		}
		all.Wait()
		return time.Since(began)
	}
	inCluster(t, 2, func(c *cluster) {
		from := c.nodes[0]
		ln, err := c.nodes[1].Listen("api")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.nodes[1].Listen("full"); err != nil {
			t.Fatal(err)
		}
		dialed, accepted := c.ends(from, ln, "api.node-1", streams)
		run(c, dialed[1:], accepted[1:]) // until windows have grown
		alone := run(c, dialed[1:], accepted[1:])
		var stalled sync.WaitGroup
		stalled.Go(func() { _, _ = dialed[0].Write(make([]byte, 32<<20)) }) // until the node ends
		time.Sleep(time.Second)
		beside := run(c, dialed[1:], accepted[1:])
		t.Logf("%d streams: %v alone, %v beside one that nobody reads", streams-1, alone, beside)
		if beside > alone*10/9 {
			t.Errorf("%v beside a stalled stream, %v alone; want 0.9 of the speed", beside, alone)
		}
		for _, nc := range dialed[500:] {
			nc.Close()
		}
		for _, nc := range accepted[500:] {
			nc.Close()
		}
		time.Sleep(time.Second)
		began := time.Now()
		for i := range 600 {
			if _, err = from.Dial(c.Context(), "full.node-1"); err != nil && i != 512 {
				t.Errorf("stream %d to a listener that does not accept: %v, want 512 of them", i, err)
			}
			if err != nil {
				break
			}
		}
		if !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(err.Error(), "backlog full") {
			t.Errorf("one more than the backlog holds: %v, want a reset that says so", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("513 streams to a listener that does not accept took %v, want a round trip each", took)
		}
		run(c, dialed[1:500], accepted[1:500])
		from.Close()
		stalled.Wait()
	})
}

// serveHalf reads what comes over a stream, or, if its first byte says so, writes without end.
func serveHalf(nc net.Conn) {
	b := make([]byte, 64<<10)
	if _, err := io.ReadFull(nc, b[:1]); err != nil {
		return
	}
	if b[0] == 'r' {
		_, _ = io.Copy(io.Discard, nc)
		return
	}
	for err := error(nil); err == nil; {
		_, err = nc.Write(b)
	}
}

// chatter writes to a stream that serveHalf serves until it ends; of every other one nobody reads what
// comes back.
func chatter(nc net.Conn, k int) {
	_, err := nc.Write([]byte{"rw"[k%2]})
	for err == nil {
		time.Sleep(time.Millisecond)
		_, err = nc.Write(make([]byte, 4<<10))
	}
}

// A node that closes while its streams carry what they can, in both directions, over several
// connections, ends within 250 ms; nobody's Read, Write, Accept or Dial goes on, and the loops over
// streams end.
func TestCloseUnderStreams(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		a := c.nodes[0]
		var users sync.WaitGroup
		for _, n := range c.nodes {
			ln, err := n.Listen("api")
			if err != nil {
				t.Fatal(err)
			}
			users.Go(func() {
				for {
					nc, err := ln.Accept()
					if err != nil {
						return
					}
					users.Go(func() { serveHalf(nc) })
				}
			})
		}
		time.Sleep(time.Second)
		for i, n := range c.nodes {
			for to, err := range n.Streams(c.Context(), espial.All(), "api") {
				if err != nil {
					t.Fatal(err)
				}
				for k := range 20 {
					nc := to
					if k > 0 {
						if nc, err = n.Dial(c.Context(), fmt.Sprint("api.node-", (i+k)%3)); err != nil {
							t.Fatal(err)
						}
					}
					users.Go(func() { chatter(nc, k) })
				}
			}
			users.Go(func() {
				for range n.Streams(c.Context(), espial.All(), "api", espial.Persist()) {
				}
			})
			users.Go(func() {
				for {
					nc, err := n.Dial(c.Context(), "api.*")
					if err != nil {
						return
					}
					nc.Close()
					time.Sleep(time.Millisecond)
				}
			})
		}
		time.Sleep(300 * time.Millisecond)
		began := time.Now()
		if err := a.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if took := time.Since(began); took > 250*time.Millisecond {
			t.Errorf("Close took %v, want 250 ms at most", took)
		}
		for _, n := range c.nodes[1:] {
			n.Close()
		}
		users.Wait()
		synctest.Wait() // the bubble fails if a goroutine is left
		for _, n := range c.nodes {
			q := n.Status().Queues
			if q["streams"] != 0 || q["stream_connections"] != 0 {
				t.Errorf("%s has %d streams over %d connections left", n.Name(), q["streams"], q["stream_connections"])
			}
		}
	})
}

// What a node had open over real sockets is closed when Close returns, however busy its streams are.
func TestDescriptorsOfStreamsAreBack(t *testing.T) {
	open := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skipf("this system does not tell what is open: %v", err)
		}
		return len(fds)
	}
	life := func() {
		var nodes []*espial.Node
		for i := range 2 {
			cfg := espial.Config{
				Cluster: "descriptors", Name: fmt.Sprint("node-", i), Listen: "127.0.0.1:0",
				Multicast: espial.Multicast{Off: true},
			}
			if i > 0 {
				cfg.Seeds = nodes[0].Addrs()
			}
			n, err := espial.Start(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			nodes = append(nodes, n)
		}
		if err := nodes[1].WaitFor(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		ln, err := nodes[0].Listen("api")
		if err != nil {
			t.Fatal(err)
		}
		var users sync.WaitGroup
		for k := range 50 {
			nc, err := nodes[1].Dial(t.Context(), "api.node-0")
			if err != nil {
				t.Fatal(err)
			}
			other, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			users.Go(func() { serveHalf(other) })
			if k%2 == 0 {
				_, _ = nc.Write([]byte("r"))
			} else if _, err = nc.Write([]byte("w")); err == nil {
				_, err = io.CopyN(io.Discard, nc, 1<<20)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range nodes {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
		users.Wait()
	}
	life() // what the runtime opens once is open from now on
	before := open()
	life()
	if after := open(); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}
