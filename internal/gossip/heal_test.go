package gossip_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/gossip"
)

// divide gives each process the view of its side, and links that suit it. Without sides
// all see all.
func (w *network) divide(side func(slot int) int) {
	w.cut = func(a, b int) bool { return side(a) != side(b) }
	for _, p := range w.procs {
		for slot := range w.procs {
			if l := p.links[slot]; l != nil && w.cut(p.slot, slot) {
				p.disconnect(l)
			}
		}
	}
	for _, p := range w.procs {
		var view []gossip.Member
		for _, q := range w.procs {
			if !w.cut(p.slot, q.slot) {
				view = append(view, q.self)
			}
		}
		slices.SortFunc(view, byID)
		p.sees(view)
	}
	for _, p := range w.procs {
		at := slices.Index(p.view, p.self)
		for _, to := range p.graph.Links[at] {
			w.connect(p, w.procs[w.slots[p.view[to].ID]])
		}
	}
}

// Case C10: 50 nodes, a split of 30 s in which one of them publishes, then the heal. What
// the store reaches is repaired; of what is beyond each node is told once, exactly.
func TestASplitIsRepairedOrCounted(t *testing.T) {
	for _, tt := range []struct {
		messages  int
		delivered int // of the other side
	}{
		{1000, 1000},
		{10_000, 0}, // what fits in a quarter of the store
	} {
		t.Run(fmt.Sprint(tt.messages, " messages"), func(t *testing.T) {
			w := mesh(3, 50)
			from := w.procs[0]
			from.publish(piece{count: 1, size: 1000})
			w.run(time.Second)
			w.divide(func(slot int) int { return slot % 2 })
			for sent := 0; sent < tt.messages; sent += 10 {
				from.publish(piece{count: 10, size: 1000})
				w.run(30 * time.Second / time.Duration(tt.messages/10))
			}
			w.divide(func(int) int { return 0 })
			w.run(3 * time.Second)
			if len(w.violations) > 0 {
				t.Fatalf("%d violations, first %s", len(w.violations), w.violations[0])
			}
			kept := min(tt.messages, gossip.StoreMaxDefault/4/(10_000+500)*10)
			for _, p := range w.procs[1:] {
				r := p.readers[from.self]
				lost, told := 0, 0
				if p.slot%2 == 1 && kept < tt.messages {
					lost, told = tt.messages-kept, 1
				}
				if int(r.message) != tt.messages+1 || r.told != told ||
					int(r.lost) < lost-200 || int(r.lost) > lost+200 {
					t.Errorf("%d has come to message %d of %d, %d lost in %d parts; want about %d in %d",
						p.slot, r.message, tt.messages+1, r.lost, r.told, lost, told)
				}
			}
		})
	}
}

// Nodes that see different members derive different trees. That costs time and duplicates,
// not messages. Here one in twenty is a newcomer that half of the others see.
func TestViewsThatDisagreeCostNoMessages(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		w := mesh(4, n)
		all := w.procs[0].view
		newcomer := func(slot int) bool { return slot%20 == 19 }
		views := [][]gossip.Member{all} // the newcomers' own
		for range 10 {
			views = append(views, slices.DeleteFunc(slices.Clone(all), func(m gossip.Member) bool {
				return newcomer(w.slots[m.ID]) && w.rand.IntN(2) == 0
			}))
		}
		graphs := make([]*gossip.Graph, len(views))
		for i := range views {
			graphs[i] = rings(views[i])
		}
		for _, p := range w.procs {
			i := 1 + p.slot%(len(views)-1)
			if newcomer(p.slot) {
				i = 0
			}
			p.r.View(w.now, graphs[i])
			at, _ := slices.BinarySearchFunc(views[i], p.self, byID)
			for _, to := range graphs[i].Links[at] {
				w.connect(p, w.procs[w.slots[views[i][to].ID]])
			}
		}
		w.run(500 * time.Millisecond)
		const messages = 5
		before, early := w.payloads, 0
		for i := range messages {
			from := w.procs[i*(n/messages)]
			from.publish(piece{count: 1, size: 100})
			w.run(500 * time.Millisecond)
			after, _ := w.reached(from)
			at, _ := slices.BinarySearch(after, 10*time.Millisecond)
			early += at
			if len(after) != n-1 {
				t.Errorf("message %d reached %d of %d", i, len(after), n-1)
			}
		}
		share := float64(early) / float64(messages*(n-1))
		payloads := float64(w.payloads-before) / float64(messages*n)
		t.Logf("%d nodes: %.2f %% within 10 ms, %.2f payloads a node", n, 100*share, payloads)
		if share < 0.93 || payloads > 1.5 {
			t.Errorf("%.2f %% within 10 ms and %.2f payloads a node, want 93 %% and 1.5", 100*share, payloads)
		}
	})
}
