package espial_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// C01: direct events both ways at once arrive once and in order.
func TestDirectEventsArriveOnceAndInOrder(t *testing.T) {
	const count = 20_000
	inCluster(t, 2, func(c *cluster) {
		streams := []*stream{c.collect(c.nodes[0], "t"), c.collect(c.nodes[1], "t")}
		done := make(chan error)
		for i, n := range c.nodes {
			go func() {
				var err error
				for k := 0; k < count && err == nil; k++ {
					err = n.Publish(c.Context(), "t", padded(k, 50), only(c.nodes[1-i]))
				}
				done <- err
			}()
		}
		for range c.nodes {
			if err := <-done; err != nil {
				c.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		for i, s := range streams {
			c.same(fmt.Sprint("events at node ", i), s.got(true), numbers(0, count-1))
		}
	})
}

// C02: the link is reset every second while direct events and broadcasts of all sizes
// flow: all of them arrive once and in order, and no session ends.
func TestResetsLoseNothing(t *testing.T) {
	const seconds, perTick = 15, 40
	inCluster(t, 2, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		changes := []*history{c.watch(a), c.watch(b)}
		s := c.collect(b, "t", espial.QueueMax(1<<20))
		back := c.collect(a, "t", espial.QueueMax(1<<20))
		sent := 0
		for tick := range seconds * 20 {
			for range perTick {
				size := 100
				if sent%500 == 0 {
					size = 200_000 // in pieces
				}
				c.publish(a, sent, sent, size, only(b))
				c.publish(a, sent, sent, size, espial.Others())
				c.publish(b, sent, sent, 10, only(a))
				sent++
			}
			time.Sleep(50 * time.Millisecond)
			if tick%20 == 10 {
				for range perTick { // these are on their way
					c.publish(a, sent, sent, 100, only(b))
					c.publish(a, sent, sent, 100, espial.Others())
					c.publish(b, sent, sent, 10, only(a))
					sent++
				}
				time.Sleep(100 * time.Microsecond)
				c.net.Reset(ip(0), ip(1))
			}
		}
		time.Sleep(5 * time.Second)
		c.same("direct events", s.got(true), numbers(0, sent-1))
		c.same("broadcasts", s.got(false), numbers(0, sent-1))
		c.same("direct events back", back.got(true), numbers(0, sent-1))
		for _, h := range changes {
			if n := h.count(espial.InDoubt); n > 0 {
				c.Errorf("%d sessions ended", n)
			}
			if h.count(espial.PeerRemoved) == 0 {
				c.Error("no link was reset")
			}
		}
		if times, n := s.lost(); n > 0 {
			c.Errorf("%d events lost in %d reports", n, times)
		}
	})
}

// C04: the receiver is killed in the middle and starts again with its key. The sender is
// told how many events are in doubt, and the new incarnation gets none of them.
func TestAKilledReceiverLeavesItsEventsInDoubt(t *testing.T) {
	for _, reborn := range []bool{true, false} {
		t.Run(fmt.Sprint("starts again ", reborn), func(t *testing.T) {
			empty(t, func(c *cluster) {
				key := c.TempDir() + "/key.pem"
				writeKey(c.T, key)
				a := c.start(espial.Config{})
				b := c.start(espial.Config{KeyFile: key})
				c.meet(2)
				changes := c.watch(a)
				s := c.collect(b, "t")
				const count = 1000
				c.publish(a, 0, 499, 100, only(b))
				time.Sleep(time.Second) // these are acknowledged
				c.publish(a, 500, count-1, 100, only(b))
				c.publish(a, count, count, 100, espial.Others())
				time.Sleep(250 * time.Microsecond) // within the latency of the network
				c.net.Down(ip(1))
				time.Sleep(time.Second)
				_ = b.Close()
				got := len(s.got(true))
				wait := 32 * time.Second
				var late *stream
				if reborn {
					wait = time.Second
					b = c.start(espial.Config{KeyFile: key})
					late = c.collect(b, "t")
					c.await(a.Changes(c.Context()), espial.AddedNode)
					if err := a.WaitFor(c.Context(), 2); err != nil {
						c.Fatal(err)
					}
					c.publish(a, -1, -1, 100, only(b))
				}
				time.Sleep(wait)
				doubt := changes.of(espial.InDoubt)
				if len(doubt) != 1 {
					c.Fatalf("%d reports of doubt, want one", len(doubt))
				}
				d := doubt[0]
				if d.Member.ID != b.ID() || d.Count < uint64(count+1-got) || d.Count > 501 {
					c.Errorf("%d events to %v are in doubt; %d of %d arrived", d.Count, d.Member.ID, got, count)
				}
				if late != nil {
					c.same("direct events at the new incarnation", late.got(true), []string{"-1"})
					c.same("broadcasts at the new incarnation", late.got(false), nil)
				}
			})
		})
	}
}

// C05: the sender is killed in the middle of its broadcasts: each receiver has the first
// ones, in order, perhaps another number of them than others, and is told that it cannot
// know how many are missing.
func TestAKilledSenderLeavesPrefixes(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		a := c.nodes[0]
		var all []*stream
		for i, n := range c.nodes[1:] {
			all = append(all, c.collect(n, "t", espial.QueueMax(1<<20)))
			c.net.SetPairLatency(ip(0), ip(i+1), time.Duration(i+1)*time.Millisecond, time.Duration(i+1)*time.Millisecond)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for i := range 2000 {
				if i%10 == 0 {
					time.Sleep(time.Millisecond)
				}
				if a.Publish(c.Context(), "t", padded(i, 100)) != nil {
					return
				}
			}
		}()
		time.Sleep(100 * time.Millisecond)
		c.net.Down(ip(0))
		time.Sleep(time.Second)
		_ = a.Close()
		<-ended
		time.Sleep(32 * time.Second)
		for i, s := range all {
			got := s.got(false)
			if n := len(got); n == 0 || n == 2000 || !slices.Equal(got, numbers(0, n-1)) {
				c.Errorf("node %d got %d events, not the first ones in order", i+1, n)
			}
			if len(s.lagged) != 1 || !s.lagged[0].Unknown || s.lagged[0].From != a.ID() {
				c.Errorf("node %d is told %v, want that an unknown number of %v is missing", i+1, s.lagged, a.ID())
			}
		}
	})
}

