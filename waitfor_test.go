package espial_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

func refuseAll(context.Context, espial.Verified, espial.Claimed) error { return errors.New("no") }

// A refusal ends WaitFor only if nobody admits the node: not if somebody does a little
// later, and not once it has met somebody.
func TestWaitForBelievesARefusalOnlyIfNobodyAdmits(t *testing.T) {
	empty(t, func(c *cluster) {
		c.start(espial.Config{Admit: refuseAll})
		n := c.start(espial.Config{Name: "guest"})
		waited := make(chan error, 1)
		go func() { waited <- n.WaitFor(c.Context(), 2) }()
		time.Sleep(800 * time.Millisecond)
		friend := c.start(espial.Config{})
		if err := <-waited; err != nil {
			c.Fatalf("WaitFor = %v although somebody admits the node", err)
		}
		if err := friend.Close(); err != nil {
			c.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
		defer cancel()
		if err := n.WaitFor(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
			c.Errorf("WaitFor after the friend left = %v, want the end of its context", err)
		}
	})
}

// After the end everything says so, and nobody is listed but the node itself.
func TestWaitForAfterTheEnd(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		n := c.nodes[0]
		if err := n.Leave(c.Context()); err != nil {
			c.Fatal(err)
		}
		if err := n.WaitFor(c.Context(), 1); !errors.Is(err, espial.ErrClosed) {
			c.Errorf("WaitFor = %v, want ErrClosed", err)
		}
		for m := range n.Members() {
			if !m.Self {
				c.Errorf("%s is still listed", m.Name)
			}
		}
	})
}
