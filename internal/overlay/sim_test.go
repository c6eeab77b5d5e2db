package overlay_test

import (
	"cmp"
	"flag"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/overlay"
)

var (
	seedFlag  = flag.Uint64("overlay.seed", 0, "run this seed of each simulation alone")
	seedsFlag = flag.Int("overlay.seeds", 0, "seeds of each simulation; 0 for a quick choice")
	nodesFlag = flag.Int("overlay.nodes", 1000, "nodes of the simulations of many nodes")
)

// seeds runs a scenario with several seeds, as many as the flag says or else quick. A
// failure names its seed.
func seeds(t *testing.T, quick int, f func(b bug, seed uint64) *world) {
	t.Helper()
	t.Parallel()
	from, count := uint64(1), cmp.Or(*seedsFlag, quick)
	if raceEnabled && *seedsFlag == 0 {
		count = (quick + 9) / 10 // there is not one goroutine to race with
	}
	if *seedFlag != 0 {
		from, count = *seedFlag, 1
	}
	var worst time.Duration
	for seed := from; seed < from+uint64(count) && !t.Failed(); seed++ {
		w := f(noBug, seed)
		report(t, seed, w)
		worst = max(worst, w.slowest)
	}
	t.Logf("%d seeds, one network again after %v at the latest", count, worst)
}

func report(t *testing.T, seed uint64, w *world) {
	t.Helper()
	if v := w.wrong; len(v) > 0 {
		t.Errorf("seed %d: %d violations\n%s", seed, len(v), strings.Join(v[:min(len(v), 10)], "\n"))
		t.Errorf("replay: go test ./internal/overlay -run %s -overlay.seed=%d", t.Name(), seed)
	}
}

// some returns so many of the nodes that run, as bad as the seed will have it: any, those
// side by side on ring 0, or the peers of one node.
func (w *world) some(n int) []*node {
	all := w.alive()
	w.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	first := all[0]
	switch w.rand.IntN(3) {
	case 1:
		slices.SortFunc(all, func(a, b *node) int { return a.id.Compare(b.id) })
	case 2:
		slices.SortStableFunc(all, func(a, b *node) int {
			rank := func(p *node) int {
				if c := w.between(first, p); p != first && c.linked() {
					return 0
				}
				return 1
			}
			return rank(a) - rank(b)
		})
		all = slices.DeleteFunc(all, func(p *node) bool { return p == first })
	}
	return all[:n]
}

// strike kills nodes at once. Those that are lost with their machines are given up in
// time; members hear in theirs that they are gone.
func (w *world) strike(list []*node, lost bool) {
	for _, n := range list {
		w.kill(n, lost)
		w.after(500*time.Millisecond+w.below(3*time.Second), func() { w.leave(n) })
	}
}

// afterwards holds what is left against the promises.
func (w *world) afterwards() *world {
	w.connected(30 * time.Second)
	w.run(30 * time.Second)
	w.quiet(30 * time.Second)
	return w
}

// Forty nodes with three to five links form one network, and stay one when any ten die.
func TestFortyNodesAreOneNetworkWhenAnyTenDie(t *testing.T) { seeds(t, 50, anyTenDie) }

func anyTenDie(b bug, seed uint64) *world {
	w := newWorld(seed)
	w.bug = b
	w.add(40, overlay.Config{MinPeers: 3, MaxPeers: 5})
	for _, n := range w.nodes {
		w.after(w.below(2*time.Second), func() { w.join(n) })
	}
	w.run(3 * time.Second)
	w.connected(2 * time.Second)
	w.run(20 * time.Second)
	w.quiet(10 * time.Second)
	w.strike(w.some(10), seed%2 == 0)
	return w.afterwards()
}

// A23: 40 % of fifty nodes with at most five links are killed at once.
func TestFortyPercentKilledAtOnce(t *testing.T) { seeds(t, 50, fortyPercent) }

func fortyPercent(b bug, seed uint64) *world {
	w := newWorld(seed)
	w.bug = b
	w.add(50, overlay.Config{MinPeers: 3, MaxPeers: 5})
	w.begin()
	w.quiet(10 * time.Second)
	w.strike(w.some(20), seed%2 == 0)
	return w.afterwards()
}

// Nodes of every limit are one network: who has room for few is on few rings.
func TestNodesOfEveryLimit(t *testing.T) { seeds(t, 25, everyLimit) }

func everyLimit(b bug, seed uint64) *world {
	w := newWorld(seed)
	w.bug, w.latency, w.gossip = b, 100*time.Millisecond, 3*time.Second
	for range 40 {
		limits := []int{2, 3, 4, 5, 7, 8, 20, 0}
		w.add(1, overlay.Config{MinPeers: 1 + w.rand.IntN(5), MaxPeers: limits[w.rand.IntN(len(limits))]})
	}
	for _, n := range w.nodes {
		w.after(w.below(2*time.Second), func() { w.join(n) })
	}
	w.run(6 * time.Second)
	w.connected(10 * time.Second)
	w.strike(w.some(w.rand.IntN(20)), seed%2 == 0)
	return w.afterwards()
}

