package espial_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/memnet"
)

// cluster is nodes over a network in memory, each on a host of its own, in a bubble of
// virtual time.
type cluster struct {
	*testing.T
	net   *memnet.Network
	nodes []*espial.Node
}

// empty runs f in a bubble with a network and no nodes.
func empty(t *testing.T, f func(c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{T: t, net: memnet.New(1)}
		c.net.SetLatency(200*time.Microsecond, 400*time.Microsecond)
		defer c.close()
		f(c)
	})
}

// inCluster runs f in a bubble with a cluster of so many nodes that found each other by
// multicast, and closes them.
func inCluster(t *testing.T, nodes int, f func(c *cluster)) {
	t.Helper()
	inElection(t, nodes, espial.Available(), f)
}

// ip returns the address of node i.
func ip(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}) }

// start adds a node to the cluster "test" unless cfg says otherwise.
func (c *cluster) start(cfg espial.Config) *espial.Node {
	c.Helper()
	n, err := c.tryStart(cfg)
	if err != nil {
		c.Fatal(err)
	}
	return n
}

func (c *cluster) tryStart(cfg espial.Config) (*espial.Node, error) {
	i := len(c.nodes)
	if cfg.Cluster == "" {
		cfg.Cluster = "test"
	}
	if cfg.Name == "" {
		cfg.Name = fmt.Sprintf("node-%d", i)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(logTo(), nil)).With("node", i)
	}
	n, err := espial.StartOn(c.Context(), espial.Host{Net: c.net, IP: ip(i)}, cfg)
	if err == nil {
		c.nodes = append(c.nodes, n)
	}
	return n, err
}

func logTo() io.Writer {
	if os.Getenv("ESPIAL_TEST_LOG") != "" {
		return os.Stderr
	}
	return io.Discard
}

// meet waits until every node has so many members, itself included.
func (c *cluster) meet(members int) {
	c.Helper()
	for i, n := range c.nodes {
		if err := n.WaitFor(c.Context(), members); err != nil {
			c.Fatalf("node %d: WaitFor(%d) = %v", i, members, err)
		}
	}
}

func (c *cluster) close() {
	for _, n := range c.nodes {
		_ = n.Close()
	}
}

// await reads the changes of n until one of the given kind comes, and returns it with
// the time that it took from now.
func (c *cluster) await(changes func(func(espial.Change) bool), kind espial.Kind) (espial.Change, time.Duration) {
	c.Helper()
	began := time.Now()
	for ch := range changes {
		if ch.Kind == kind {
			return ch, time.Since(began)
		}
	}
	c.Fatalf("no %s came", kind)
	return espial.Change{}, 0
}

func TestFiveNodesFindEachOtherByMulticast(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		for i, n := range c.nodes {
			var names []string
			for m := range n.Members() {
				names = append(names, m.Name)
			}
			if len(names) != 5 {
				c.Errorf("node %d lists %v, want five members", i, names)
			}
		}
	})
}

func TestPublishReachesEverySubscriptionInOrder(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		type source struct {
			node   int
			events func(func(espial.Event, error) bool)
		}
		var sources []source
		for i, n := range c.nodes {
			sources = append(sources, source{i, n.Subscribe(c.Context(), "orders.*")})
		}
		const count = 100
		for i := range count {
			if err := c.nodes[0].Publish(c.Context(), "orders.placed", fmt.Append(nil, i)); err != nil {
				c.Fatal(err)
			}
		}
		for _, s := range sources {
			next := 0
			for e, err := range s.events {
				if err != nil || string(e.Data) != fmt.Sprint(next) || e.From.Name != "node-0" {
					c.Fatalf("node %d: got %q of %s, %v; want %d", s.node, e.Data, e.From.Name, err, next)
				}
				if next++; next == count {
					break
				}
			}
		}
	})
}

func TestKilledNodeIsSuspectedAndRemovedAtOnce(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		changes := c.nodes[0].Changes(c.Context())
		c.net.Down(ip(4))
		if _, took := c.await(changes, espial.RemovedNode); took > 200*time.Millisecond {
			c.Errorf("removed after %v, want within 200ms", took)
		}
	})
}

func TestCutNodeIsRemovedInTimeAndReturnsAfterTheHeal(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		changes := c.nodes[0].Changes(c.Context())
		c.net.Partition([]netip.Addr{ip(4)})
		cut := time.Now()
		c.await(changes, espial.SuspectedNode)
		if took := time.Since(cut); took > time.Second {
			c.Errorf("suspected after %v, want within 1s", took)
		}
		changes = c.nodes[0].Changes(c.Context())
		c.await(changes, espial.RemovedNode)
		if took := time.Since(cut); took > 3*time.Second {
			c.Errorf("removed after %v, want within 3s", took)
		}
		time.Sleep(90 * time.Second)
		c.net.Heal()
		healed := time.Now()
		c.meet(5)
		if took := time.Since(healed); took > 2*time.Second {
			c.Errorf("whole again after %v, want within 2s", took)
		}
	})
}
