package espial_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// ledger notes who got what.
type ledger struct {
	mu  sync.Mutex
	got map[string][]string // by payload, the names of the nodes
}

func newLedger() *ledger { return &ledger{got: map[string][]string{}} }

// join starts a loop of a group at n, until ctx ends.
func (l *ledger) join(ctx context.Context, n *espial.Node, group string) {
	events := n.Subscribe(ctx, "jobs.*", espial.Group(group))
	go l.note(events, n.Name())
}

// at returns who got an event.
func (l *ledger) at(payload string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got[payload])
}

// note notes what one subscription got.
func (l *ledger) note(events iter.Seq2[espial.Event, error], name string) {
	for e, err := range events {
		if err == nil {
			l.mu.Lock()
			l.got[string(e.Data)] = append(l.got[string(e.Data)], name)
			l.mu.Unlock()
		}
	}
}

// TestAGroupSharesEvents: each is for one node of the group, all get their share, and when a
// node of the group dies the others go on.
func TestAGroupSharesEvents(t *testing.T) {
	inCluster(t, 4, func(c *cluster) {
		ctx, cancel := context.WithCancel(c.Context())
		defer cancel()
		l := newLedger()
		for _, n := range c.nodes[1:] {
			l.join(ctx, n, "workers")
		}
		time.Sleep(time.Second) // all have heard of the group
		publish := func(first, last int) {
			for i := first; i < last; i++ {
				if err := c.nodes[0].Publish(c.Context(), "jobs.run", fmt.Append(nil, i)); err != nil {
					c.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		publish(0, 300)
		c.net.Down(ip(3))
		time.Sleep(time.Second)
		publish(300, 500)
		share := map[string]int{}
		for i := range 500 {
			at := l.at(fmt.Sprint(i))
			if len(at) != 1 {
				c.Errorf("event %d is at %v, want one of the group", i, at)
				continue
			}
			share[at[0]]++
		}
		if share["node-3"] != 100 || share["node-1"] != 200 || share["node-2"] != 200 {
			c.Errorf("500 events are shared as %v", share)
		}
	})
}

// TestGroupsAndOthersGetTheirOwn: a subscription of no group gets everything, two groups
// share nothing, and a node that joins later is one of its group.
func TestGroupsAndOthersGetTheirOwn(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		ctx, cancel := context.WithCancel(c.Context())
		defer cancel()
		a, b, plain := newLedger(), newLedger(), newLedger()
		a.join(ctx, c.nodes[0], "a") // at the publisher itself
		b.join(ctx, c.nodes[1], "b")
		late := c.start(espial.Config{})
		b.join(ctx, late, "b")
		c.meet(3)
		events := late.Subscribe(ctx, "jobs.>")
		go plain.note(events, "late")
		time.Sleep(time.Second)
		for i := range 10 {
			if err := c.nodes[0].Publish(c.Context(), "jobs.run", fmt.Append(nil, i)); err != nil {
				c.Fatal(err)
			}
		}
		if err := c.nodes[0].Publish(c.Context(), "jobs.run", []byte("others"), espial.Others()); err != nil {
			c.Fatal(err)
		}
		if err := c.nodes[0].Publish(c.Context(), "jobs.run", []byte("late"), only(late)); err != nil {
			c.Fatal(err)
		}
		time.Sleep(time.Second)
		var names []string
		for i := range 10 {
			key := fmt.Sprint(i)
			if len(a.at(key)) != 1 || len(b.at(key)) != 1 || len(plain.at(key)) != 1 {
				c.Errorf("event %d: a %v, b %v, no group %v", i, a.at(key), b.at(key), plain.at(key))
			}
			names = append(names, b.at(key)...)
		}
		if n := strings.Count(strings.Join(names, " "), "node-2"); n != 5 {
			c.Errorf("who joined late got %d of ten", n)
		}
		if len(a.at("others")) != 0 || len(b.at("others")) != 1 {
			c.Errorf("published to others: a %v, b %v", a.at("others"), b.at("others"))
		}
		if len(b.at("late")) != 1 || len(plain.at("late")) != 1 {
			c.Errorf("published to one member: b %v, no group %v", b.at("late"), plain.at("late"))
		}
	})
}

// TestConfirmationsOfGroups: who is one of the group is asked, and its reader confirms.
func TestConfirmationsOfGroups(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		ctx, cancel := context.WithCancel(c.Context())
		defer cancel()
		l := newLedger()
		l.join(ctx, c.nodes[1], "workers")
		l.join(ctx, c.nodes[2], "workers")
		time.Sleep(time.Second)
		if err := c.nodes[0].Publish(c.Context(), "jobs.run", nil, espial.All().Handled()); err != nil {
			c.Errorf("one of a group handled it: %v", err)
		}
		err := c.nodes[0].Publish(c.Context(), "jobs.run", nil, espial.All().Handled().AtLeast(2))
		if u, ok := errors.AsType[*espial.UndeliveredError](err); !ok || u.Delivered != 1 {
			c.Errorf("two were wanted, and a group has one: %v", err)
		}
		cancel()
		time.Sleep(time.Second)
		if err := c.nodes[0].Publish(c.Context(), "jobs.run", nil, espial.All().Queued()); err == nil {
			c.Error("the group is gone, and the event was confirmed")
		}
	})
}

