package espial_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// allocsPerEvent returns what one of many events costs in allocations, from its publication
// to the step of the loop that reads it.
func allocsPerEvent(c *cluster, events iter.Seq2[espial.Event, error], publish func(message []byte) error) float64 {
	const count = 1000
	message := make([]byte, 128)
	got := make(chan struct{}, 1)
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
			if err := publish(message); err != nil {
				c.Fatal(err)
			}
		}
		<-got
	}
	turn()
	return testing.AllocsPerRun(20, turn) / count
}

// The way of an event to the node's own loop allocates memory for each run of events, and
// none for each event.
func TestAnEventCostsNoAllocation(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		events := n.Subscribe(c.Context(), "orders.*", espial.WithPolicy(espial.Block))
		allocs := allocsPerEvent(c, events, func(message []byte) error {
			return n.Publish(c.Context(), "orders.placed", message)
		})
		if allocs > 0.1 {
			c.Errorf("an event costs %v allocations, want at most 0.1", allocs)
		}
	})
}

// Nor does one to another node, over TLS and a network in memory that copies.
func TestPublishingToOneMemberCostsNoAllocation(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		ctx, cancel := context.WithTimeout(c.Context(), time.Hour)
		defer cancel()
		to := only(b)
		allocs := allocsPerEvent(c, b.Subscribe(c.Context(), "orders.placed"), func(message []byte) error {
			return a.Publish(ctx, "orders.placed", message, to)
		})
		// The network in memory copies what is written to it.
		if allocs > 0.2 {
			c.Errorf("an event costs %v allocations, want at most 0.2", allocs)
		}
	})
}
