package espial_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/memnet"
)

// times returns how often a test repeats what depends on the order of goroutines.
func times(full int) int {
	if testing.Short() {
		return max(1, full/10)
	}
	return full
}

// A01: 32 nodes that start within 100 ms see each other within 5 s, each of the others
// once.
func TestManyNodesStartTogether(t *testing.T) {
	count := 32
	if raceEnabled {
		count = 16 // 496 handshakes cost the race detector ten seconds
	}
	empty(t, func(c *cluster) {
		var all []*history
		began := time.Now()
		for range count {
			all = append(all, c.watch(c.start(espial.Config{})))
			time.Sleep(3 * time.Millisecond)
		}
		c.within(5*time.Second-time.Since(began), "equal views", func() bool { return whole(c.nodes) })
		t.Logf("whole after %v", time.Since(began))
		for i, h := range all {
			seen := map[espial.NodeID]int{}
			for _, ch := range h.of(espial.AddedNode) {
				seen[ch.Member.ID]++
			}
			if len(seen) != count-1 || h.count(espial.AddedNode) != count-1 {
				c.Errorf("node %d added %d nodes in %d changes, want %d of each", i, len(seen),
					h.count(espial.AddedNode), count-1)
			}
		}
		c.quiet(all, espial.RemovedNode, espial.SuspectedNode, espial.PeerRemoved, espial.NodeRejected)
	})
}

// A02: a goodbye is known everywhere within a second, as a goodbye, and suspects nobody.
func TestGoodbyeIsKnownEverywhereAtOnce(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		all := c.watchAll()[:4]
		leaver := c.nodes[4]
		if err := leaver.Leave(c.Context()); err != nil {
			c.Errorf("Leave = %v", err)
		}
		time.Sleep(time.Second)
		for i, h := range all {
			got := h.of(espial.RemovedNode)
			if len(got) != 1 || got[0].Cause != espial.CauseLeft || got[0].Member.ID != leaver.ID() {
				c.Errorf("node %d removed %+v, want the leaver, left", i, got)
			}
		}
		time.Sleep(10 * time.Second)
		c.quiet(all, espial.SuspectedNode)
		if !whole(c.nodes[:4]) {
			c.Error("the survivors are not whole")
		}
	})
}

// A05: a pause of 1.5 s removes nobody, neither there nor here.
func TestShortPauseRemovesNobody(t *testing.T) {
	for range times(20) {
		inCluster(t, 5, func(c *cluster) {
			all := c.watchAll()
			c.net.Pause(ip(4))
			time.Sleep(1500 * time.Millisecond)
			c.net.Resume(ip(4))
			time.Sleep(10 * time.Second)
			c.quiet(all, espial.RemovedNode)
			if !whole(c.nodes) {
				c.Error("the cluster is not whole after the pause")
			}
		})
	}
}

// A12: a cut in one direction between two nodes that all others reach removes nobody, and
// what one publishes reaches the other by way of those as soon as the link is down.
func TestOneWayCutRemovesNobody(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		all := c.watchAll()
		e := c.listen(c.nodes[1], "orders.*")
		c.net.CutOneWay(ip(0), ip(1))
		var want []string
		for i := range 20 {
			if err := c.nodes[0].Publish(c.Context(), "orders.placed", fmt.Append(nil, i)); err != nil {
				c.Fatal(err)
			}
			want = append(want, fmt.Sprintf("orders.placed %d", i))
			time.Sleep(time.Second)
		}
		c.quiet(all, espial.RemovedNode)
		if got := slices.Collect(c.nodes[0].Peers()); len(got) != 3 {
			c.Errorf("node 0 shows %d links, want 3: the one that is cut is down", len(got))
		}
		if err := c.nodes[0].WaitFor(c.Context(), 5); err != nil {
			c.Errorf("WaitFor = %v, although others reach the node without a link", err)
		}
		if got := e.heard(); !slices.Equal(got, want) {
			c.Errorf("during the cut node 1 heard %q, want all 20 in order", got)
		}
		c.net.Heal()
		c.within(5*time.Second, "the link is back", func() bool { return whole(c.nodes) })
		time.Sleep(time.Second)
		if got := e.heard(); !slices.Equal(got, want) {
			c.Errorf("node 1 heard %q, want all 20 in order", got)
		}
		c.quiet(all, espial.RemovedNode)
	})
}

