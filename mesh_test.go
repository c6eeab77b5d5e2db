package espial_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// linksMax is how many links a node of [inFifty] has at most.
const linksMax = 5

// fifty is how many nodes such a cluster has: what fifty nodes sign and verify costs the race
// detector too much.
func fifty() int {
	if raceEnabled {
		return 16
	}
	return 50
}

// inFifty runs f in a cluster of fifty nodes with three to five links each. They start at once,
// find each other by multicast, and nobody is removed or refused by that, nor suspected but by chance.
func inFifty(t *testing.T, f func(c *cluster, all []*history)) {
	t.Helper()
	empty(t, func(c *cluster) {
		var all []*history
		for range fifty() {
			all = append(all, c.watch(c.start(espial.Config{MinPeers: 3, MaxPeers: linksMax})))
		}
		c.within(5*time.Second, "one mesh", func() bool { return meshed(c.nodes) })
		time.Sleep(3 * time.Second)
		c.quiet(all, espial.RemovedNode, espial.NodeRejected)
		suspicions := 0
		for _, h := range all {
			suspicions += h.count(espial.SuspectedNode)
		}
		if suspicions > 5 { // of links that gave way to newcomers and were not back in time
			c.Errorf("%d suspicions among nodes that start together, want next to none", suspicions)
		}
		f(c, all)
	})
}

// meshed reports whether each of the nodes lists exactly these, alive, and their links make one
// network of them.
func meshed(nodes []*espial.Node) bool {
	known := map[espial.NodeID]bool{}
	for _, n := range nodes {
		known[n.ID()] = true
	}
	for _, n := range nodes {
		count := 0
		for m := range n.Members() {
			if !known[m.ID] || m.State != espial.Alive {
				return false
			}
			count++
		}
		if count != len(nodes) {
			return false
		}
	}
	return united(nodes)
}

// united reports whether the links of the nodes make one network of them. A link counts that
// both ends show.
func united(nodes []*espial.Node) bool {
	peers := map[espial.NodeID]map[espial.NodeID]bool{}
	for _, n := range nodes {
		peers[n.ID()] = map[espial.NodeID]bool{}
		for p := range n.Peers() {
			peers[n.ID()][p.ID] = true
		}
	}
	reached := []espial.NodeID{nodes[0].ID()}
	for i := 0; i < len(reached); i++ {
		for id := range peers[reached[i]] {
			if peers[id][reached[i]] && !slices.Contains(reached, id) {
				reached = append(reached, id)
			}
		}
	}
	return len(reached) == len(nodes)
}

// most returns the most links that a node ever had at once, by its changes.
func (h *history) most() (most int) {
	now := 0
	for _, ch := range h.of(espial.PeerAdded, espial.PeerRemoved) {
		if ch.Kind == espial.PeerAdded {
			now++
		} else {
			now--
		}
		most = max(most, now)
	}
	return most
}

// by returns the broadcasts of one node that a stream has.
func (s *stream) by(n *espial.Node) (payloads []string) {
	s.got(false) // waits
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.From.ID == n.ID() {
			payloads = append(payloads, strings.TrimRight(string(e.Data), " "))
		}
	}
	return payloads
}