// C07: no acknowledgement comes for a while. What waits is bounded, publishers wait, and
// afterwards everything has arrived.
func TestWithoutAcknowledgementsMemoryIsBounded(t *testing.T) {
	const count = 2000
	inCluster(t, 2, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		s := c.collect(b, "t", espial.QueueMax(1<<20))
		c.net.CutOneWay(ip(1), ip(0))
		go func() {
			time.Sleep(1500 * time.Millisecond)
			c.net.Heal()
		}()
		held := uint64(0)
		began := time.Now()
		for i := range count { // 20 MB
			c.publish(a, i, i, 10_000, only(b))
			held = max(held, a.Status().Queues["direct_bytes"])
		}
		if took := time.Since(began); took < 1500*time.Millisecond {
			c.Errorf("20 MB were accepted within %v without an acknowledgement", took)
		}
		time.Sleep(5 * time.Second)
		c.same("events", s.got(true), numbers(0, count-1))
		if held > 4<<20 || a.Status().Queues["direct_bytes"] != 0 {
			c.Errorf("up to %d bytes were held and %d are, want at most 4 MiB and none",
				held, a.Status().Queues["direct_bytes"])
		}
	})
}

// C10: after a split of 30 seconds everything is there that fits the log, both ways; of
// more, each receiver is told once and exactly how much is missing.
func TestASplitLosesNothingOrSaysHowMuch(t *testing.T) {
	for _, tt := range []struct {
		count, size int
		lost        bool
	}{{1000, 100, false}, {6000, 1000, true}} {
		t.Run(fmt.Sprint(tt.count, " events"), func(t *testing.T) {
			inCluster(t, 5, func(c *cluster) {
				var all []*stream
				for _, n := range c.nodes {
					all = append(all, c.collect(n, "t", espial.QueueMax(1<<20)))
				}
				c.net.Partition([]netip.Addr{ip(3), ip(4)})
				split := time.Now()
				for i := range tt.count {
					c.publish(c.nodes[0], i, i, tt.size)
					c.publish(c.nodes[4], -i, -i, tt.size)
				}
				time.Sleep(time.Until(split.Add(30 * time.Second)))
				c.net.Heal()
				c.meet(5)
				c.publish(c.nodes[0], tt.count, tt.count, 10)
				c.publish(c.nodes[4], -tt.count, -tt.count, 10)
				time.Sleep(5 * time.Second)
				for i, s := range all {
					for _, sign := range []string{"", "-"} {
						c.checkHalf(fmt.Sprintf("node %d, numbers with sign %q", i, sign), s, sign, tt.count+1)
					}
					far := 1 // sender on the other side
					if times, n := s.lost(); (n > 0) != tt.lost || n > 0 && times != far {
						c.Errorf("node %d: %d events lost in %d reports, some lost: want %v, in one", i, n, times, tt.lost)
					}
				}
			})
		})
	}
}

