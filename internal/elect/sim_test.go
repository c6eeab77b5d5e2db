package elect_test

import (
	"flag"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/elect"
	"github.com/espial-go/espial/internal/ident"
)

// seedCount makes the simulations longer: go test ./internal/elect -elect.seeds=20000.
var seedCount = flag.Int("elect.seeds", 300, "run so many seeds of each simulation")

// seeds runs a test of one seed many times, over clusters of each size. A failure names
// its seed.
func seeds(t *testing.T, f func(seed uint64, n int) *world) {
	t.Helper()
	for seed := range uint64(*seedCount) {
		n := []int{3, 4, 5, 7}[seed%4]
		w := f(seed, n)
		if v := w.check.violations; len(v) > 0 {
			t.Fatalf("seed %d, %d nodes: %d violations\n%s", seed, n, len(v), strings.Join(v[:min(len(v), 10)], "\n"))
		}
	}
}

// want notes a violation unless got is want.
func (w *world) want(invariant, what string, got, want int) {
	if got != want {
		w.check.fail(invariant, "%d %s, want %d", got, what, want)
	}
}

// cheap checks that no process sent more than 25 frames in a second.
func (w *world) cheap() {
	for _, p := range w.slots {
		for second, n := range p.sent {
			if n > 25 {
				w.check.fail("budget", "%d sent %d frames in second %d", p.slot, n, second-w.start.Unix())
			}
		}
	}
}

// B01: nodes that start together elect one leader.
func TestStartTogether(t *testing.T) { seeds(t, startTogether) }

func startTogether(seed uint64, n int) *world {
	w := newWorld(seed, n)
	w.relink = 300 * time.Millisecond
	for i := range n {
		w.after(w.below(time.Second), func() { w.boot(i) })
	}
	w.run(4 * time.Second)
	w.check.agreed()
	w.want("B01", "promotions", w.check.count(w.start, promoted), 1)
	w.want("B01", "demotions", w.check.count(w.start, demoted), 0)
	w.want("B01", "renewals", w.check.count(w.start, renewed), 0)
	w.cheap()
	w.quiet()
	return w
}

// quiet lets time pass in which nothing may be said or reported.
func (w *world) quiet() {
	from := w.now
	var before int
	for _, p := range w.slots {
		before += p.total()
	}
	w.run(10 * time.Second)
	w.want("L9", "changes without a cause", w.check.count(from, anything), 0)
	for _, p := range w.slots {
		before -= p.total()
	}
	w.want("L9", "frames without a cause", -before, 0)
}

func (p *process) total() (n int) {
	if p == nil {
		return 0
	}
	for _, s := range p.sent {
		n += s
	}
	return n
}

// leader returns the slot of who leads all.
func (w *world) leader() int {
	if l := w.check.agreed(); len(l) == 1 && l[0] != nil {
		return l[0].slot
	}
	return 0
}

// B02: the leader dies.
func TestLeaderDies(t *testing.T) { seeds(t, leaderDies) }

func leaderDies(seed uint64, n int) *world {
	w := settled(seed, n)
	l := w.leader()
	old := w.slots[l].leads
	from := w.now
	w.kill(l)
	w.run(time.Second)
	next := w.check.agreed()
	w.want("B02", "promotions", w.check.count(from, promoted), 1)
	w.want("B02", "demotions", w.check.count(from, demoted), 0)
	if next[0] == nil || next[0].leads <= old {
		w.check.fail("L3", "no leader with a term above %d", old)
	}
	return w
}

// A death that is known to all at once is followed by a leader within 300 ms.
func TestFailoverIsQuick(t *testing.T) { seeds(t, failoverIsQuick) }

func failoverIsQuick(seed uint64, n int) *world {
	w := settled(seed, n)
	l, from := w.killLeader()
	w.run(300 * time.Millisecond)
	w.check.agreed()
	w.want("B02", "promotions", w.check.count(from, promoted), 1)
	w.slots[l] = w.first()[0] // so that cheap looks at those who are left
	w.cheap()
	return w
}

