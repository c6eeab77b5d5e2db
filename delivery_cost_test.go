package espial_test

import (
	"context"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// The way of an event to the node's own loop allocates memory for each run of events, and
// none for each event.
func TestAnEventCostsNoAllocation(t *testing.T) {
	const count = 1000
	message := make([]byte, 128)
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		got := make(chan struct{}, 1)
		events := n.Subscribe(c.Context(), "orders.*", espial.WithPolicy(espial.Block))
		go func() {
			left := count
			for range events {
				if left--; left == 0 {
					left = count
					got <- struct{}{}
				}
			}
		}()
		turn := func() {
			for range count {
				if err := n.Publish(c.Context(), "orders.placed", message); err != nil {
					c.Fatal(err)
				}
			}
			<-got
		}
		turn()
		if allocs := testing.AllocsPerRun(20, turn) / count; allocs > 0.1 {
			c.Errorf("an event costs %v allocations, want at most 0.1", allocs)
		}
	})
}

// Nor does one to another node, over TLS and a network in memory that copies.
func TestPublishingToOneMemberCostsNoAllocation(t *testing.T) {
	const count = 1000
	message := make([]byte, 128)
	inCluster(t, 2, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		got := make(chan struct{}, 1)
		events := b.Subscribe(c.Context(), "orders.placed")
		go func() {
			left := count
			for range events {
				if left--; left == 0 {
					left = count
					got <- struct{}{}
				}
			}
		}()
		ctx, cancel := context.WithTimeout(c.Context(), time.Hour)
		defer cancel()
		to := only(b)
		turn := func() {
			for range count {
				if err := a.Publish(ctx, "orders.placed", message, to); err != nil {
					c.Fatal(err)
				}
			}
			<-got
		}
		turn()
		// The network in memory copies what is written to it.
		if allocs := testing.AllocsPerRun(20, turn) / count; allocs > 0.2 {
			c.Errorf("an event costs %v allocations, want at most 0.2", allocs)
		}
	})
}
