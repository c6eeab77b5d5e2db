package engine_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/mux"
)

// bulk opens a bulk stream to a service that n serves, and has a word come back.
func (c *cluster) bulk(from *node, to ident.NodeID) *mux.Stream {
	c.t.Helper()
	nc, err := from.OpenBulk(c.t.Context(), to, "echo")
	if err != nil {
		c.t.Fatalf("OpenBulk = %v", err)
	}
	c.echo(nc)
	return nc
}

// connect fails the test unless the nodes have so many connections for streams.
func (c *cluster) connect(want uint64, nodes ...*node) {
	c.t.Helper()
	time.Sleep(100 * time.Millisecond)
	for _, n := range nodes {
		if got := n.connections(); got != want {
			c.t.Errorf("%v has %d connections, want %d", n.ip, got, want)
		}
	}
}

// A bulk stream has a connection that no other stream uses, whoever opens it, and that ends
// with it.
func TestBulkStreamsHaveConnectionsOfTheirOwn(t *testing.T) {
	inMesh(t, 2, nil, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		a.serve(t, "echo")
		b.serve(t, "echo")
		first := c.bulk(a, b.id)
		c.connect(1, a, b)
		defer c.open(b, a.id, "echo").Close() // from the other end: not over the bulk connection
		c.connect(2, a, b)
		c.open(a, b.id, "echo").Close()
		second := c.bulk(a, b.id)
		c.connect(3, a, b)
		c.bulk(b, a.id).Close()
		c.connect(3, a, b)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		c.connect(2, a, b)
		c.echo(second)
		second.Close()
		c.connect(1, a, b)
		self := c.bulk(a, a.id)
		self.Close()
		c.connect(1, a, b)
	})
}

// Sixteen bulk streams to a member have connections; the next one shares, until a place is
// free. The member holds that as well.
func TestBulkConnectionsAreFew(t *testing.T) {
	inMesh(t, 3, nil, func(t *testing.T, c *cluster) {
		a, b, other := c.nodes[0], c.nodes[1], c.nodes[2]
		a.serve(t, "echo")
		b.serve(t, "echo")
		other.serve(t, "echo")
		var all []*mux.Stream
		for range 16 {
			all = append(all, c.bulk(a, b.id))
		}
		c.connect(16, a, b)
		for range 2 {
			defer c.bulk(a, b.id).Close() // over one that they share
		}
		c.connect(17, a, b)
		for _, to := range []*node{other, a} {
			defer c.bulk(a, to.id).Close() // other members have places of their own
		}
		defer c.bulk(b, a.id).Close() // and the other direction
		c.connect(18, b)
		if got := b.Status().Dropped["stream_connections"]; got != 0 {
			t.Errorf("%d connections were refused, want none to be dialled in vain", got)
		}
		ask := frame.Streams{From: a.Self().Record.Incarnation, To: b.Self().Record.Incarnation, Bulk: true}
		if _, err := c.askStreams(b, c.keys[a.id], ask); !full(err) {
			t.Errorf("the seventeenth that a member dials: %v, want %s", err, frame.CodeFull)
		}
		all[0].Close()
		c.connect(17, b)
		defer c.bulk(a, b.id).Close()
		c.connect(18, b)
	})
}

// full reports whether err is a refusal for want of room.
func full(err error) bool {
	e, ok := errors.AsType[*link.RefusedError](err)
	return ok && e.Refusal.Code == frame.CodeFull
}

// One who gives up, or dials what nobody listens on, leaves no connection behind.
func TestBulkStreamsThatComeToNothing(t *testing.T) {
	inMesh(t, 2, nil, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		b.serve(t, "echo")
		if _, err := a.OpenBulk(t.Context(), b.id, "nothing"); codeOf(err) != mux.CodeNoService {
			t.Errorf("OpenBulk = %v, want %v", err, mux.CodeNoService)
		}
		c.connect(0, a, b)
		for after := time.Duration(0); after < 6*time.Millisecond; after += 200 * time.Microsecond {
			time.Sleep(time.Second) // more often than 8 times a second nobody may dial
			ctx, cancel := context.WithTimeout(t.Context(), after)
			nc, err := a.OpenBulk(ctx, b.id, "echo")
			cancel()
			if err == nil {
				nc.Close()
			} else if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("given up after %v: OpenBulk = %v", after, err)
			}
		}
		c.connect(0, a, b)
		time.Sleep(3 * time.Second)
		for range 16 { // every place is free
			defer c.bulk(a, b.id).Close()
		}
		c.connect(16, a, b)
	})
}

// Where no connection can be made a bulk stream shares the one that there is.
func TestBulkStreamsShareWhereTheyMust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		refuses := false
		a := c.start(func(cfg *engine.Config) {
			dial := cfg.Dial
			cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
				if refuses {
					return nil, errors.New("no more sockets")
				}
				return dial(ctx, addr)
			}
		})
		b := c.start()
		c.waitFor(1)
		b.serve(t, "echo")
		defer c.open(a, b.id, "echo").Close()
		refuses = true
		defer c.bulk(a, b.id).Close()
		c.connect(1, a, b)
	})
}

// Bulk streams end as the others do when a member leaves.
func TestBulkStreamsEndWithTheirPeer(t *testing.T) {
	inMesh(t, 2, nil, func(t *testing.T, c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		b.serve(t, "echo")
		nc := c.bulk(a, b.id)
		b.stop()
		if _, err := nc.Read(make([]byte, 1)); codeOf(err) != mux.CodeLeave {
			t.Errorf("Read = %v, want %v", err, mux.CodeLeave)
		}
		nc.Close()
		c.connect(0, a)
	})
}
