package espial_test

import (
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// inMesh runs f in a bubble with a cluster of which each node has at most so many links.
func inMesh(t *testing.T, nodes, peers int, cfg func(i int) espial.Config, f func(c *cluster)) {
	t.Helper()
	empty(t, func(c *cluster) {
		for i := range nodes {
			one := cfg(i)
			one.MaxPeers = peers
			c.start(one)
		}
		c.meet(nodes)
		f(c)
	})
}

// Where nobody has links with all there is one leader all the same, and another one when it
// is killed.
func TestALeaderOfAPartialMeshIsReplaced(t *testing.T) {
	inMesh(t, 12, 4, func(int) espial.Config { return espial.Config{} }, func(c *cluster) {
		leader, term := c.led(8 * time.Second)
		time.Sleep(10 * time.Second)
		c.leadsOn(leader, term, time.Second, "after a while")
		c.net.Down(ip(leader))
		time.Sleep(time.Millisecond)
		c.replaced(leader, term, 500*time.Millisecond, leader)
	})
}

// The voters of a quorum have links with each other, however few the others have; and all
// others know who leads, and may ask for somebody else.
func TestVotersOfAPartialMeshElect(t *testing.T) {
	const nodes, voters = 12, 5
	cfg := func(i int) espial.Config {
		return espial.Config{Election: espial.Quorum(voters), Ineligible: i >= voters}
	}
	inMesh(t, nodes, voters+1, cfg, func(c *cluster) {
		time.Sleep(10 * time.Second)
		for i, n := range c.nodes[:voters] {
			links := 0
			for p := range n.Peers() {
				if slices.ContainsFunc(c.nodes[:voters], func(o *espial.Node) bool { return o.ID() == p.ID }) {
					links++
				}
			}
			if links != voters-1 {
				c.Errorf("voter %d has links with %d others, want all %d", i, links, voters-1)
			}
		}
		leader, term := c.led(time.Second)
		c.net.Down(ip(leader))
		time.Sleep(time.Millisecond)
		next, term := c.replaced(leader, term, 1200*time.Millisecond, leader)
		target := (next + 1) % voters
		if target == leader {
			target = (target + 1) % voters
		}
		for i, n := range c.nodes {
			if i == leader {
				continue
			}
			if err := n.Promote(c.Context(), c.nodes[target].ID()); err != nil {
				c.Fatalf("node %d: Promote = %v", i, err)
			}
			time.Sleep(100 * time.Millisecond)
			now, higher := c.led(time.Second, leader)
			if now != target || higher <= term {
				c.Fatalf("node %d asked: node %d leads in term %d, want %d above %d", i, now, higher, target, term)
			}
			next, target, term = target, next, higher
		}
	})
}