// A14: a node that hears nothing for 20 s out of 40 comes and goes once for each, and
// nobody else does.
func TestFlappingNodeDisturbsNobodyElse(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		all := c.watchAll()
		deaf := c.nodes[4]
		const turns = 3
		for range turns {
			for i := range 4 {
				c.net.CutOneWay(ip(i), ip(4))
			}
			time.Sleep(20 * time.Second)
			c.net.Heal()
			time.Sleep(20 * time.Second)
		}
		for i, h := range all[:4] {
			for _, ch := range h.of(espial.RemovedNode) {
				if ch.Member.ID != deaf.ID() {
					c.Errorf("node %d removed the healthy %s", i, ch.Member.Name)
				}
			}
			if n := h.about(deaf.ID(), espial.RemovedNode); n > turns {
				c.Errorf("node %d removed the deaf node %d times in %d turns", i, n, turns)
			}
		}
		if !whole(c.nodes) {
			c.Error("the cluster is not whole after the last turn")
		}
	})
}

// A15: without multicast nothing changes for who is a member, and a new node joins by a
// seed and only by one.
func TestWithoutMulticastOnlyASeedLeadsIn(t *testing.T) {
	off := espial.Multicast{Off: true}
	empty(t, func(c *cluster) {
		c.start(espial.Config{Multicast: off})
		for range 7 {
			c.start(espial.Config{Multicast: off, Seeds: seeds(1)})
		}
		c.meet(8)
		all := c.watchAll()
		lost := c.start(espial.Config{}) // its beacons reach nobody
		time.Sleep(20 * time.Second)
		if s := lost.Status(); s.Members != 1 {
			c.Errorf("a node without a seed has %d members, want itself alone", s.Members)
		}
		c.quiet(all, espial.RemovedNode, espial.SuspectedNode)
		found := c.start(espial.Config{Multicast: off, Seeds: seeds(1)})
		if err := found.WaitFor(c.Context(), 9); err != nil {
			c.Error(err)
		}
	})
}

// TestWhoNamedAMemberFirst: each node tells of each member which source that was, and lists
// who came last behind the others.
func TestWhoNamedAMemberFirst(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		told := c.watch(c.nodes[0])
		c.start(espial.Config{Multicast: espial.Multicast{Off: true}, Seeds: seeds(1)})
		c.meet(3)
		want := map[string]string{
			"node-0 of node-1": "multicast", "node-0 of node-2": "inbound",
			"node-1 of node-0": "multicast", "node-1 of node-2": "peer",
			"node-2 of node-0": "seed", "node-2 of node-1": "peer",
		}
		got := map[string]string{}
		for _, n := range c.nodes {
			var last string
			for m := range n.Members() {
				if last = m.Name; !m.Self {
					got[n.Name()+" of "+m.Name] = m.FoundBy
				}
			}
			if last != "node-2" {
				t.Errorf("%s lists %s last, want the newcomer", n.Name(), last)
			}
		}
		for _, of := range []string{"node-0 of node-1", "node-1 of node-0"} {
			if got[of] == "inbound" { // one of the two may be dialled before it hears of the other
				want[of] = "inbound"
				break
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("members were named by %v, want %v", got, want)
		}
		for _, ch := range told.of(espial.AddedNode) {
			if of := "node-0 of " + ch.Member.Name; ch.Source != want[of] {
				t.Errorf("%s: the change says %q, want %q", of, ch.Source, want[of])
			}
		}
	})
}

// TestPeersTellOfTheirLinks: where the other end is, since when, how long the way is, and what
// went over it.
func TestPeersTellOfTheirLinks(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		began := time.Now()
		time.Sleep(time.Minute)
		before := map[string]espial.Peer{}
		for i, n := range c.nodes {
			for p := range n.Peers() {
				before[n.Name()] = p
				if p.ID != c.nodes[1-i].ID() || p.Addr.Addr() != ip(1-i) || !p.Addr.IsValid() {
					t.Errorf("%s has a link with %s at %v", n.Name(), p.Name, p.Addr)
				}
				if p.Since.After(began.Add(time.Second)) || time.Since(p.Since) > 61*time.Second {
					t.Errorf("%s: the link is %v old, want a minute", n.Name(), time.Since(p.Since))
				}
				if p.RTT < 400*time.Microsecond || p.RTT > time.Millisecond { // 200 to 400 µs each way
					t.Errorf("%s: the round trip takes %v", n.Name(), p.RTT)
				}
				if !strings.HasPrefix(p.Cipher, "TLS_") {
					t.Errorf("%s: the cipher is %q", n.Name(), p.Cipher)
				}
			}
			for m := range n.Members() {
				if m.RTT != before[n.Name()].RTT && !m.Self || m.RTT != 0 && m.Self {
					t.Errorf("%s: the round trip to %s takes %v, that of the link %v", n.Name(), m.Name, m.RTT, before[n.Name()].RTT)
				}
			}
		}
		c.publish(c.nodes[0], 1, 1, 100_000)
		time.Sleep(100 * time.Millisecond)
		sent, received := uint64(0), uint64(0)
		for p := range c.nodes[0].Peers() {
			sent = p.SentBytes - before["node-0"].SentBytes
		}
		for p := range c.nodes[1].Peers() {
			received = p.ReceivedBytes - before["node-1"].ReceivedBytes
		}
		if min(sent, received) < 100_000 || max(sent, received) > 102_000 { // probes are counted as well
			t.Errorf("an event of 100,000 bytes: %d were sent, and %d received", sent, received)
		}
	})
}

