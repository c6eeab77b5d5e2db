package espial_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
)

// TestPoliciesCountExactly: 100 events come to a subscription with room for 10 that nobody
// reads yet.
func TestPoliciesCountExactly(t *testing.T) {
	tests := []struct {
		name   string
		policy espial.Policy
		to     func(n *espial.Node) espial.Target
		want   []string
		lost   uint64
		ends   bool
	}{
		{name: "Auto drops the oldest broadcasts", want: numbers(91, 100), lost: 90},
		{name: "Auto keeps direct events", to: only, want: numbers(1, 100)},
		{name: "Block keeps broadcasts", policy: espial.Block, want: numbers(1, 100)},
		{name: "DropOldest drops direct events", policy: espial.DropOldest, to: only, want: numbers(91, 100), lost: 90},
		{name: "Fail ends after what fits", policy: espial.Fail, want: numbers(1, 10), ends: true},
		{name: "Fail ends for direct events, too", policy: espial.Fail, to: only, want: numbers(1, 10), ends: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, burst := range []bool{true, false} { // one run or many
				inCluster(t, 2, func(c *cluster) {
					a, b := c.nodes[0], c.nodes[1]
					events := b.Subscribe(c.Context(), "t", espial.QueueMax(10), espial.WithPolicy(tt.policy))
					var to []espial.Target
					if tt.to != nil {
						to = []espial.Target{tt.to(b)}
					}
					for i := range 100 {
						c.publish(a, i+1, i+1, 8, to...)
						if !burst {
							time.Sleep(time.Millisecond)
						}
					}
					time.Sleep(time.Second)
					s := collect(events)
					c.same(fmt.Sprint("events, in a burst: ", burst), s.got(tt.to != nil), tt.want)
					times, n := s.lost()
					switch {
					case tt.ends && (times != 1 || n == 0 || n > 90 || !s.ended):
						c.Errorf("%d lost in %d reports, ended: %v; want some in one, and the end", n, times, s.ended)
					case !tt.ends && (n != tt.lost || times > 1 || s.ended):
						c.Errorf("%d lost in %d reports, ended: %v; want %d in one", n, times, s.ended, tt.lost)
					}
					if tt.lost > 0 && (s.lagged[0].From != a.ID() || s.lagged[0].Topic != "t" || s.lagged[0].Unknown) {
						c.Errorf("the loss is %+v, want it of %v on t", s.lagged[0], a.ID())
					}
				})
			}
		})
	}
}

// TestTheQueueOfASubscription has room for 1,024 events of each kind, or for 8 MiB, in which an
// event counts 64 bytes more than it has.
func TestTheQueueOfASubscription(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		ctx, cancel := context.WithCancel(c.Context())
		small := b.Subscribe(ctx, "t")
		c.publish(a, 1, 1030, 8)
		time.Sleep(time.Second)
		c.publish(a, 1, 1030, 8, only(b))
		time.Sleep(time.Second)
		s := collect(small)
		c.same("broadcasts", s.got(false), numbers(7, 1030))
		c.same("direct events", s.got(true), numbers(1, 1030))
		cancel()
		large := b.Subscribe(c.Context(), "t")
		c.publish(a, 1, 20, 1<<20-64)
		time.Sleep(time.Second)
		c.same("broadcasts of 1 MiB", collect(large).got(false), numbers(13, 20))
	})
}

func only(n *espial.Node) espial.Target { return espial.Only(n.ID()) }

// A queue of one event works with every policy: a reader that keeps up gets everything.
func TestAQueueOfOneEvent(t *testing.T) {
	for _, p := range []espial.Policy{espial.Auto, espial.Block, espial.DropOldest, espial.Fail} {
		inCluster(t, 2, func(c *cluster) {
			s := c.collect(c.nodes[1], "t", espial.QueueMax(1), espial.WithPolicy(p))
			for i := range 50 {
				c.publish(c.nodes[0], i, i, 8)
				time.Sleep(2 * time.Millisecond)
			}
			c.same(fmt.Sprint("policy ", p), s.got(false), numbers(0, 49))
		})
	}
}

// A reader that takes no direct event makes its sender wait, for as long as the sender
// likes, and nobody else; what the sender gave up was not sent.
func TestASlowReaderOfDirectEventsHoldsUpItsSenderAlone(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		a, slow, other := c.nodes[0], c.nodes[1], c.nodes[2]
		for m := range a.Members() {
			if m.ID == slow.ID() {
				break
			}
			if m.ID == other.ID() { // the slow one is whom it thinks of first
				slow, other = other, slow
				break
			}
		}
		events := slow.Subscribe(c.Context(), "t")
		s := c.collect(other, "t")
		ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
		defer cancel()
		sent := 0
		for {
			err := a.Publish(ctx, "t", padded(sent, 10_000), espial.Only(slow.ID()))
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			if err != nil {
				c.Fatal(err)
			}
			sent++
		}
		if mb := sent / 100; mb < 4 || mb > 16 {
			c.Errorf("%d MB were accepted for a reader that takes nothing, want 4 to 16", mb)
		}
		if q := a.Status().Queues["direct_bytes"]; q > 4<<20 {
			c.Errorf("%d bytes wait at the sender, want at most 4 MiB", q)
		}
		toSome(c, a, slow, other)
		c.publish(a, 1, 100, 8, espial.Only(other.ID()))
		c.publish(a, 1, 100, 8)
		time.Sleep(time.Second)
		c.same("direct events of another", s.got(true), numbers(1, 100))
		c.same("broadcasts at another", s.got(false), numbers(1, 100))
		late := collect(events)
		time.Sleep(time.Second)
		c.same("direct events of the slow one", late.got(true), numbers(0, sent-1))
		for i, n := range c.nodes {
			if m := n.Status().Members; m != 3 {
				c.Errorf("node %d lists %d members: a slow reader is taken for a dead node", i, m)
			}
		}
	})
}

