package espial_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// Where nobody has links with all a call reaches every member all the same: by a link on demand,
// which may be gone when the answer comes and is then made again. Who dies meanwhile is told of.
func TestCallsReachAllOfAPartialMesh(t *testing.T) {
	const nodes = 12
	inMesh(t, nodes, 4, func(int) espial.Config { return espial.Config{} }, func(c *cluster) {
		for i, n := range c.nodes {
			c.served(n.Serve("far", func(ctx context.Context, _ espial.Caller, _ []byte) ([]byte, error) {
				if i%2 == 1 { // longer than a link that nobody uses lasts, or a session that ended lives
					select {
					case <-time.After(40 * time.Second):
					case <-ctx.Done():
					}
				}
				return []byte(n.Name()), ctx.Err()
			}))
		}
		time.AfterFunc(20*time.Second, func() { c.net.Down(ip(7)) })
		from, began := map[string]bool{}, time.Now()
		for a := range c.nodes[0].Gather(c.Context(), "far", espial.All(), nil) {
			gone := errors.Is(a.Err, espial.ErrMaybeExecuted) && errors.Is(a.Err, espial.ErrNoMember)
			if a.From.ID == c.nodes[7].ID() && !gone || a.From.ID != c.nodes[7].ID() && string(a.Value) != a.From.Name {
				t.Errorf("after %v %s answers %q, %v", time.Since(began), a.From.Name, a.Value, a.Err)
			}
			from[a.From.Name] = true
		}
		if took := time.Since(began); len(from) != nodes || took > 45*time.Second {
			t.Errorf("%d of %d answer, within %v", len(from), nodes, took)
		}
		ctx, cancel := context.WithTimeout(c.Context(), time.Second)
		defer cancel()
		if _, err := c.nodes[2].Call(ctx, "far", espial.Named("node-9"), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call that is too slow: %v", err)
		}
	})
}
