package engine_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/memnet"
	"github.com/espial-go/espial/internal/session"
)

// cluster is engines over a network in memory, each on a host of its own.
type cluster struct {
	t     *testing.T
	net   *memnet.Network
	nodes []*node
	keys  map[ident.NodeID]*ident.Key
}

type node struct {
	*engine.Engine
	id   ident.NodeID
	ip   netip.Addr
	stop context.CancelFunc
	done chan error
	dead bool // killed: it may end as it likes
}

const port = 27272

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, net: memnet.New(1), keys: map[ident.NodeID]*ident.Key{}}
	c.net.SetLatency(200*time.Microsecond, 400*time.Microsecond)
	return c
}

func ip(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}) }

// start adds a node whose seed is the first one. Changes to the configuration come
// last.
func (c *cluster) start(edit ...func(*engine.Config)) *node {
	c.t.Helper()
	i := len(c.nodes)
	host := c.net.Host(ip(i))
	ln, err := host.Listen(c.t.Context(), fmt.Sprintf(":%d", port))
	if err != nil {
		c.t.Fatal(err)
	}
	key, err := ident.NewKey(rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	cfg := engine.Config{
		Key: key, Cluster: "test", Name: fmt.Sprintf("node-%d", i), Host: "host", EventMax: 1 << 20,
		SuspectAfter: time.Second, RemoveAfter: 3 * time.Second, Listener: ln, Awake: time.Now,
		Addrs:  []frame.Addr{{Scheme: "tcp", Addr: netip.AddrPortFrom(ip(i), port).String()}},
		Dial:   func(ctx context.Context, addr string) (net.Conn, error) { return host.Dial(ctx, addr) },
		Logger: slog.New(slog.NewTextHandler(logTo(), &slog.HandlerOptions{})).With("node", i),
	}
	if i > 0 {
		cfg.Seeds = []string{netip.AddrPortFrom(ip(0), port).String()}
	}
	for _, f := range edit {
		f(&cfg)
	}
	key = cfg.Key
	c.keys[key.ID()] = key
	e, err := engine.New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(c.t.Context())
	n := &node{Engine: e, id: key.ID(), ip: ip(i), stop: stop, done: make(chan error, 1)}
	go func() { n.done <- e.Run(ctx) }()
	c.nodes = append(c.nodes, n)
	return n
}

func logTo() io.Writer {
	if os.Getenv("ESPIAL_TEST_LOG") != "" {
		return os.Stderr
	}
	return io.Discard
}

// close ends all nodes.
func (c *cluster) close() {
	for _, n := range c.nodes {
		n.stop()
	}
	for _, n := range c.nodes {
		if err := <-n.done; err != nil && !n.dead {
			c.t.Errorf("node %v ended with %v", n.ip, err)
		}
	}
}

// waitFor waits until every node can exchange events with so many others.
func (c *cluster) waitFor(others int) {
	c.t.Helper()
	deadline := time.After(30 * time.Second)
	for _, n := range c.nodes {
		for {
			p := n.Paths()
			if p.Count == others {
				break
			}
			select {
			case <-p.Changed:
			case <-deadline:
				c.t.Fatalf("node %v has %d paths, want %d", n.ip, p.Count, others)
			}
		}
	}
}

// kill ends the process of a node without a word.
func (c *cluster) kill(n *node) {
	n.dead = true
	c.net.Down(n.ip)
}

func message(text string) session.Message {
	return session.Message{Topic: "greeting", Payload: []byte(text)}
}

func TestTwoNodesMeetBySeedAndExchangeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		a, b := c.start(), c.start()
		began := time.Now()
		c.waitFor(1)
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("joined after %v, want 200ms", took)
		}
		q, err := b.Exchange().Subscribe("greeting", mailbox.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		for i := range 10 {
			text := fmt.Sprintf("hello %d", i)
			if err := a.Exchange().Broadcast(t.Context(), false, message(text), nil); err != nil {
				t.Fatal(err)
			}
			if err := a.Exchange().Direct(t.Context(), b.id, message(text), nil); err != nil {
				t.Fatal(err)
			}
		}
		got := map[frame.Lane]int{}
		for got[frame.Broadcast]+got[frame.Direct] < 20 {
			batch, err := q.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range batch {
				for run := e.Data; len(run) > 0; {
					var p []byte
					p, run = frame.NextPayload(run)
					if want := fmt.Sprintf("hello %d", got[e.Lane]); string(p) != want || e.From != a.id {
						t.Fatalf("lane %d: got %q of %v, want %q", e.Lane, p, e.From, want)
					}
					got[e.Lane]++
				}
			}
		}
	})
}

func TestFiveNodesBecomeAFullMeshAndMissAKilledOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		for range 5 {
			c.start()
		}
		c.waitFor(4)
		feed := c.nodes[1].Changes(t.Context())
		defer feed.Close()
		c.kill(c.nodes[4])
		killed := time.Now()
		for removed := false; !removed; {
			batch, _, err := feed.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, ch := range batch {
				if ch.Note == engine.NoteNone {
					t.Logf("%v after %v: %v", ch.Kind, time.Since(killed), ch.Member.Record.Name)
					removed = removed || ch.Kind == core.RemovedNode
				}
			}
		}
		if took := time.Since(killed); took > 200*time.Millisecond {
			t.Errorf("removed after %v, want 200ms", took)
		}
	})
}