// toSome publishes to several members, of which slow takes nothing: the others have the event
// at once, and the error says who has not.
func toSome(c *cluster, a, slow, other *espial.Node) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), time.Second)
	defer cancel()
	began := time.Now()
	events := other.Subscribe(c.Context(), "some")
	err := a.Publish(ctx, "some", padded(0, 10_000), espial.Named("node-*"))
	if got, want := missing(c, err), "2, "+slow.Name()+": context deadline exceeded"; got != want {
		c.Errorf("an event for all of which one takes nothing: %s, want %s", got, want)
	}
	for e, err := range events {
		if took := e.At.Sub(began); took > 10*time.Millisecond || err != nil {
			c.Errorf("who has room got the event after %v, %v", took, err)
		}
		return
	}
	c.Error("who has room did not get the event")
}

// C11: a reader that takes no broadcasts with Block holds the others up for two seconds,
// once; its node stays a member, and in the end it knows how many events it missed.
func TestABlockedReaderOfBroadcastsIsPassedOver(t *testing.T) {
	const count, size = 3000, 10_000
	inCluster(t, 4, func(c *cluster) {
		a, blocked := c.nodes[0], c.nodes[1]
		removed := c.watch(c.nodes[2])
		events := blocked.Subscribe(c.Context(), "t", espial.WithPolicy(espial.Block))
		others := []*stream{
			c.collect(c.nodes[2], "t", espial.WithPolicy(espial.Block)), c.collect(c.nodes[3], "t", espial.WithPolicy(espial.Block)),
		}
		began := time.Now()
		held := uint64(0)
		for i := range count {
			c.publish(a, i, i, size)
			held = max(held, a.Status().Queues["broadcast_bytes"])
		}
		if took := time.Since(began); took > 2500*time.Millisecond {
			c.Errorf("publishing took %v, want 2s for the blocked reader and little more", took)
		}
		if held > 4<<20 {
			c.Errorf("%d bytes waited at the sender, want at most 4 MiB", held)
		}
		time.Sleep(10 * time.Second)
		for i, s := range others {
			c.same(fmt.Sprint("events at another node ", i), s.got(false), numbers(0, count-1))
		}
		late := collect(events)
		time.Sleep(time.Second)
		c.publish(a, count, count, size) // a loss is told before what follows it
		time.Sleep(time.Second)
		got := late.got(false)
		times, n := late.lost()
		if len(got)+int(n) != count+1 || n == 0 {
			c.Errorf("the blocked reader got %d events and lost %d in %d reports of %d", len(got), n, times, count+1)
		}
		if n := removed.count(espial.RemovedNode, espial.SuspectedNode); n != 0 {
			c.Errorf("%d members were suspected or removed", n)
		}
	})
}

// C13: a panic in a loop is the program's own; a program that recovers has lost that
// subscription alone, and it holds nobody up.
func TestAPanicInALoopEndsThatSubscriptionAlone(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		s := c.collect(b, "t")
		recovered := make(chan any, 1)
		bad := b.Subscribe(c.Context(), "t", espial.QueueMax(1))
		go func() {
			defer func() { recovered <- recover() }()
			for range bad {
				panic("boom")
			}
		}()
		c.publish(a, 0, 0, 8, espial.Only(b.ID()))
		if got := <-recovered; got != "boom" {
			c.Errorf("recovered %v, want boom", got)
		}
		c.publish(a, 1, 2000, 10_000, espial.Only(b.ID())) // more than any window
		time.Sleep(time.Second)
		c.same("events of another subscription", s.got(true), numbers(0, 2000))
		if n := b.Status().Queues["subscriptions"]; n != 0 {
			c.Errorf("%d events wait for a loop that ended", n)
		}
	})
}