// Links break and come back: nothing that took their place stays.
func TestLinksThatBreakComeBack(t *testing.T) { seeds(t, 20, linksBreak) }

func linksBreak(b bug, seed uint64) *world {
	w := newWorld(seed)
	w.bug = b
	w.add(30, overlay.Config{MinPeers: 3, MaxPeers: 3 + int(seed%8)})
	w.begin()
	before := w.linked()
	for range 5 {
		for _, n := range w.nodes {
			for _, c := range n.pairs {
				if c.linked() && w.rand.IntN(4) == 0 {
					c.reset()
				}
			}
		}
		w.run(w.below(3 * time.Second))
	}
	w.afterwards()
	if got := w.linked(); got > before+before/10 {
		w.fail("links: %d after some broke, %d before", got, before)
	}
	return w
}

// linked returns the number of links.
func (w *world) linked() (n int) {
	for _, p := range w.nodes {
		n += p.links
	}
	return n / 2
}

// Many nodes have at most eight links each, and are one network again when 30 % crash.
func TestThirtyPercentOfManyCrash(t *testing.T) {
	t.Parallel()
	n := *nodesFlag
	if raceEnabled {
		n = min(n, 200)
	}
	w := newWorld(1)
	w.shared = true
	w.add(n, overlay.Config{})
	w.begin()
	for _, p := range w.nodes {
		if p.links > 8 {
			t.Errorf("node %d has %d links, want at most 8", p.index, p.links)
		}
	}
	near(t, w.graph())
	w.quiet(10 * time.Second)
	gone := w.nodes[:n*3/10] // their IDs are random
	for _, p := range gone {
		w.kill(p, p.index%2 == 0)
	}
	for part := range slices.Chunk(gone, max(len(gone)/10, 1)) {
		w.after(500*time.Millisecond+w.below(3*time.Second), func() { w.leave(part...) })
	}
	w.afterwards()
	report(t, 1, w)
	for _, p := range w.alive() {
		if p.links > 8 {
			t.Errorf("node %d has %d links after the crash, want at most 8", p.index, p.links)
		}
	}
	near(t, w.graph())
	t.Logf("%d of %d nodes crashed, one network again after %v", len(gone), n, w.slowest)
}

// A cluster at 64 and 65 members in turn moves only the links of who comes or goes.
func TestMeshAtItsLimitDoesNotFlap(t *testing.T) {
	limit := overlay.FullMeshMaxDefault
	if raceEnabled {
		limit /= 4
	}
	c := overlay.Config{FullMeshMax: limit}
	w := newWorld(1)
	w.add(limit, c)
	w.begin()
	if n := w.nodes[0].links; n != limit-1 {
		t.Fatalf("node 0 has %d links, want %d", n, limit-1)
	}
	w.closes = 0
	for range 10 {
		w.add(1, c)
		w.join(w.nodes[len(w.nodes)-1])
		w.run(10 * time.Second)
		gone := w.alive()[w.rand.IntN(limit+1)]
		w.kill(gone, false)
		w.leave(gone)
		w.run(10 * time.Second)
	}
	if w.closes > 0 {
		t.Errorf("%d links were closed at %d and one more members, want 0", w.closes, limit)
	}
	for _, n := range w.alive() {
		if n.links != limit-1 {
			t.Errorf("node %d has %d links at %d members, want %d", n.index, n.links, limit, limit-1)
		}
	}
}

func TestSeedReplays(t *testing.T) {
	run := func(seed uint64) string {
		w := newWorld(seed)
		trace := fnv.New64a()
		w.trace = trace
		w.add(20, overlay.Config{MaxPeers: 5})
		w.begin()
		w.strike(w.some(5), true)
		w.run(20 * time.Second)
		return fmt.Sprintf("%x", trace.Sum64())
	}
	if a, b, c := run(1), run(1), run(2); a != b || a == c {
		t.Errorf("traces of seeds 1, 1 and 2 = %s, %s, %s, want the first two alike", a, b, c)
	}
}

func TestChecksFindPlantedBugs(t *testing.T) {
	tests := []struct {
		name  string
		bug   bug
		f     func(b bug, seed uint64) *world
		check string
	}{
		{"nobody looks for new neighbours", lazy, anyTenDie, "connected"},
		{"nobody gives way", crowded, anyTenDie, "degree"},
		{"there is room and the answer is no", shy, fortyPercent, "overlay"},
		{"links that both ends want are closed", restless, fortyPercent, "quiet"},
		{"what was closed is thought to be there", careless, fortyPercent, "agree"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const tries = 5
			for seed := range uint64(tries) {
				found := func(v string) bool { return strings.Contains(v, tt.check+": ") }
				if w := tt.f(tt.bug, seed+1); slices.ContainsFunc(w.wrong, found) {
					t.Logf("found with seed %d", seed+1)
					return
				}
			}
			t.Errorf("%d seeds ran with the bug planted, and the check %q found nothing", tries, tt.check)
		})
	}
}