// TestAGroupThatExistsInTimeGetsEverything: at the publisher itself, and at a member that it
// has just met.
func TestAGroupThatExistsInTimeGetsEverything(t *testing.T) {
	for range 10 { // it is a matter of who is quicker
		inCluster(t, 1, func(c *cluster) {
			ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
			defer cancel()
			old := c.nodes[0]
			l := &ledger{got: map[string][]string{}}
			l.join(ctx, old, "workers")
			young := c.start(espial.Config{})
			if err := young.WaitFor(ctx, 2); err != nil {
				c.Fatal(err)
			}
			if err := young.Publish(ctx, "jobs.run", []byte("at a member")); err != nil {
				c.Fatal(err)
			}
			l.join(ctx, young, "itself")
			if err := young.Publish(ctx, "jobs.run", []byte("at itself")); err != nil {
				c.Fatal(err)
			}
			time.Sleep(time.Second)
			l.mu.Lock()
			defer l.mu.Unlock()
			slices.Sort(l.got["at itself"])
			if got, want := fmt.Sprint(l.got), "map[at a member:[node-0] at itself:[node-0 node-1]]"; got != want {
				c.Errorf("the groups got %v, want %v", got, want)
			}
		})
	}
}

func TestAGroupWithABadNameIsAnError(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		for name, want := range map[string]string{
			"a.b": `espial: target "a.b" is no group: byte 2 is "."; allowed are a-z, 0-9, "-" and "_"`,
			"-a":  `espial: target "-a" is no group: begins or ends with "-" or "_"`,
			"":    `espial: target "" is no group: is empty`,
		} {
			for _, err := range c.nodes[0].Subscribe(c.Context(), "a", espial.Group(name)) {
				if _, ok := errors.AsType[*espial.TargetError](err); !ok || err.Error() != want {
					c.Errorf("Subscribe yields %v, want a TargetError: %s", err, want)
				}
			}
		}
	})
}

// TestAFullGroupIsCounted: confirmations of others count, and each group that
// did not get the event is counted.
func TestAFullGroupIsCounted(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		for _, group := range []string{"a", "b"} {
			_ = c.nodes[1].Subscribe(c.Context(), "jobs", espial.Group(group)) // nobody ranges over it
		}
		_ = c.nodes[2].Subscribe(c.Context(), "jobs")
		time.Sleep(time.Second)
		publish := func(to espial.Target) error {
			ctx, cancel := context.WithTimeout(c.Context(), time.Second)
			defer cancel()
			return c.nodes[0].Publish(ctx, "jobs", make([]byte, 256<<10), to)
		}
		var err error
		for range 100 {
			if err = publish(espial.All()); err != nil {
				break
			}
		}
		if err = publish(espial.All()); err == nil {
			c.Fatal("the groups are never full")
		}
		if got, want := missing(c, err), "0, node-1: context deadline exceeded"; got != want {
			c.Errorf("Publish to two groups that are full: %s, want %s", got, want)
		}
		if u, ok := errors.AsType[*espial.UndeliveredError](err); !ok || u.Wanted != 2 {
			c.Errorf("Publish to two groups that are full: %v, want 2 missing", err)
		}
		if err := publish(espial.Others().Queued().AtLeast(1)); err != nil {
			c.Errorf("one of the others has confirmed, and Publish returns %v", err)
		}
		want := "1, node-1: context deadline exceeded"
		if got := missing(c, publish(espial.Others().Queued())); got != want {
			c.Errorf("all of the others were to confirm, and Publish returns %s, want %s", got, want)
		}
	})
}
