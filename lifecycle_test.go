package espial_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// WaitFor returns when the members have a data path: what is published right after it
// reaches every subscription that exists at them.
func TestWhatIsPublishedAfterWaitForArrives(t *testing.T) {
	for range times(20) {
		empty(t, func(c *cluster) {
			var ears []*ear
			for range 4 {
				ears = append(ears, c.listen(c.start(espial.Config{}), "orders.*"))
			}
			first := c.nodes[0]
			if err := first.WaitFor(c.Context(), 4); err != nil {
				c.Fatal(err)
			}
			if err := first.Publish(c.Context(), "orders.placed", []byte("first")); err != nil {
				c.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			for i, e := range ears {
				if got := e.heard(); !slices.Equal(got, []string{"orders.placed first"}) {
					c.Errorf("node %d heard %q, want the first event", i, got)
				}
			}
		})
	}
}

// WaitFor gives up with its context, and at once where there is nothing to wait for.
func TestWaitForEndsWithItsContext(t *testing.T) {
	empty(t, func(c *cluster) {
		n := c.start(espial.Config{})
		began := time.Now()
		if err := n.WaitFor(c.Context(), 1); err != nil || time.Since(began) > 0 {
			c.Errorf("WaitFor(1) = %v after %v, want nil at once", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(c.Context(), time.Second)
		defer cancel()
		if err := n.WaitFor(ctx, 2); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			c.Errorf("WaitFor(2) = %v after %v, want the context's error after 1s", err, time.Since(began))
		}
	})
}

// Changes begins with what is, and then tells what happens.
func TestChangesBeginWithThePresentMembers(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		h := c.watch(c.nodes[0])
		all := h.all()
		if len(all) != 3 || all[0].Kind != espial.Listening || !slices.Equal(all[0].Addrs, c.nodes[0].Addrs()) {
			c.Fatalf("a new reader got%v\nwant listening and two members", h)
		}
		for _, n := range c.nodes[1:] {
			if h.about(n.ID(), espial.AddedNode) != 1 {
				c.Errorf("%s was added %d times, want once", n.Name(), h.about(n.ID(), espial.AddedNode))
			}
		}
		c.start(espial.Config{})
		c.meet(4)
		if got := h.about(c.nodes[3].ID(), espial.AddedNode); got != 1 {
			c.Errorf("the newcomer was added %d times, want once", got)
		}
	})
}

// A reader of changes that falls behind gets one lagged with the exact count, and then
// the newest changes; a reader beside it loses nothing.
func TestSlowReaderOfChangesIsToldHowManyItMissed(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		time.Sleep(4 * time.Second) // a leader is elected, and nothing else changes
		quick := c.watch(c.nodes[0])
		slow := c.nodes[0].Changes(c.Context())
		const updates = 1500
		for i := range updates {
			if err := c.nodes[1].SetMetadata(c.Context(), map[string]string{"i": fmt.Sprint(i)}); err != nil {
				c.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		total := len(quick.all())
		if got := quick.count(espial.UpdatedNode); got != updates {
			c.Fatalf("the quick reader got %d updates, want %d", got, updates)
		}
		var lost uint64
		got := 0
		for ch := range slow {
			if ch.Kind == espial.Lagged {
				if got > 0 || lost > 0 {
					c.Errorf("lagged after %d changes, want it once and first", got)
				}
				lost = ch.Count
				continue
			}
			got++
			if ch.Member.Metadata["i"] == fmt.Sprint(updates-1) {
				break
			}
		}
		if got != 1024 || lost != uint64(total-got) {
			c.Errorf("the slow reader got %d changes and lost %d of %d, want 1024 and the rest", got, lost, total)
		}
	})
}

