package espial_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// TestWhoIsToldOfALeaderFindsIt: at the moment in which a change says who leads, Leader says
// it as well, and at the node itself Leading.
func TestWhoIsToldOfALeaderFindsIt(t *testing.T) {
	inElection(t, 3, espial.Available(), func(c *cluster) {
		leader, _ := c.led(4 * time.Second)
		var readers sync.WaitGroup
		defer readers.Wait()
		told := make(chan string, len(c.nodes))
		for range 100 {
			next := c.nodes[(leader+1)%len(c.nodes)]
			for _, n := range c.nodes {
				changes := n.Changes(c.Context())
				readers.Go(func() { told <- foundLeader(n, next.ID(), changes) })
			}
			if err := c.nodes[leader].Promote(c.Context(), next.ID()); err != nil {
				c.Fatal(err)
			}
			for range c.nodes {
				if wrong := <-told; wrong != "" {
					c.Fatal(wrong)
				}
			}
			leader, _ = c.led(time.Second)
		}
	})
}

// foundLeader waits for the change that id leads and returns what n says then, if it is wrong.
func foundLeader(n *espial.Node, id espial.NodeID, changes func(func(espial.Change) bool)) string {
	for ch := range changes {
		if ch.Kind != espial.NewLeader || ch.Member.ID != id {
			continue
		}
		l, ok := n.Leader()
		switch {
		case !ok || l.Leader.ID != id || l.Term != ch.Term:
			return n.Name() + " was told of another leader than it knows"
		case id == n.ID() && !n.Leading():
			return n.Name() + " was told that it leads, and does not"
		}
		return ""
	}
	return n.Name() + " was told nothing"
}

// TestChangesBeginWithTheLeader: who begins to read after an election hears of its outcome,
// and once.
func TestChangesBeginWithTheLeader(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		leader := c.leader()
		time.Sleep(time.Minute)
		for i, n := range c.nodes {
			ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
			var kinds []string
			for ch := range n.Changes(ctx) {
				kinds = append(kinds, string(ch.Kind))
				if ch.Kind == espial.NewLeader && ch.Member.ID != leader.ID() {
					c.Errorf("node %d: the leader is said to be %s", i, ch.Member.Name)
				}
			}
			cancel()
			if got, want := strings.Join(kinds, " "), "listening added_node added_node new_leader"; got != want {
				c.Errorf("node %d: changes are %s, want %s", i, got, want)
			}
		}
	})
}