// A20: the same key in a new process: everywhere the old incarnation is removed before
// the new one is added, and nothing of the old session reaches the new process.
func TestRestartHidesTheOldSession(t *testing.T) {
	empty(t, func(c *cluster) {
		key := c.TempDir() + "/key.pem"
		writeKey(c.T, key)
		for range 4 {
			c.start(espial.Config{})
		}
		old := c.start(espial.Config{KeyFile: key, Name: "same"})
		c.meet(5)
		all := c.watchAll()[:4]
		c.net.Down(ip(4))
		for i := range 10 { // to a process that is gone, before anybody knows
			_ = c.nodes[0].Publish(c.Context(), "orders.placed", fmt.Append(nil, i))
			_ = c.nodes[0].Publish(c.Context(), "orders.placed", fmt.Append(nil, i), espial.Only(old.ID()))
		}
		c.net.Up(ip(4))
		fresh, err := espial.StartOn(c.Context(), espial.Host{Net: c.net, IP: ip(4)},
			espial.Config{Cluster: "test", Name: "same", KeyFile: key})
		if err != nil {
			c.Fatal(err)
		}
		c.nodes = append(c.nodes, fresh)
		e := c.listen(fresh, ">")
		c.within(500*time.Millisecond, "all are back", func() bool { return whole(append(c.nodes[:4:4], fresh)) })
		time.Sleep(5 * time.Second)
		if got := e.heard(); len(got) > 0 {
			c.Errorf("the new process heard %q of the old session", got)
		}
		for i, h := range all {
			var steps []string
			for _, ch := range h.of(espial.AddedNode, espial.RemovedNode) {
				if ch.Member.ID == fresh.ID() {
					steps = append(steps, fmt.Sprint(ch.Kind, ch.Member.Incarnation == fresh.Self().Incarnation))
				}
			}
			want := []string{"added_nodefalse", "removed_nodefalse", "added_nodetrue"}
			if !slices.Equal(steps, want) {
				c.Errorf("node %d: %v, want %v", i, steps, want)
			}
		}
	})
}

// A21: nodes come and go for two minutes; ten seconds after it ends the views are equal
// and without ghosts.
func TestChurnLeavesNoGhosts(t *testing.T) {
	empty(t, func(c *cluster) {
		for range 8 {
			c.start(espial.Config{})
		}
		c.meet(8)
		alive := slices.Clone(c.nodes)
		for round := range 12 {
			gone := alive[round%len(alive)]
			alive = slices.DeleteFunc(alive, func(n *espial.Node) bool { return n == gone })
			if round%2 == 0 {
				_ = gone.Close()
			} else {
				c.net.Down(ip(slices.Index(c.nodes, gone)))
			}
			time.Sleep(5 * time.Second)
			alive = append(alive, c.start(espial.Config{}))
			time.Sleep(5 * time.Second)
		}
		c.within(10*time.Second, "equal views without ghosts", func() bool { return whole(alive) })
	})
}