// New metadata is an updated_node at every member, the same once more is not, and what is
// over the limit changes nothing.
func TestMetadataReachesEveryMember(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		all := c.watchAll()
		role := map[string]string{"role": "worker"}
		for range 2 {
			if err := c.nodes[2].SetMetadata(c.Context(), role); err != nil {
				c.Fatal(err)
			}
		}
		err := c.nodes[2].SetMetadata(c.Context(), map[string]string{"big": strings.Repeat("x", 16<<10)})
		if ce, ok := errors.AsType[*espial.ConfigError](err); !ok || ce.Field != "Metadata" {
			c.Errorf("SetMetadata over the limit = %v, want a ConfigError for Metadata", err)
		}
		time.Sleep(100 * time.Millisecond)
		for i, h := range all[:2] {
			got := h.of(espial.UpdatedNode)
			if len(got) != 1 || got[0].Member.Metadata["role"] != "worker" || got[0].Member.Name != "node-2" {
				c.Errorf("node %d: %+v, want one updated_node of node-2", i, got)
			}
		}
		for m := range c.nodes[0].Members() {
			if want := role["role"]; m.ID == c.nodes[2].ID() && m.Metadata["role"] != want {
				c.Errorf("Members shows %v, want the role", m.Metadata)
			}
		}
	})
}

// A split and its end are told once each, in order, with both sides; links and members
// follow.
func TestSplitAndHealAreToldOnce(t *testing.T) {
	inCluster(t, 4, func(c *cluster) {
		all := c.watchAll()
		for _, h := range all {
			h.forget()
		}
		c.net.Partition([]netip.Addr{ip(2), ip(3)})
		time.Sleep(20 * time.Second)
		for i, h := range all {
			if got := h.kinds(espial.Connected, espial.Disconnected, espial.Split, espial.Healed); got != "split" {
				c.Fatalf("node %d: %q during the cut, want split", i, got)
			}
			split := h.of(espial.Split)[0]
			here, there := c.nodes[:2], c.nodes[2:]
			if i >= 2 {
				here, there = there, here
			}
			if !sameIDs(split.Present, here) || !sameIDs(split.Missing, there) {
				c.Errorf("node %d: split %v from %v, want %v from %v", i, split.Present, split.Missing,
					idsOf(here), idsOf(there))
			}
			h.forget()
		}
		c.net.Heal()
		c.within(2*time.Second, "whole again", func() bool { return whole(c.nodes) })
		time.Sleep(10 * time.Second)
		for i, h := range all {
			if got := h.kinds(espial.Connected, espial.Disconnected, espial.Split, espial.Healed); got != "healed" {
				c.Errorf("node %d: %q after the cut, want healed", i, got)
			}
			if n := h.count(espial.AddedNode); n != 2 {
				c.Errorf("node %d: %d members came back, want 2", i, n)
			}
		}
	})
}

func sameIDs(got []espial.NodeID, want []*espial.Node) bool {
	text := func(id espial.NodeID) string { return id.String() }
	return slices.Equal(slices.Sorted(mapped(got, text)), slices.Sorted(mapped(idsOf(want), text)))
}

func idsOf(nodes []*espial.Node) []espial.NodeID {
	return slices.Collect(mapped(nodes, (*espial.Node).ID))
}

// mapped yields f of every element.
func mapped[T, U any](all []T, f func(T) U) func(func(U) bool) {
	return func(yield func(U) bool) {
		for _, v := range all {
			if !yield(f(v)) {
				return
			}
		}
	}
}

// A node that is alone for a while hears connected, disconnected, connected, and each of
// its peers comes and goes between them.
func TestConnectedAndDisconnectedAlternate(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		h := c.watch(c.nodes[0])
		h.forget()
		for range 2 {
			c.net.Partition([]netip.Addr{ip(0)})
			time.Sleep(10 * time.Second)
			c.net.Heal()
			time.Sleep(10 * time.Second)
		}
		kinds := h.kinds(espial.Connected, espial.Disconnected, espial.Split, espial.Healed)
		kinds = strings.ReplaceAll(kinds, "split disconnected", "disconnected split")
		kinds = strings.ReplaceAll(kinds, "healed connected", "connected healed")
		if want := "disconnected split connected healed disconnected split connected healed"; kinds != want {
			c.Errorf("%s, want %s", kinds, want)
		}
		links := 2
		for _, ch := range h.of(espial.PeerAdded, espial.PeerRemoved, espial.Connected, espial.Disconnected) {
			switch ch.Kind {
			case espial.PeerAdded:
				links++
			case espial.PeerRemoved:
				links--
			case espial.Connected:
				if links != 1 {
					c.Errorf("connected with %d links, want the first", links)
				}
			default:
				if links != 0 {
					c.Errorf("disconnected with %d links", links)
				}
			}
		}
	})
}