// killLeader kills who leads, of which all hear within 20 ms. It returns where and when.
func (w *world) killLeader() (slot int, at time.Time) {
	slot = w.leader()
	p := w.slots[slot]
	w.kill(slot)
	for _, q := range w.slots {
		if q != nil {
			w.at(w.now.Add(w.below(20*time.Millisecond)), q, func() { q.drop(p) })
		}
	}
	return slot, w.now
}

// A leader that is killed and started again at once, as a new member, delays nobody: it
// knows nothing, and what it is told about a past reign is no sign of another leader.
func TestLeaderStartsAgainAtOnce(t *testing.T) { seeds(t, startsAgain) }

func startsAgain(seed uint64, n int) *world {
	w := settled(seed, n)
	l, from := w.killLeader()
	w.relink = 5 * time.Millisecond
	w.after(w.between(20*time.Millisecond, 150*time.Millisecond), func() { w.boot(l) })
	w.run(500 * time.Millisecond)
	w.check.agreed()
	w.want("B02", "promotions", w.check.count(from, promoted), 1)
	w.want("B02", "demotions", w.check.count(from, demoted), 0)
	return w
}

// B03: the leader leaves.
func TestLeaderLeaves(t *testing.T) { seeds(t, leaderLeaves) }

func leaderLeaves(seed uint64, n int) *world {
	w := settled(seed, n)
	l := w.leader()
	from := w.now
	w.leave(l)
	w.run(time.Second)
	w.check.agreed()
	w.want("B03", "promotions", w.check.count(from, promoted), 1)
	w.want("B03", "demotions", w.check.count(from, demoted), 1)
	return w
}

// B04 and L7: k sides that meet have k-1 demotions, and the least seat goes on under a
// term above all.
func TestSidesMeet(t *testing.T) {
	seeds(t, func(seed uint64, n int) *world { return sidesMeet(bugNone, seed, n) })
}

func sidesMeet(b bug, seed uint64, n int) *world {
	w := settled(seed, n)
	w.bug = b
	w.loss = 2
	k := 2 + w.rand.IntN(n-1)
	sides := w.rand.Perm(n)
	if w.rand.IntN(3) == 0 { // somebody else than the first in rank leads
		p := w.slots[w.leader()]
		_ = p.e.Promote(w.now, w.slots[w.rand.IntN(n)].id)
		p.settle()
		w.run(time.Second)
	}
	w.split(func(slot int) int { return min(sides[slot], k-1) })
	w.run(10 * time.Second)
	for range w.rand.IntN(4) { // terms differ from side to side
		w.resign(sides[w.rand.IntN(n)])
	}
	w.want("L2", "leaders", len(w.check.agreed()), k)
	var highest ident.Term
	for _, p := range w.slots {
		highest = max(highest, p.leads)
	}
	from := w.now
	w.heal()
	w.run(4 * time.Second)
	l := w.check.agreed()
	w.want("L7", "demotions", w.check.count(from, demoted), k-1)
	w.want("L7", "promotions", w.check.count(from, promoted), 0)
	if len(l) != 1 || l[0] == nil || l[0].leads <= highest {
		w.check.fail("L7", "leaders %v, want one with a term above %d", l, highest)
	}
	w.quiet()
	return w
}

// resign raises the term on the side of a slot.
func (w *world) resign(slot int) {
	for _, p := range w.slots {
		if p != nil && p.leads != 0 && w.reachable(p, w.slots[slot]) {
			_ = p.e.Resign(w.now)
			p.settle()
			w.run(200 * time.Millisecond)
			return
		}
	}
}

// B19: a join changes nothing, whatever the ID.
func TestJoinChangesNothing(t *testing.T) { seeds(t, joinChangesNothing) }

func joinChangesNothing(seed uint64, n int) *world {
	w := settled(seed, n)
	l := w.slots[w.leader()]
	w.slots = append(w.slots, nil, nil)
	from := w.now
	w.bootAs(n, ident.NodeID{31: 1})
	w.after(w.below(2*time.Second), func() { w.boot(n + 1) })
	w.run(6 * time.Second)
	for _, f := range w.check.facts {
		if a, ok := f.a.(elect.Leader); !f.at.Before(from) &&
			(f.of.slot < n || !ok || a.ID != l.id || a.Cause != elect.Joined) {
			w.check.fail("B19", "%d reports %+v", f.of.slot, f.a)
		}
	}
	w.check.agreed()
	return w
}

