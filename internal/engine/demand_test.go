package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/mailbox"
)

// sparse runs a test with nodes of at most so many links each, in virtual time.
func sparse(t *testing.T, nodes, links int, f func(t *testing.T, c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		for range nodes {
			c.start(func(cfg *engine.Config) { cfg.MinPeers, cfg.MaxPeers = min(3, links), links })
			time.Sleep(20 * time.Millisecond)
		}
		c.waitFor(nodes - 1)
		time.Sleep(5 * time.Second) // until no link moves any more
		f(t, c)
	})
}

// strangers returns two nodes without a link.
func (c *cluster) strangers() (a, b *node) {
	c.t.Helper()
	a = c.nodes[0]
	for _, b := range c.nodes[1:] {
		if !a.peer(b) {
			return a, b
		}
	}
	c.t.Fatal("everybody is a peer")
	return nil, nil
}

// peer reports whether another node is a peer.
func (n *node) peer(o *node) bool {
	for _, p := range n.Peers() {
		if p.Member.Record.ID == o.id {
			return true
		}
	}
	return false
}

func (n *node) onDemand() uint64 { return n.Status().Queues["links_on_demand"] }

// subscribe subscribes to everything.
func (n *node) subscribe(t *testing.T) *mailbox.Queue {
	t.Helper()
	q, err := n.Exchange().Subscribe(">", mailbox.Options{MessagesMax: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// expect reads messages in order, each once, from number first to last.
func expect(t *testing.T, q *mailbox.Queue, from *node, first, last int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for next := first; next <= last; {
		batch, err := q.Next(ctx)
		if err != nil {
			t.Fatalf("message %d of %d to %d did not come: %v", next, first, last, err)
		}
		for _, e := range batch {
			if e.Count == 0 {
				t.Fatalf("lost %+v", e.Lost)
			}
			for run := e.Data; len(run) > 0; next++ {
				var p []byte
				p, run = frame.NextPayload(run)
				if want := fmt.Sprint(next); string(p) != want || e.From != from.id {
					t.Fatalf("got %q of %v, want %q", p, e.From.Short(), want)
				}
			}
		}
	}
}

func (n *node) say(t *testing.T, to *node, first, last int) {
	t.Helper()
	for i := first; i <= last; i++ {
		if err := n.Exchange().Direct(t.Context(), to.id, message(fmt.Sprint(i)), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMembersWithoutALinkTalk(t *testing.T) {
	sparse(t, 12, 3, func(t *testing.T, c *cluster) {
		a, b := c.strangers()
		qa, qb := a.subscribe(t), b.subscribe(t)
		began := time.Now()
		a.say(t, b, 1, 1)
		expect(t, qb, a, 1, 1)
		// It takes some milliseconds, unless the two are just finding out that they have no room
		// for each other as peers.
		if took := time.Since(began); took > 1100*time.Millisecond {
			t.Errorf("the first message took %v, want 1.1s at most", took)
		}
		a.say(t, b, 2, 1000)
		b.say(t, a, 1, 1000)
		expect(t, qb, a, 2, 1000)
		expect(t, qa, b, 1, 1000)
		if a.peer(b) || a.onDemand() != 1 || b.onDemand() != 1 {
			t.Errorf("%d and %d links on demand, peers %t; want one, and no peers", a.onDemand(), b.onDemand(), a.peer(b))
		}
		for i := range 5 {
			time.Sleep(4 * time.Second)
			if a.onDemand() != 1 || b.onDemand() != 1 {
				t.Errorf("%d and %d links on demand while they are used, want one", a.onDemand(), b.onDemand())
			}
			a.say(t, b, 1001+i, 1001+i)
		}
		time.Sleep(12 * time.Second)
		if a.onDemand() != 0 || b.onDemand() != 0 {
			t.Errorf("%d and %d links on demand after 12 s, want none", a.onDemand(), b.onDemand())
		}
		time.Sleep(time.Minute)
		b.say(t, a, 1001, 1001)
		expect(t, qa, b, 1001, 1001)
	})
}

// TestDirectMessagesSurviveResets is case C02 without a link of peers.
func TestDirectMessagesSurviveResets(t *testing.T) {
	sparse(t, 8, 3, func(t *testing.T, c *cluster) {
		a, b := c.strangers()
		q := b.subscribe(t)
		const last = 20_000
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 1; i <= last; i++ {
				a.say(t, b, i, i)
				if i%10 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}()
		var resets atomic.Int64
		go func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(37 * time.Millisecond):
					c.net.Reset(a.ip, b.ip)
					resets.Add(1)
				}
			}
		}()
		expect(t, q, a, 1, last)
		<-done
		if got := resets.Load(); got < 20 {
			t.Errorf("%d resets, want at least 20", got)
		}
	})
}

// TestBothEndsAskAtOnce: whoever is the arbiter.
func TestBothEndsAskAtOnce(t *testing.T) {
	sparse(t, 12, 3, func(t *testing.T, c *cluster) {
		for _, a := range c.nodes[:6] {
			for _, b := range c.nodes[6:] {
				if a.peer(b) {
					continue
				}
				qa, qb := a.subscribe(t), b.subscribe(t)
				a.say(t, b, 1, 10)
				b.say(t, a, 1, 10)
				expect(t, qa, b, 1, 10)
				expect(t, qb, a, 1, 10)
				if got, want := a.onDemand(), b.onDemand(); got != 1 || want != 1 {
					t.Errorf("%d and %d links on demand, want one", got, want)
				}
				qa.Close()
				qb.Close()
				time.Sleep(12 * time.Second)
			}
		}
	})
}

// TestALinkOnDemandBecomesThatOfPeers while messages cross it.
func TestALinkOnDemandBecomesThatOfPeers(t *testing.T) {
	sparse(t, 12, 3, func(t *testing.T, c *cluster) {
		a, b := c.strangers()
		q := b.subscribe(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 1; i <= 1000; i++ {
				a.say(t, b, i, i)
				time.Sleep(time.Millisecond)
			}
		}()
		time.Sleep(100 * time.Millisecond)
		if a.onDemand() != 1 || b.onDemand() != 1 {
			t.Errorf("%d and %d links on demand, want one", a.onDemand(), b.onDemand())
		}
		for n, o := range map[*node]*node{a: b, b: a} { // b has no room for whom it does not want
			if err := n.Pin(t.Context(), o.id); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(400 * time.Millisecond)
		if !a.peer(b) || !b.peer(a) || a.onDemand()+b.onDemand() != 0 {
			t.Errorf("peers %t and %t, %d and %d links on demand; want peers with the one link",
				a.peer(b), b.peer(a), a.onDemand(), b.onDemand())
		}
		expect(t, q, a, 1, 1000)
		<-done
	})
}

// TestManyTargetsAtOnce: more members than there are places.
func TestManyTargetsAtOnce(t *testing.T) {
	sparse(t, 50, 5, func(t *testing.T, c *cluster) {
		a := c.nodes[0]
		began := time.Now()
		queues := map[*node]*mailbox.Queue{}
		for _, b := range c.nodes[1:] {
			queues[b] = b.subscribe(t)
			a.say(t, b, 1, 3)
		}
		for b, q := range queues {
			expect(t, q, a, 1, 3)
			if got := b.onDemand(); got > 1 {
				t.Errorf("%d links on demand, want one at most", got)
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%d members had their messages after %v, want 10s at most", len(queues), took)
		}
		t.Logf("%d members in %v, %d links on demand", len(queues), time.Since(began), a.onDemand())
	})
}

// TestReceiptsFromFarMembers: each answers over a link on demand that it asks for itself.
func TestReceiptsFromFarMembers(t *testing.T) {
	for _, wish := range []frame.Wish{frame.WishQueued, frame.WishHandled} {
		sparse(t, 50, 5, func(t *testing.T, c *cluster) {
			a := c.nodes[0]
			for _, b := range c.nodes {
				q := b.subscribe(t)
				go func() {
					for {
						if _, err := q.Next(t.Context()); err != nil {
							return
						}
					}
				}()
			}
			for round := range 2 {
				began := time.Now()
				r := a.Exchange().Receipts(wish)
				if err := a.Exchange().Broadcast(t.Context(), true, message("1"), r); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				out, err := a.Exchange().Await(ctx, r, 49)
				if cancel(); err != nil {
					t.Fatalf("wish %v, round %d: %d confirmed, %d open after 20s: %v",
						wish, round, len(out.Confirmed), len(out.Open), err)
				}
				t.Logf("wish %v, round %d: %d members confirmed in %v", wish, round, len(out.Confirmed), time.Since(began))
			}
		})
	}
}

func TestAMemberThatGoesIsToldOfAtOnce(t *testing.T) {
	for _, how := range []string{"left", "killed", "lost"} {
		sparse(t, 12, 3, func(t *testing.T, c *cluster) {
			a, b := c.strangers()
			feed := a.Changes(t.Context())
			defer feed.Close()
			within := 300 * time.Millisecond
			switch how {
			case "left":
				b.stop()
			case "killed":
				c.kill(b)
			case "lost":
				b.dead = true
				c.net.Partition([]netip.Addr{b.ip})
				within = 5 * time.Second
			}
			gone := time.Now()
			r := a.Exchange().Receipts(frame.WishQueued)
			if err := a.Exchange().Direct(t.Context(), b.id, message("1"), r); err != nil {
				t.Fatalf("%s: %v", how, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			out, err := a.Exchange().Await(ctx, r, 1)
			if took := time.Since(gone); err != nil || len(out.Gone)+len(out.Lost) != 1 || took > within {
				t.Errorf("%s: %+v, %v after %v; want it gone within %v", how, out, err, took, within)
			}
			synctest.Wait() // the session ended; the list of members follows in the same instant
			err = a.Exchange().Direct(t.Context(), b.id, message("2"), nil)
			if !errors.Is(err, exchange.ErrNoMember) {
				t.Errorf("%s: %v, want ErrNoMember", how, err)
			}
		})
	}
}