// Close takes 250 ms at most, whatever the others do, and they see a goodbye.
func TestCloseIsQuickAndSaysGoodbye(t *testing.T) {
	inCluster(t, 4, func(c *cluster) {
		all := c.watchAll()
		c.net.Pause(ip(3)) // takes no goodbye, and must not delay it for the others
		began := time.Now()
		if err := c.nodes[0].Close(); err != nil {
			c.Errorf("Close = %v", err)
		}
		if took := time.Since(began); took > 250*time.Millisecond {
			c.Errorf("Close took %v, want at most 250ms", took)
		}
		if err := c.nodes[0].Close(); err != nil {
			c.Errorf("a second Close = %v", err)
		}
		select {
		case <-c.nodes[0].Done():
		default:
			c.Error("Done is open after Close")
		}
		time.Sleep(100 * time.Millisecond)
		c.net.Resume(ip(3))
		time.Sleep(time.Second)
		for i, h := range all[1:] {
			got := h.of(espial.RemovedNode)
			if len(got) != 1 || got[0].Cause != espial.CauseLeft {
				c.Errorf("node %d: %+v, want one removed_node, left", i+1, got)
			}
		}
	})
}

// The end of Start's context is Close; a context that has ended starts nothing.
func TestContextOfStartIsTheLifeOfTheNode(t *testing.T) {
	empty(t, func(c *cluster) {
		watcher := c.watch(c.start(espial.Config{}))
		host := espial.Host{Net: c.net, IP: ip(1)}
		ctx, cancel := context.WithCancel(c.Context())
		n, err := espial.StartOn(ctx, host, espial.Config{Cluster: "test"})
		if err != nil {
			c.Fatal(err)
		}
		if err := n.WaitFor(c.Context(), 2); err != nil {
			c.Fatal(err)
		}
		began := time.Now()
		cancel()
		<-n.Done()
		if took := time.Since(began); took > 250*time.Millisecond {
			c.Errorf("the node ended %v after its context", took)
		}
		if err := n.Close(); err != nil {
			c.Errorf("Close afterwards = %v", err)
		}
		time.Sleep(100 * time.Millisecond)
		if got := watcher.of(espial.RemovedNode); len(got) != 1 || got[0].Cause != espial.CauseLeft {
			c.Errorf("the other saw %+v, want left", got)
		}
		if _, err := espial.StartOn(ctx, host, espial.Config{Cluster: "test"}); !errors.Is(err, context.Canceled) {
			c.Errorf("Start with an ended context = %v, want %v", err, context.Canceled)
		}
	})
}

// Leave returns when every member has what was published before.
func TestLeaveDrains(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		ears := []*ear{c.listen(c.nodes[1], ">", espial.QueueMax(5000)), c.listen(c.nodes[2], ">", espial.QueueMax(5000))}
		const count = 2000
		for i := range count {
			payload := fmt.Appendf(make([]byte, 0, 512), "%0500d", i)
			if err := c.nodes[0].Publish(c.Context(), "orders.placed", payload); err != nil {
				c.Fatal(err)
			}
		}
		if err := c.nodes[0].Leave(c.Context()); err != nil {
			c.Errorf("Leave = %v", err)
		}
		for i, e := range ears {
			if got := len(e.heard()); got != count {
				c.Errorf("node %d has %d of %d events when Leave returned", i+1, got, count)
			}
		}
	})
}

// Leave gives up with its context, says so, and the node has ended all the same.
func TestLeaveThatCannotDrainEndsWithItsContext(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.net.Pause(ip(1))
		if err := c.nodes[0].Publish(c.Context(), "orders.placed", nil); err != nil {
			c.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(c.Context(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := c.nodes[0].Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
			c.Errorf("Leave = %v, want %v", err, context.DeadlineExceeded)
		}
		if took := time.Since(began); took > 800*time.Millisecond {
			c.Errorf("Leave took %v, want 500ms and a goodbye", took)
		}
		<-c.nodes[0].Done()
		c.net.Resume(ip(1))
	})
}

