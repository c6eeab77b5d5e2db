package espial_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// inSparse runs f in a cluster of 16 nodes with at most four links each.
func inSparse(t *testing.T, f func(c *cluster)) {
	t.Helper()
	inMesh(t, 16, 4, func(int) espial.Config { return espial.Config{} }, f)
}

// strangers returns the nodes that are no peers of node 0.
func (c *cluster) strangers() (far []*espial.Node) {
	c.Helper()
	var peers []espial.NodeID
	for p := range c.nodes[0].Peers() {
		peers = append(peers, p.ID)
	}
	for _, n := range c.nodes[1:] {
		if !slices.Contains(peers, n.ID()) {
			far = append(far, n)
		}
	}
	if len(peers) > 4 || len(far) < 11 {
		c.Fatalf("%d peers and %d other members, want four and eleven", len(peers), len(far))
	}
	return far
}

// Whatever goes to some members goes to all of them alike, peers or not.
func TestFarMembersAreMembers(t *testing.T) {
	inSparse(t, func(c *cluster) {
		a, far := c.nodes[0], c.strangers()
		var streams []*stream
		for i, n := range far {
			streams = append(streams, c.collect(n, "t"))
			c.served(n.Serve("who.are.you", func(context.Context, espial.Caller, []byte) ([]byte, error) {
				return fmt.Append(nil, i), nil
			}))
		}
		for i, n := range far {
			began := time.Now()
			got, err := a.Call(c.Context(), "who.are.you", only(n), nil)
			if took := time.Since(began); err != nil || string(got) != fmt.Sprint(i) || took > 2*time.Second {
				c.Errorf("member %d answered %q, %v after %v; want its number within 2s", i, got, err, took)
			}
			c.publish(a, 0, 9, 0, only(n))
		}
		time.Sleep(5 * time.Second)
		for i, s := range streams {
			c.same(fmt.Sprint("member ", i), s.got(true), numbers(0, 9))
		}
		began := time.Now()
		if err := a.Publish(c.Context(), "t", nil, espial.Others().Queued().AtLeast(len(far))); err != nil {
			c.Errorf("confirmed: %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			c.Errorf("confirmed after %v, want 5s at most", took)
		}
	})
}

// A group shares events also among members that are no peers of the publisher.
func TestAGroupOfFarMembersSharesEvents(t *testing.T) {
	inSparse(t, func(c *cluster) {
		far := c.strangers()[:4]
		l := newLedger()
		for _, n := range far {
			l.join(c.Context(), n, "workers")
		}
		time.Sleep(15 * time.Second) // all have heard of the group, and the links on demand are gone
		for i := range 200 {
			if err := c.nodes[0].Publish(c.Context(), "jobs.run", fmt.Append(nil, i)); err != nil {
				c.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond) // some have a link by then, others none
		}
		time.Sleep(3 * time.Second)
		shares := map[string]int{}
		for i := range 200 {
			got := l.at(fmt.Sprint(i))
			if len(got) != 1 {
				c.Fatalf("event %d went to %q, want one member", i, got)
			}
			shares[got[0]]++
		}
		for _, n := range far {
			if shares[n.Name()] != 50 {
				c.Errorf("%s got %d events, want a quarter of 200: %v", n.Name(), shares[n.Name()], shares)
			}
		}
	})
}

// What far members keep is replayed to who subscribes late.
func TestFarMembersReplay(t *testing.T) {
	last := espial.NewTopic[price]("prices").KeepLast(2)
	inSparse(t, func(c *cluster) {
		far := c.strangers()[:3]
		for _, n := range far {
			for i := range 3 {
				if err := last.Publish(c.Context(), n, price{n.Name(), i}); err != nil {
					c.Fatal(err)
				}
			}
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
		defer cancel()
		got, sum := map[string]int{}, 0
		for e, err := range last.Subscribe(ctx, c.nodes[0], espial.Replay()) {
			if err == nil && e.Replayed {
				got[e.Value.Article] += e.Value.Cents
				sum += e.Value.Cents
			}
			if sum == 3*len(far) {
				break
			}
		}
		for _, n := range far {
			if got[n.Name()] != 3 {
				c.Errorf("of %s came %d in cents, want its events 1 and 2: %v", n.Name(), got[n.Name()], got)
			}
		}
	})
}
