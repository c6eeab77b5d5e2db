package espial_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
)

// TestACallHasOneOutcome is C23: whatever happens to the callee and to the link while a call is
// under way, its caller hears one thing, which is true, and no call is executed twice.
func TestACallHasOneOutcome(t *testing.T) {
	const work = time.Second // that the handler takes
	for _, tt := range []struct {
		name     string
		timeout  time.Duration
		at       time.Duration // when it happens, after the call
		happens  func(c *cluster)
		then     func(c *cluster) // 10 s later
		is       []error          // none for a result
		executed int32
	}{
		{name: "nothing happens", executed: 1},
		{
			name: "the callee dies before the call reaches it", at: 0,
			happens: func(c *cluster) { c.net.Down(ip(0)) },
			is:      []error{espial.ErrMaybeExecuted, espial.ErrNoMember},
		},
		{
			name: "the callee dies while it executes", at: work / 2,
			happens: func(c *cluster) { c.net.Down(ip(0)) },
			is:      []error{espial.ErrMaybeExecuted, espial.ErrNoMember}, executed: 1,
		},
		{
			name: "the callee dies when its answer is on the way", at: work + 401*time.Microsecond,
			happens: func(c *cluster) { c.net.Down(ip(0)) }, executed: 1,
		},
		{
			name: "the callee ends while it executes", at: work / 2,
			happens: func(c *cluster) { _ = c.nodes[0].Close() },
			is:      []error{espial.ErrMaybeExecuted, espial.ErrNoMember}, executed: 1,
		},
		{
			name: "the link is lost with the call", at: 100 * time.Microsecond,
			happens: func(c *cluster) { c.net.Reset(ip(0), ip(1)) }, executed: 1,
		},
		{
			name: "the link is lost while it executes", at: work / 2,
			happens: func(c *cluster) { c.net.Reset(ip(0), ip(1)) }, executed: 1,
		},
		{
			name: "the link is lost with the answer", at: work + 401*time.Microsecond,
			happens: func(c *cluster) { c.net.Reset(ip(0), ip(1)) }, executed: 1,
		},
		{
			name: "the answer comes when nobody waits any more", timeout: work / 2, executed: 1,
			is: []error{espial.ErrMaybeExecuted, context.DeadlineExceeded},
		},
		{
			name: "the answer comes after a split", at: work / 2, executed: 1,
			happens: func(c *cluster) { c.net.Partition([]netip.Addr{ip(0)}, []netip.Addr{ip(1)}) },
			then:    func(c *cluster) { c.net.Heal() },
			is:      []error{espial.ErrMaybeExecuted, espial.ErrNoMember},
		},
		{
			name: "the caller ends", at: work / 2, executed: 1,
			happens: func(c *cluster) { _ = c.nodes[1].Close() },
			is:      []error{espial.ErrMaybeExecuted, espial.ErrClosed},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inCluster(t, 2, func(c *cluster) {
				var executed atomic.Int32
				c.served(c.nodes[0].Serve("work", func(context.Context, espial.Caller, []byte) ([]byte, error) {
					executed.Add(1)
					time.Sleep(work) // a handler that does not look at its context
					return []byte("done"), nil
				}))
				ctx, cancel := context.WithTimeout(c.Context(), time.Hour)
				if tt.timeout > 0 {
					ctx, cancel = context.WithTimeout(c.Context(), tt.timeout)
				}
				defer cancel()
				outcomes := make(chan error, 2)
				to := espial.Only(c.nodes[0].ID())
				go func() {
					value, err := c.nodes[1].Call(ctx, "work", to, nil)
					if err == nil && string(value) != "done" {
						err = fmt.Errorf("value %q", value)
					}
					outcomes <- err
				}()
				synctest.Wait()
				if time.Sleep(tt.at); tt.happens != nil {
					tt.happens(c)
				}
				if time.Sleep(10 * time.Second); tt.then != nil {
					tt.then(c)
				}
				time.Sleep(10 * time.Second)
				err := <-outcomes
				for _, is := range tt.is {
					if !errors.Is(err, is) {
						t.Errorf("outcome %v, want %v", err, is)
					}
				}
				if len(tt.is) == 0 && err != nil || executed.Load() != tt.executed || len(outcomes) != 0 {
					t.Errorf("outcome %v after %d executions, want %d", err, executed.Load(), tt.executed)
				}
			})
		})
	}
}

// TestCallsGoOnAfterASplit: what was given up for lost leaves nothing behind.
func TestCallsGoOnAfterASplit(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.served(c.nodes[0].Serve("echo", echo))
		to := espial.Only(c.nodes[0].ID())
		for range 3 {
			c.net.Partition([]netip.Addr{ip(0)}, []netip.Addr{ip(1)})
			time.Sleep(10 * time.Second)
			if _, err := c.nodes[1].Call(c.Context(), "echo", to, nil); !errors.Is(err, espial.ErrNotSent) {
				t.Errorf("a call while split: %v, want %v", err, espial.ErrNotSent)
			}
			c.net.Heal()
			c.meet(2)
			if got, err := c.nodes[1].Call(c.Context(), "echo", to, []byte("x")); string(got) != "x" || err != nil {
				t.Errorf("a call after a split: %q, %v", got, err)
			}
		}
	})
}
