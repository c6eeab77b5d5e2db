package gossip_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

// large runs the simulations with 10,000 nodes, too: go test ./internal/gossip -gossip.large.
var large = flag.Bool("gossip.large", false, "run the simulations of broadcasts with 10,000 nodes, too")

// sizes calls f with the number of nodes of each simulation that is to run.
func sizes(t *testing.T, f func(t *testing.T, n int)) {
	small := 1000
	if raceEnabled {
		small = 200
	}
	t.Run(fmt.Sprint(small), func(t *testing.T) { t.Parallel(); f(t, small) })
	t.Run("10000", func(t *testing.T) {
		if !*large {
			t.Skip("a minute of a core: make sim runs it, with -gossip.large")
		}
		f(t, 10_000)
	})
}

// mesh returns a network in which all run, know each other and have their links.
func mesh(seed uint64, n int) *network {
	w := newNetwork(seed, n)
	members := make([]gossip.Member, 0, n)
	for slot := range n {
		w.at(w.now.Add(w.below(gossip.DigestInterval)), func() {
			p := w.boot(slot)
			p.hops, p.arrived = map[ident.Seq]int{}, map[ident.Seq]time.Time{}
			members = append(members, p.self)
		})
	}
	w.run(gossip.DigestInterval)
	slices.SortFunc(members, byID)
	g := rings(members)
	for _, p := range w.procs {
		p.view, p.graph = members, g
		p.r.View(w.now, g)
	}
	for i, links := range g.Links {
		for _, to := range links {
			w.connect(w.procs[w.slots[members[i].ID]], w.procs[w.slots[members[to].ID]])
		}
	}
	return w
}

// publish lets a process publish a batch.
func (p *proc) publish(pieces ...piece) {
	b := p.writer.batch(pieces...)
	p.net.books[p.self].add(p.net.now, b)
	p.r.Publish(p.net.now, b)
	if p.hops != nil {
		p.hops[b.First], p.arrived[b.First] = 0, p.net.now
	}
	p.carryOut(0)
}

// reached returns who got what a process published last, as times after it and as hops,
// both ascending.
func (w *network) reached(from *proc) (after []time.Duration, hops []int) {
	b := w.books[from.self].batches
	first := b[len(b)-1].First
	for _, p := range w.procs {
		if at, ok := p.arrived[first]; ok && !p.dead && p != from {
			after = append(after, at.Sub(from.arrived[first]))
			hops = append(hops, p.hops[first])
		}
		clear(p.hops)
		if p != from {
			clear(p.arrived)
		}
	}
	slices.Sort(after)
	slices.Sort(hops)
	return after, hops
}

// connected counts the living that have a way from a process over living ones, itself
// included.
func (w *network) connected(from *proc) int {
	seen := map[*proc]bool{from: true}
	for queue := []*proc{from}; len(queue) > 0; queue = queue[1:] {
		for _, l := range queue[0].links {
			if !l.peer.dead && !seen[l.peer] {
				seen[l.peer] = true
				queue = append(queue, l.peer)
			}
		}
	}
	return len(seen)
}

// A broadcast costs each node one payload and reaches all within eight hops.
func TestBroadcastsCostOnePayload(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		const messages = 5
		w := mesh(1, n)
		var hops []int
		var slowest time.Duration
		for i := range messages {
			from := w.procs[i*(n/messages)]
			from.publish(piece{count: 1, size: 100})
			w.run(250 * time.Millisecond)
			a, h := w.reached(from)
			if len(h) != n-1 {
				t.Errorf("message %d reached %d of %d", i, len(h), n-1)
			}
			slowest = max(slowest, a[len(a)-1])
			hops = append(hops, h...)
		}
		slices.Sort(hops)
		payloads := float64(w.payloads) / float64(messages*n)
		p99 := hops[len(hops)*99/100]
		t.Logf("%d nodes: %.4f payloads a node, hops p50 %d, p99 %d, max %d, slowest %v, %.0f marks a node and message",
			n, payloads, hops[len(hops)/2], p99, hops[len(hops)-1], slowest, float64(w.marks)/float64(messages*n))
		if payloads > 1.1 {
			t.Errorf("%.3f payloads a node, want 1.1 at most", payloads)
		}
		if p99 > 8 {
			t.Errorf("p99 of %d hops, want 8 at most", p99)
		}
	})
}

// When 30 % crash at once and nobody has noticed, the next message reaches those that still
// have a way to each other.
func TestSurvivorsOfACrashAreRepaired(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		w := mesh(2, n)
		w.procs[0].publish(piece{count: 1, size: 100})
		w.run(500 * time.Millisecond)
		if after, _ := w.reached(w.procs[0]); len(after) != n-1 {
			t.Fatalf("before the crash a message reached %d of %d", len(after), n-1)
		}
		for _, slot := range w.rand.Perm(n)[:n*3/10] {
			w.procs[slot].dead = slot != 1
		}
		from := w.procs[1]
		before := w.payloads
		from.publish(piece{count: 1, size: 100})
		w.run(250 * time.Millisecond)
		after, hops := w.reached(from)
		want := w.connected(from) - 1
		early, _ := slices.BinarySearch(after, 10*time.Millisecond)
		t.Logf("%d nodes: %d of %d connected survivors, %d of them within 10 ms, p99 %v, last %v, %.3f payloads, %d hops",
			n, len(after), want, early, after[len(after)*99/100], after[len(after)-1],
			float64(w.payloads-before)/float64(want), hops[len(hops)-1])
		if float64(len(after)) < 0.999*float64(want) {
			t.Errorf("%d of %d connected survivors within 250 ms, want 99.9 %%", len(after), want)
		}
	})
}