// Whatever is asked of a node that ended, the answer satisfies net.ErrClosed, or is
// empty; nothing hangs and nothing panics.
func TestUseAfterClose(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		n, ctx := c.nodes[0], c.Context()
		open := n.Subscribe(ctx, ">")
		running := n.Changes(ctx)
		if err := n.Close(); err != nil {
			c.Fatal(err)
		}
		var subscribed error
		for _, err := range n.Subscribe(ctx, ">") {
			subscribed = err
		}
		errs := map[string]error{
			"Publish":        n.Publish(ctx, "orders.placed", nil),
			"Publish others": n.Publish(ctx, "orders.placed", nil, espial.Others()),
			"Publish only":   n.Publish(ctx, "orders.placed", nil, espial.Only(c.nodes[1].ID())),
			"Publish self":   n.Publish(ctx, "orders.placed", nil, espial.Only(n.ID())),
			"SetMetadata":    n.SetMetadata(ctx, map[string]string{"a": "b"}),
			"Publish named":  n.Publish(ctx, "orders.placed", nil, espial.Named("*")),
			"Publish leader": n.Publish(ctx, "orders.placed", nil, espial.Leader()),
			"WaitFor":        n.WaitFor(ctx, 3),
			"Subscribe":      subscribed,
			"Call":           last(n.Call(ctx, "orders.place", espial.Only(c.nodes[1].ID()), nil)),
			"Call named":     last(n.Call(ctx, "orders.place", espial.Named("*"), nil)),
			"Serve":          second(n.Serve("orders.place", echo)),
			"Promote":        n.Promote(ctx, c.nodes[1].ID()),
			"Resign":         n.Resign(ctx),
			"SetEligible":    n.SetEligible(ctx, false),
			"SetFit":         n.SetFit(ctx, false),
			"Election":       n.Election("billing", espial.Available()).Err(),
			"AddPeer":        n.AddPeer(ctx, c.nodes[1].ID().String()),
		}
		for a := range n.Gather(ctx, "orders.place", espial.All(), nil) {
			errs["Gather of "+a.From.Name] = a.Err
		}
		for name, err := range errs {
			if !errors.Is(err, espial.ErrClosed) || !errors.Is(err, net.ErrClosed) {
				c.Errorf("%s = %v, want ErrClosed", name, err)
			}
		}
		if err := n.Leave(ctx); err != nil {
			c.Errorf("Leave = %v, want nil: it left", err)
		}
		for e, err := range open {
			c.Errorf("the open subscription yields %v, %v; want its end", e, err)
		}
		for range running { // what was queued, and then the end
		}
		for range n.Changes(ctx) {
			c.Error("Changes yields after Close")
		}
		for range n.Peers() {
			c.Error("Peers yields after Close")
		}
		if s := n.Status(); s.ID != n.ID() || n.Self().ID != n.ID() {
			c.Errorf("Status is of %v and Self of %v", s.ID, n.Self().ID)
		}
		if b, err := json.Marshal(n.Status()); err != nil || strings.Contains(string(b), "null") {
			c.Errorf("the status is %s, %v; want an object for every object", b, err)
		}
	})
}

// Loops that end early, contexts that end and iterators that nobody ranges over leave
// nothing behind: the bubble fails on a goroutine that stays.
func TestAbandonedIteratorsLeaveNothingBehind(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		n := c.nodes[0]
		ctx, cancel := context.WithCancel(c.Context())
		_ = n.Subscribe(ctx, ">")
		late := n.Changes(ctx) // ranged over when its context has ended
		for range n.Changes(ctx) {
			break
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range n.Subscribe(ctx, ">") {
			}
			for range n.Changes(ctx) {
			}
		}()
		time.Sleep(time.Second)
		cancel()
		<-done
		if err := n.Publish(c.Context(), "orders.placed", make([]byte, 1000)); err != nil {
			c.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := n.Status().Queues["subscriptions"]; got != 0 {
			c.Errorf("%d events wait in subscriptions that ended", got)
		}
		if err := c.nodes[1].SetMetadata(c.Context(), map[string]string{"a": "b"}); err != nil {
			c.Fatal(err)
		}
		time.Sleep(time.Second)
		for change := range late {
			if change.Kind == espial.UpdatedNode {
				c.Errorf("an iterator that ended goes on gathering: %v", change.Kind)
			}
		}
	})
}