// A loop that ends, or that never begins, leaves nothing behind once its context ended.
func TestEndedSubscriptionsHoldNobodyUp(t *testing.T) {
	tests := []struct {
		name string
		end  func(c *cluster, n *espial.Node)
	}{
		{"a loop that breaks", func(c *cluster, n *espial.Node) {
			for range n.Subscribe(c.Context(), "t", espial.QueueMax(1)) {
				break
			}
		}},
		{"a loop whose context ends", func(c *cluster, n *espial.Node) {
			ctx, cancel := context.WithCancel(c.Context())
			for range n.Subscribe(ctx, "t", espial.QueueMax(1)) {
				cancel()
			}
			cancel()
		}},
		{"a loop that never began", func(c *cluster, n *espial.Node) {
			ctx, cancel := context.WithCancel(c.Context())
			_ = n.Subscribe(ctx, "t", espial.QueueMax(1))
			cancel()
		}},
		{"a loop that is over already", func(c *cluster, n *espial.Node) {
			events := n.Subscribe(c.Context(), "t", espial.QueueMax(1))
			for range 2 {
				for range events {
					break
				}
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inCluster(t, 2, func(c *cluster) {
				a, b := c.nodes[0], c.nodes[1]
				for i := range 2 {
					c.publish(a, i, i, 8, espial.Only(b.ID()))
				}
				go func() {
					time.Sleep(time.Second)
					c.publish(a, 2, 3, 8, espial.Only(b.ID()))
				}()
				tt.end(c, b)
				s := c.collect(b, "t")
				time.Sleep(2 * time.Second)
				s.got(true)
				ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
				defer cancel()
				for range 1000 { // 10 MB
					if err := a.Publish(ctx, "t", make([]byte, 10_000), espial.Only(b.ID())); err != nil {
						c.Fatalf("a subscription that ended holds the sender up: %v", err)
					}
				}
			})
		})
	}
}

// C14: whatever a loop does with its node, nothing hangs. A bubble that did would panic.
func TestLoopsMayUseTheirNode(t *testing.T) {
	for range runs(t) {
		inCluster(t, 2, func(c *cluster) {
			a, b := c.nodes[0], c.nodes[1]
			done := make(chan int, 1)
			events := b.Subscribe(c.Context(), "t")
			go func() {
				count := 0
				for e, err := range events {
					if err != nil {
						c.Errorf("event %d: %v", count, err)
					}
					count++
					if len(e.Data) > 100 {
						continue // an answer of its own
					}
					inner, cancel := context.WithCancel(c.Context())
					own := b.Subscribe(inner, "own")
					for _, to := range []espial.Target{espial.All(), espial.Others(), only(a), only(b)} {
						_ = b.Publish(c.Context(), "own", nil, to)
					}
					for range own {
						break
					}
					cancel()
					_ = b.SetMetadata(c.Context(), map[string]string{"count": fmt.Sprint(count)})
					_ = b.Publish(c.Context(), "t", make([]byte, 101))
					if count >= 20 {
						_ = b.Close() // the loop ends with the node
					}
				}
				done <- count
			}()
			for i := range 30 {
				c.publish(a, i, i, 8)
				time.Sleep(time.Millisecond)
			}
			if count := <-done; count < 20 {
				c.Errorf("the loop ended after %d events", count)
			}
			<-b.Done()
		})
	}
}

// C26: Close under load is quick, publishers return, loops end, and what may not have
// arrived is told. The bubble finds a goroutine that is left.
func TestCloseUnderLoad(t *testing.T) {
	for range min(runs(t), 5) {
		inCluster(t, 3, func(c *cluster) {
			a := c.nodes[0]
			changes := c.watch(a)
			streams := []*stream{c.collect(a, "t"), c.collect(c.nodes[1], "t")}
			blocked := c.nodes[2].Subscribe(c.Context(), "t", espial.WithPolicy(espial.Block))
			_ = blocked // nobody reads it
			ended := make(chan error)
			for _, to := range []espial.Target{espial.All(), only(c.nodes[1]), only(c.nodes[2])} {
				go func() {
					for i := 0; ; i++ {
						if err := a.Publish(c.Context(), "t", padded(i, 1000), to); err != nil {
							ended <- err
							return
						}
						if i%10 == 0 {
							time.Sleep(time.Millisecond)
						}
					}
				}()
			}
			time.Sleep(300 * time.Millisecond)
			began := time.Now()
			if err := a.Close(); err != nil {
				c.Errorf("Close = %v", err)
			}
			if took := time.Since(began); took > 250*time.Millisecond {
				c.Errorf("Close took %v, want at most 250ms", took)
			}
			for range 3 {
				if err := <-ended; !errors.Is(err, espial.ErrClosed) {
					c.Errorf("a publisher returns %v, want ErrClosed", err)
				}
			}
			got := streams[1].got(false)
			if n := len(got); n == 0 || !slices.Equal(got, numbers(0, n-1)) {
				c.Errorf("another node got %d events, not the first ones in order", n)
			}
			synctest.Wait()
			if !streams[0].ended {
				c.Error("a loop at the closed node goes on")
			}
			doubt := changes.of(espial.InDoubt)
			if len(doubt) == 0 || !slices.ContainsFunc(doubt, func(ch espial.Change) bool {
				return ch.Member.ID == c.nodes[2].ID() && ch.Count > 1000
			}) {
				c.Errorf("in doubt is %v, want much of what was for the blocked node", doubt)
			}
		})
	}
}