// A23, and D1 to D6 for broadcasts: 40 % of the nodes are killed at once while links break and
// several nodes publish. The survivors are one network again, list each other and nobody else,
// never have more links than they may, and miss nothing of what survivors published.
func TestFortyPercentOfAMeshAreKilledAtOnce(t *testing.T) {
	inFifty(t, func(c *cluster, all []*history) {
		var streams []*stream
		for _, n := range c.nodes {
			streams = append(streams, c.collect(n, "t", espial.QueueMax(1<<20)))
		}
		last := len(c.nodes) * 6 / 10
		alive, dead := c.nodes[:last], c.nodes[last:]
		origins := append(slices.Clone(alive[:5]), dead[0])
		var killed time.Time
		sent := 0
		for tick := range 200 { // 10 s
			for i, n := range origins {
				if i < 5 || killed.IsZero() {
					c.publish(n, sent, sent, 8)
				}
			}
			sent++
			if tick%10 == 5 {
				c.net.Reset(ip(tick/10%last), ip((tick/10*7+3)%last))
			}
			if tick == 40 {
				killed = time.Now()
				for i := range dead {
					c.net.Down(ip(last + i))
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
		c.within(30*time.Second-time.Since(killed), "the survivors are one mesh", func() bool { return meshed(alive) })
		time.Sleep(5 * time.Second)
		for i, h := range all[:last] {
			if n := h.most(); n > linksMax {
				c.Errorf("node %d had %d links, want at most %d", i, n, linksMax)
			}
			for k, o := range origins[:5] {
				c.same(fmt.Sprintf("events of node %d at node %d", k, i), streams[i].by(o), numbers(0, sent-1))
			}
			if got := streams[i].by(dead[0]); !slices.Equal(got, numbers(0, len(got)-1)) {
				c.Errorf("node %d has %q of a node that was killed, not the first ones in order", i, got)
			}
			for _, l := range streams[i].lagged {
				if l.From != dead[0].ID() {
					c.Errorf("node %d lost %d events of %v", i, l.Count, l.From)
				}
			}
		}
	})
}

// A21: nodes come and go for a minute, by a goodbye or killed. Ten seconds later the views are
// equal and without ghosts, and who was there all the time missed nothing.
func TestChurnInAMesh(t *testing.T) {
	inFifty(t, func(c *cluster, _ []*history) {
		first := c.nodes[0]
		s := c.collect(c.nodes[1], "t", espial.QueueMax(1<<20))
		alive := slices.Clone(c.nodes)
		sent := 0
		for round := range 12 {
			gone := alive[2+round%len(alive[2:])]
			alive = slices.DeleteFunc(alive, func(n *espial.Node) bool { return n == gone })
			if round%2 == 0 {
				_ = gone.Close()
			} else {
				c.net.Down(ip(slices.Index(c.nodes, gone)))
			}
			for range 50 {
				c.publish(first, sent, sent, 8)
				sent++
				time.Sleep(50 * time.Millisecond)
			}
			alive = append(alive, c.start(espial.Config{MinPeers: 3, MaxPeers: linksMax}))
			time.Sleep(2500 * time.Millisecond)
		}
		c.within(10*time.Second, "equal views without ghosts", func() bool { return meshed(alive) })
		c.same("events", s.by(first), numbers(0, sent-1))
		for i, n := range alive {
			if got := n.Status().Peers; got > linksMax {
				c.Errorf("node %d has %d links, want at most %d", i, got, linksMax)
			}
		}
	})
}

// gapless checks that a stream has the numbers from 0 that one node broadcast, in order and
// once, but for what was reported lost. It returns how often that was, and how many.
func (c *cluster) gapless(what string, s *stream, o *espial.Node, count int) (times int, lost uint64) {
	c.Helper()
	got, last := s.by(o), -1
	for _, word := range got {
		n, err := strconv.Atoi(word)
		if err != nil || n <= last {
			c.Fatalf("%s: %q after %d", what, word, last)
		}
		last = n
	}
	for _, l := range s.lagged {
		if l.From == o.ID() {
			times++
			lost += l.Count
		}
	}
	if len(got)+int(lost) != count || last != count-1 {
		c.Errorf("%s: %d came and %d are lost of %d, the last one is %d", what, len(got), lost, count, last)
	}
	return times, lost
}

// C10: after a split of thirty seconds in the middle of a mesh everything is there that others
// keep, both ways; of more, each receiver is told once and exactly how much of each origin is
// missing. A node that the split cut off from its own half until it had other links is told as
// exactly, and more than once where it is behind what is still being published.
func TestASplitOfAMeshLosesNothingOrSaysHowMuch(t *testing.T) {
	for _, tt := range []struct {
		count, size int
		lost        bool
	}{{1000, 100, false}, {10_000, 1000, true}} {
		t.Run(fmt.Sprint(tt.count, " events"), func(t *testing.T) {
			if tt.lost && raceEnabled {
				t.Skip("400 MB of events cost the race detector half a minute")
			}
			inFifty(t, func(c *cluster, _ []*history) {
				half := len(c.nodes) / 2
				a, b := c.nodes[0], c.nodes[half]
				var all []*stream
				for _, n := range c.nodes {
					all = append(all, c.collect(n, "t", espial.QueueMax(1<<20)))
				}
				var side []netip.Addr
				for i := range half {
					side = append(side, ip(i))
				}
				c.net.Partition(side)
				split := time.Now()
				for i := range tt.count {
					c.publish(a, i, i, tt.size)
					c.publish(b, i, i, tt.size)
					if i%10 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
				time.Sleep(time.Until(split.Add(30 * time.Second)))
				c.net.Heal()
				healed := time.Now()
				c.within(10*time.Second, "one mesh again", func() bool { return meshed(c.nodes) })
				c.Logf("one mesh again after %v", time.Since(healed)) // 25 ms
				c.publish(a, tt.count, tt.count, 10)
				c.publish(b, tt.count, tt.count, 10)
				time.Sleep(5 * time.Second)
				for i, s := range all {
					for k, o := range []*espial.Node{a, b} {
						what := fmt.Sprintf("events of origin %d at node %d", k, i)
						times, lost := c.gapless(what, s, o, tt.count+1)
						switch far := (i < half) != (k == 0); {
						case !tt.lost && times > 0, tt.lost && far && times != 1:
							c.Errorf("%s: %d lost in %d reports, some lost: want %v", what, lost, times, tt.lost)
						}
					}
				}
			})
		})
	}
}
