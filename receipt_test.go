package espial_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
)

// missing writes who is missing as "node-1: no subscriber".
func missing(c *cluster, err error) string {
	u, ok := errors.AsType[*espial.UndeliveredError](err)
	if !ok {
		return fmt.Sprint(err)
	}
	words := []string{fmt.Sprint(u.Delivered)}
	for _, n := range c.nodes {
		if err := u.Missing[n.ID()]; err != nil {
			words = append(words, n.Name()+": "+strings.TrimPrefix(err.Error(), "espial: "))
		}
	}
	return strings.Join(words, ", ")
}

func TestPublishWaitsForConfirmations(t *testing.T) {
	inCluster(t, 4, func(c *cluster) {
		ctx, cancel := context.WithCancel(c.Context())
		defer cancel()
		_ = c.nodes[1].Subscribe(ctx, "queued") // nobody ranges over it
		_ = c.nodes[2].Subscribe(ctx, "queued")
		handled := c.nodes[3].Subscribe(ctx, "handled")
		go func() {
			for range handled {
				time.Sleep(time.Second)
			}
		}()
		for _, tt := range []struct {
			name, topic string
			to          espial.Target
			want        string // what is missing
			took        time.Duration
		}{
			{"all that have a subscription", "queued", espial.All().Queued(), "<nil>", 0},
			{"one of them", "queued", only(c.nodes[1]).Queued(), "<nil>", 0},
			{"two", "queued", espial.Others().Queued().AtLeast(2), "<nil>", 0},
			{
				"three, where two have a subscription", "queued", espial.Others().Queued().AtLeast(3),
				"2, node-3: no subscriber", 0,
			},
			{
				"of one that has none", "queued", only(c.nodes[3]).Queued(),
				"0, node-3: no subscriber", 0,
			},
			{"a reader that takes a second", "handled", espial.Others().Handled().AtLeast(1), "<nil>", time.Second},
			{"all readers there are", "handled", espial.All().Handled(), "<nil>", time.Second},
			{"by name", "handled", espial.Named("node-3").Handled(), "<nil>", time.Second},
			{
				"what nobody reads", "queued", espial.Others().Handled(),
				"0, node-1: context deadline exceeded, node-2: context deadline exceeded, node-3: no subscriber",
				5 * time.Second,
			},
		} {
			deadline, cancel := context.WithTimeout(c.Context(), 5*time.Second)
			began := time.Now()
			err := c.nodes[0].Publish(deadline, tt.topic, []byte("x"), tt.to)
			took := time.Since(began)
			cancel()
			got := missing(c, err)
			if got != tt.want {
				c.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
			if took < tt.took || took > tt.took+100*time.Millisecond {
				c.Errorf("%s: took %v, want %v", tt.name, took, tt.took)
			}
		}
	})
}

// part returns the part of a list that begins with a word.
func part(list, word string) string {
	for p := range strings.SplitSeq(list, ", ") {
		if strings.HasPrefix(p, word) {
			return p
		}
	}
	return "nothing about " + word
}

// TestOneDeadAndOneSlow is case C08: Publish returns with its context and names both; who
// dies is known at once to a publisher who waits for nobody else.
func TestOneDeadAndOneSlow(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		for i := 1; i < 5; i++ {
			events := c.nodes[i].Subscribe(c.Context(), "orders.*")
			if i == 1 {
				continue // has it, and never comes back
			}
			go func() {
				for range events {
				}
			}()
		}
		deadline, cancel := context.WithTimeout(c.Context(), 10*time.Second)
		defer cancel()
		c.net.Down(ip(4))
		began := time.Now()
		err := c.nodes[0].Publish(deadline, "orders.placed", nil, only(c.nodes[4]).Handled())
		if took := time.Since(began); !errors.Is(err, espial.ErrNoMember) || took > time.Second {
			c.Errorf("a member that died: %v after %v", err, took)
		}
		c.net.Partition([]netip.Addr{ip(3)})
		began = time.Now()
		err = c.nodes[0].Publish(deadline, "orders.placed", nil, espial.Others().Handled())
		u, ok := errors.AsType[*espial.UndeliveredError](err)
		if !ok || u.Delivered != 1 || len(u.Missing) != 2 {
			c.Fatalf("one is cut off, one is slow: %v", err)
		}
		if got := part(missing(c, err), "node-1"); got != "node-1: context deadline exceeded" {
			c.Errorf("the slow one: %s", got)
		}
		if got := part(missing(c, err), "node-3"); got != "node-3: no such member" {
			c.Errorf("the one that is cut off: %s", got)
		}
		if took := time.Since(began); took > 10*time.Second {
			c.Errorf("Publish took %v, its context 10s", took)
		}
	})
}