// A24: two nodes that dial each other at the same instant end with one link, seen once by
// each, and lose and repeat nothing.
func TestSimultaneousDialsEndInOneLink(t *testing.T) {
	for range times(20) {
		empty(t, func(c *cluster) {
			var all []*history
			var ears []*ear
			for i := range 2 {
				n := c.start(espial.Config{
					Seeds: []string{seed(1 - i)}, Multicast: espial.Multicast{Off: true},
				})
				all, ears = append(all, c.watch(n)), append(ears, c.listen(n, "orders.*"))
			}
			c.meet(2)
			var want []string
			for i := range 50 {
				text := fmt.Sprint("orders.placed ", i)
				want = append(want, text)
				for _, n := range c.nodes {
					if err := n.Publish(c.Context(), "orders.placed", fmt.Append(nil, i), espial.Others()); err != nil {
						c.Fatal(err)
					}
				}
				time.Sleep(20 * time.Millisecond)
			}
			time.Sleep(5 * time.Second)
			for i, h := range all {
				steps := h.kinds(espial.NodeAccepted, espial.AddedNode, espial.PeerAdded, espial.PeerRemoved,
					espial.RemovedNode, espial.NodeRejected, espial.SuspectedNode)
				if steps != "node_accepted added_node peer_added" {
					c.Errorf("node %d: %s, want one link", i, steps)
				}
				if got := ears[i].heard(); !slices.Equal(got, want) {
					c.Errorf("node %d heard %q, want 0 to 49 in order", i, got)
				}
			}
			if !whole(c.nodes) {
				c.Error("the two are not linked once")
			}
		})
	}
}

// A26: the filter sees an IPv4 address as one, also when the listener is dual-stack and
// the system shows it inside IPv6.
func TestFilterSeesMappedAddressesAsIPv4(t *testing.T) {
	empty(t, func(c *cluster) {
		var mu sync.Mutex
		var seen []netip.Addr
		n, err := espial.StartOn(c.Context(), espial.Host{Net: c.net, IP: ip(0), Mapped: true}, espial.Config{
			Cluster: "test", Multicast: espial.Multicast{Off: true},
			Admit: func(_ context.Context, v espial.Verified, _ espial.Claimed) error {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, v.Addr.Addr())
				return nil
			},
		})
		if err != nil {
			c.Fatal(err)
		}
		c.nodes = append(c.nodes, n)
		c.start(espial.Config{Seeds: seeds(1)})
		c.meet(2)
		mu.Lock()
		defer mu.Unlock()
		if len(seen) == 0 || seen[0] != ip(1) {
			c.Errorf("the filter saw %v, want %v", seen, ip(1))
		}
	})
}

// A28: two clusters on one network and one multicast group do not dial each other.
func TestTwoClustersOnOneSegmentDoNotDial(t *testing.T) {
	empty(t, func(c *cluster) {
		for i := range 4 {
			c.start(espial.Config{Cluster: []string{"red", "blue"}[i%2]})
		}
		time.Sleep(30 * time.Second)
		if !whole([]*espial.Node{c.nodes[0], c.nodes[2]}) || !whole([]*espial.Node{c.nodes[1], c.nodes[3]}) {
			c.Error("the clusters are not two of two")
		}
		if got := c.net.Stats().Conns; got != 2 {
			c.Errorf("%d connections were opened, want one in each cluster", got)
		}
	})
}

// A29: a cluster that is restarted all at once is whole again within 15 s, and nobody
// dials more often than the budget allows.
func TestRestartOfAllAtOnceConverges(t *testing.T) {
	const count = 16
	inCluster(t, count, func(c *cluster) {
		for i := range count {
			c.net.Down(ip(i))
		}
		old := c.nodes
		for _, n := range old {
			_ = n.Close()
		}
		before := c.net.Stats().Conns
		c.nodes = nil
		for i := range count {
			c.net.Up(ip(i))
			c.start(espial.Config{Seeds: seeds(count)})
		}
		began := time.Now()
		c.within(15*time.Second, "whole again", func() bool { return whole(c.nodes) })
		took := time.Since(began)
		dials := c.net.Stats().Conns - before
		if budget := uint64(count * 10 * (1 + took.Seconds())); dials > budget {
			c.Errorf("%d dials within %v, want at most %d: ten a second and node", dials, took, budget)
		}
		t.Logf("whole after %v and %d connections", took, dials)
	})
}

// The clock of every bubble says that it is the year 2000, before any certificate of a
// node was made: links come up all the same (A19). See TestNothingDecidesByTheWallClock
// for the rest.
func TestWrongYearHindersNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if year := time.Now().Year(); year != 2000 {
			t.Fatalf("the year is %d", year)
		}
		c := &cluster{T: t, net: memnet.New(1)}
		defer c.close()
		c.start(espial.Config{})
		c.start(espial.Config{})
		c.meet(2)
	})
}