// checkHalf checks the events of one of two senders, whose numbers tell which one: they
// are in order, and what is missing is as much as was reported lost.
func (c *cluster) checkHalf(what string, s *stream, sign string, count int) {
	c.Helper()
	last, got := -1, 0
	for _, word := range s.got(false) {
		n, err := strconv.Atoi(word)
		if err != nil || (n < 0) != (sign == "-") && n != 0 {
			continue
		}
		if n = max(n, -n); n == 0 {
			continue // of either
		}
		if n <= last {
			c.Fatalf("%s: %d after %d", what, n, last)
		}
		last = n
		got++
	}
	_, lost := s.lost()
	if missing := count - 1 - got; last != count-1 || missing < 0 || missing > int(lost) {
		c.Errorf("%s: got %d up to %d, %d are lost", what, got, last, lost)
	}
}

// An event published while a member is gone for good is refused, and a publisher who waits
// for it returns.
func TestPublishersDoNotWaitForTheDead(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		_ = b.Subscribe(c.Context(), "t") // nobody reads it
		done := make(chan error)
		go func() {
			var err error
			for err == nil {
				err = a.Publish(c.Context(), "t", make([]byte, 10_000), only(b))
			}
			done <- err
		}()
		time.Sleep(5 * time.Second)
		c.net.Down(ip(1))
		began := time.Now()
		if err := <-done; err != espial.ErrNoMember { //nolint:errorlint // as it is
			c.Errorf("Publish = %v, want ErrNoMember", err)
		}
		if took := time.Since(began); took > 2*time.Second {
			c.Errorf("Publish returned after %v", took)
		}
	})
}

// Leave waits until everybody has everything, also where a link was just lost.
func TestLeaveDrainsWhereALinkWasJustLost(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		a := c.nodes[0]
		changes := c.watch(a)
		streams := []*stream{
			c.collect(c.nodes[1], "t", espial.QueueMax(1<<20)), c.collect(c.nodes[2], "t", espial.QueueMax(1<<20)),
		}
		c.publish(a, 0, 2000, 1000)
		c.net.Reset(ip(0), ip(1))
		ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
		defer cancel()
		if err := a.Leave(ctx); err != nil {
			c.Errorf("Leave = %v", err)
		}
		time.Sleep(time.Minute)
		for i, s := range streams {
			c.same(fmt.Sprint("events at node ", i+1), s.got(false), numbers(0, 2000))
			if times, n := s.lost(); times > 0 {
				c.Errorf("node %d is told that %d events are lost", i+1, n)
			}
		}
		if n := changes.count(espial.InDoubt); n != 0 {
			c.Errorf("%d sessions ended in doubt", n)
		}
	})
}

// A12: two nodes cannot reach each other for longer than a session lives without a link, and
// publish all the time. Others pass everything on, in order and once, and nothing is lost at
// the beginning nor at the end of it.
func TestBroadcastsFindAnotherWay(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		all := []*stream{
			c.collect(b, "t", espial.QueueMax(1<<20), espial.From(espial.Only(a.ID()))),
			c.collect(a, "t", espial.QueueMax(1<<20), espial.From(espial.Only(b.ID()))),
			c.collect(c.nodes[4], "t", espial.QueueMax(1<<20), espial.From(espial.Only(a.ID()))),
		}
		sent := 0
		publish := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				size := 100
				if sent%500 == 0 {
					size = 100_000 // in pieces
				}
				c.publish(a, sent, sent+4, size)
				c.publish(b, sent, sent+4, size)
				sent += 5
			}
		}
		for range 2 {
			publish(time.Second)
			c.net.CutOneWay(ip(0), ip(1))
			c.net.CutOneWay(ip(1), ip(0))
			publish(40 * time.Second)
			time.Sleep(time.Second)
			for i, s := range all {
				c.same(fmt.Sprint("during the cut, stream ", i), s.got(false), numbers(0, sent-1))
			}
			c.net.Heal()
			publish(10 * time.Second)
		}
		time.Sleep(time.Second)
		for i, s := range all {
			c.same(fmt.Sprint("stream ", i), s.got(false), numbers(0, sent-1))
			if times, count := s.lost(); times > 0 {
				c.Errorf("stream %d: %d losses were told, %d events", i, times, count)
			}
		}
	})
}