// TestWhoLosesAnEventIsNotWaitedFor: a member that takes nothing of a full queue for two seconds
// has lost what it did not take, and will not confirm it.
func TestWhoLosesAnEventIsNotWaitedFor(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		_ = c.nodes[1].Subscribe(c.Context(), "orders.*")
		c.net.Partition([]netip.Addr{ip(1)})
		confirmed := make(chan error, 1)
		go func() {
			confirmed <- c.nodes[0].Publish(c.Context(), "orders.placed", nil, espial.Others().Queued())
		}()
		synctest.Wait()
		for range 100 {
			if err := c.nodes[0].Publish(c.Context(), "orders.placed", make([]byte, 64<<10)); err != nil {
				c.Fatal(err)
			}
		}
		if got, want := missing(c, <-confirmed), "0, node-1: lagged"; got != want {
			c.Errorf("Publish returns %s, want %s", got, want)
		}
	})
}

// TestALoopThatPanicsHandlesNothing, and its publisher is told.
func TestALoopThatPanicsHandlesNothing(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		events := c.nodes[1].Subscribe(c.Context(), "orders.*")
		go func() {
			defer func() { _ = recover() }()
			for range events {
				panic("a bug of the program")
			}
		}()
		ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
		defer cancel()
		err := c.nodes[0].Publish(ctx, "orders.placed", nil, espial.Others().Handled())
		if got, want := missing(c, err), "0, node-1: no subscriber"; got != want {
			c.Errorf("Publish returns %s, want %s", got, want)
		}
	})
}

// TestConfirmationsSurviveResets: the link breaks between an event and its receipt, again
// and again, and no publisher waits in vain.
func TestConfirmationsSurviveResets(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		events := c.nodes[1].Subscribe(c.Context(), "orders.*")
		go func() {
			for range events {
			}
		}()
		ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
		defer cancel()
		done := make(chan error)
		const publishers, each = 4, 500
		for range publishers {
			go func() {
				for range each {
					if err := c.nodes[0].Publish(ctx, "orders.placed", nil, espial.Others().Handled()); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		stop := time.NewTicker(100 * time.Millisecond)
		defer stop.Stop()
		resets := 0
		for ended := 0; ended < publishers; {
			select {
			case err := <-done:
				if err != nil {
					c.Error(err)
				}
				ended++
			case <-stop.C:
				c.net.Reset(ip(0), ip(1))
				resets++
			}
		}
		if resets < 3 {
			c.Errorf("%d resets while the events were under way", resets)
		}
		synctest.Wait()
	})
}

// TestAnErrorSaysWhatWasWaitedFor: a reader that is stuck has the event, and has not handled it.
func TestAnErrorSaysWhatWasWaitedFor(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		_ = n.Subscribe(c.Context(), "stuck") // nobody ranges over it
		ctx, cancel := context.WithTimeout(c.Context(), time.Second)
		defer cancel()
		for _, tt := range []struct {
			to   espial.Target
			want string
		}{
			{espial.All().Queued().AtLeast(2), "espial: 1 of 2 members have the event"},
			{
				espial.All().Handled(),
				"espial: 0 of 1 members have handled the event; missing: " + n.ID().Short() + " (context deadline exceeded)",
			},
		} {
			if err := n.Publish(ctx, "stuck", nil, tt.to); err == nil || err.Error() != tt.want {
				c.Errorf("Publish returns %v, want %s", err, tt.want)
			}
		}
	})
}

func TestAnUndeliveredErrorNamesItsCauses(t *testing.T) {
	err := error(&espial.UndeliveredError{Delivered: 2, Wanted: 4, Missing: map[espial.NodeID]error{
		{1}: espial.ErrNoMember, {}: context.Canceled,
	}})
	want := "espial: 2 of 4 members have the event; missing: aaaaaaaaaaaaaaaa (context canceled), " +
		"aeaaaaaaaaaaaaaa (no such member)"
	if err.Error() != want {
		t.Errorf("Error() = %q, want %q", err, want)
	}
	if !errors.Is(err, context.Canceled) || !errors.Is(err, espial.ErrNoMember) {
		t.Error("it does not wrap its causes")
	}
}

// TestConfirmationsOfTooManyMembers: those of 256 members are waited for; for more nothing is
// published, however few of them would be enough.
func TestConfirmationsOfTooManyMembers(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		own := c.listen(n, "x")
		all := espial.All().Queued().AtLeast(1)
		for i := range 256 {
			if i == 255 {
				if err := n.Publish(c.Context(), "x", []byte("256"), all); err != nil {
					t.Errorf("to %d members: %v", n.Status().Members, err)
				}
			}
			c.attacker(i % 200).join(n)
			time.Sleep(10 * time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(c.Context(), time.Second)
		defer cancel()
		for _, to := range []espial.Target{all, espial.All().Handled(), espial.Named("*").Queued()} {
			if err := n.Publish(ctx, "x", []byte("257"), to); !errors.Is(err, espial.ErrTooManyAcks) {
				t.Errorf("to %d members: %v, want %v", n.Status().Members, err, espial.ErrTooManyAcks)
			}
		}
		if got := own.heard(); !slices.Equal(got, []string{"x 256"}) {
			t.Errorf("published: %q", got)
		}
	})
}