// Leadership moves on purpose within 100 ms, and stays.
func TestHandOver(t *testing.T) { seeds(t, handOver) }

func handOver(seed uint64, n int) *world {
	w := settled(seed, n)
	from := w.now
	p, target := w.slots[w.leader()], w.slots[w.rand.IntN(n)]
	asker := w.slots[w.rand.IntN(n)]
	want := 1
	if seed%8 < 4 {
		if err := asker.e.Promote(w.now, target.id); err != nil {
			w.check.fail("B03", "Promote: %v", err)
		}
		asker.settle()
		if target == p {
			want = 0
		}
	} else {
		if err := p.e.Resign(w.now); err != nil {
			w.check.fail("B03", "Resign: %v", err)
		}
		p.settle()
		target = slices.DeleteFunc(w.first(), func(q *process) bool { return q == p })[0]
	}
	w.run(100 * time.Millisecond)
	if l := w.check.agreed(); l[0] != target {
		w.check.fail("B03", "%d does not lead", target.slot)
	}
	w.want("B03", "promotions", w.check.count(from, promoted), want)
	w.want("B03", "demotions", w.check.count(from, demoted), want)
	w.cheap()
	w.quiet()
	return w
}

// B22: anything happens, at any time; then peace. Every other seed has disks.
func TestChaos(t *testing.T) {
	seeds(t, func(seed uint64, n int) *world { return chaos(bugNone, seed, n) })
}

func chaos(b bug, seed uint64, n int) *world {
	w := newWorld(seed, n)
	w.bug, w.loss, w.durable = b, 2, seed%2 == 1
	for i := range n {
		w.after(w.below(3*time.Second), func() { w.restart(i) })
	}
	w.run(w.below(5 * time.Second))
	for range 12 {
		w.fault()
		w.run(w.below(3 * time.Second))
		w.check.rivals()
	}
	w.peace()
	// Links are up within 1.5 s, who is gone is removed within 3 s, and then all agree
	// within 4 s.
	w.run(8 * time.Second)
	w.want("L2", "sides", len(w.check.agreed()), 1)
	w.quiet()
	return w
}

// Where not all have links with all, what the leader says is passed on.
func TestLine(t *testing.T) { seeds(t, line) }

func line(seed uint64, n int) *world {
	w := settled(seed, n)
	for a := range n {
		for b := range n {
			w.cut[pair{a, b}] = a-b > 1 || b-a > 1
		}
	}
	w.reach()
	w.run(5 * time.Second)
	p, target := w.slots[w.leader()], w.slots[w.rand.IntN(n)]
	if err := p.e.Promote(w.now, target.id); err != nil {
		w.check.fail("L2", "Promote: %v", err)
	}
	p.settle()
	w.run(time.Second)
	if !target.e.Leading() {
		w.check.fail("L2", "%d does not lead", target.slot)
	}
	w.quiet()
	w.heal()
	w.run(4 * time.Second)
	w.check.agreed()
	w.quiet()
	return w
}

// A leader that is paused for long is replaced, and is one leader too many when it is
// back.
func TestPause(t *testing.T) { seeds(t, paused) }

func paused(seed uint64, n int) *world {
	w := settled(seed, n)
	from := w.now
	p := w.slots[w.leader()]
	w.pause(p.slot, 20*time.Second)
	w.run(19 * time.Second)
	w.want("L2", "promotions", w.check.count(from, promoted), 1)
	w.run(5 * time.Second)
	w.check.agreed()
	w.want("L7", "promotions", w.check.count(from, promoted), 1)
	w.want("L7", "demotions", w.check.count(from, demoted), 1)
	w.quiet()
	return w
}

func TestSeedReplays(t *testing.T) {
	run := func(seed uint64) uint64 {
		w := newWorld(seed, 5)
		w.trace = fnv.New64a()
		for i := range 5 {
			w.boot(i)
		}
		for range 10 {
			w.fault()
			w.run(time.Second)
		}
		return w.trace.Sum64()
	}
	if a, b, c := run(1), run(1), run(2); a != b || a == c {
		t.Errorf("traces of seeds 1, 1 and 2 = %x, %x, %x, want the first two alike", a, b, c)
	}
}
