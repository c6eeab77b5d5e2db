package elect_test

import (
	"slices"
	"testing"
	"time"
)

// mesh makes a world one in which a process has links with its neighbours on two rings
// alone, and knows the others by what these pass on.
type mesh struct {
	rings  [2][]int      // the slots in an order at random
	wanted map[pair]bool // the links that there should be
	side   map[int]int   // slot → the lowest slot that it can reach
	part   map[int]int   // slot → the lowest slot to which it has a way of links
}

const meshSize = 50

// newMesh returns a world of n slots with links between neighbours.
func newMesh(seed uint64, n int) *world {
	w := newWorld(seed, n)
	w.relink = 300 * time.Millisecond
	w.mesh = &mesh{}
	for i := range w.mesh.rings {
		w.mesh.rings[i] = w.rand.Perm(n)
	}
	return w
}

// settledMesh returns a mesh that runs for some time and agrees.
func settledMesh(seed uint64) *world {
	w := newMesh(seed, meshSize)
	for i := range meshSize {
		w.after(w.below(time.Second), func() { w.boot(i) })
	}
	w.run(8 * time.Second)
	return w
}

// remesh is reach for a mesh: the sides, the links that each of them wants, and who comes
// to know whom.
func (w *world) remesh() {
	m := w.mesh
	w.sides()
	m.wanted = map[pair]bool{}
	for _, ring := range m.rings {
		first, before := map[int]int{}, map[int]int{} // by side
		for _, a := range ring {
			side, ok := m.side[a]
			if !ok {
				continue
			}
			if b, ok := before[side]; ok {
				m.wanted[pairOf(a, b)] = true
			} else {
				first[side] = a
			}
			before[side] = a
		}
		for side, a := range first {
			if b := before[side]; b != a {
				m.wanted[pairOf(a, b)] = true
			}
		}
	}
	for a := range w.slots {
		for b := range a {
			w.relinked(pairOf(a, b))
		}
	}
	for x := range w.slots {
		for y := range w.slots {
			w.watch(w.slots[x], y)
		}
	}
	w.spread()
}

// relinked lets a link come up or break, as the mesh wants.
func (w *world) relinked(k pair) {
	l := w.links[k]
	if l == nil || !l.up {
		if w.mesh.wanted[k] && !w.dialing[k] {
			w.dialing[k] = true
			w.after(w.below(w.relink), func() { w.connect(k) })
		}
		return
	}
	broken := w.cutEither(k.a, k.b) || !w.running(w.slots[k.a]) || !w.running(w.slots[k.b])
	if !broken {
		l.flush(w)
	}
	if l.timed || !broken && w.mesh.wanted[k] {
		return
	}
	l.timed = true
	w.after(w.between(900*time.Millisecond, 2700*time.Millisecond), func() {
		l.timed = false
		if w.sever(l, k); l.up && !w.mesh.wanted[k] {
			w.part(l)
		}
	})
}

// part ends a link.
func (w *world) part(l *link) {
	if !l.up {
		return
	}
	l.up = false
	if w.mesh == nil {
		return
	}
	for i, p := range l.ends {
		if q := l.ends[1-i]; !p.ended {
			w.at(w.now, p, func() {
				if p.listed[q.slot] == q {
					p.view()
				}
			})
		}
	}
}

// far reports whether p has no link with another process of a mesh.
func (p *process) far(q *process) bool {
	l := p.w.links[pairOf(p.slot, q.slot)]
	return p.w.mesh != nil && (l == nil || !l.up || !slices.Contains(l.ends[:], q))
}

// sides finds out who can reach whom.
func (w *world) sides() {
	m := w.mesh
	m.side = map[int]int{}
	for a := range w.slots {
		if _, done := m.side[a]; done || !w.running(w.slots[a]) {
			continue
		}
		todo := []int{a}
		for m.side[a] = a; len(todo) > 0; todo = todo[1:] {
			for b := range w.slots {
				if _, done := m.side[b]; !done && w.running(w.slots[b]) && !w.cutEither(todo[0], b) {
					m.side[b] = a
					todo = append(todo, b)
				}
			}
		}
	}
}

// parts finds out who has a way of links to whom.
func (w *world) parts() {
	part := map[int]int{}
	near := map[int][]int{}
	for k, l := range w.links {
		if l.up && !w.cutEither(k.a, k.b) {
			near[k.a], near[k.b] = append(near[k.a], k.b), append(near[k.b], k.a)
		}
	}
	for a := range w.slots {
		if _, done := part[a]; done {
			continue
		}
		for todo := []int{a}; len(todo) > 0; todo = todo[1:] {
			if _, done := part[todo[0]]; !done {
				part[todo[0]] = a
				todo = append(todo, near[todo[0]]...)
			}
		}
	}
	w.mesh.part = part
}

// spread lets those know of each other that have a way of links between them.
func (w *world) spread() {
	w.parts()
	for a, p := range w.slots {
		for b, q := range w.slots {
			if a == b || !w.running(p) || !w.running(q) || p.listed[b] == q || w.mesh.part[a] != w.mesh.part[b] {
				continue
			}
			w.at(w.now.Add(w.below(20*time.Millisecond)), p, func() {
				if p.listed[b] != q && w.running(q) && w.mesh.part[a] == w.mesh.part[b] {
					p.meet(q)
				}
			})
		}
	}
}

// absence is how long a process of a mesh takes to remove another one: all count from the
// first suspicion, but those who watch it themselves.
func (w *world) absence(x int, q *process, killed bool) time.Duration {
	switch {
	case killed:
		return w.between(5*time.Millisecond, 50*time.Millisecond)
	case w.links[pairOf(x, q.slot)] != nil:
		return w.between(2300*time.Millisecond, 2800*time.Millisecond)
	default:
		return w.between(2300*time.Millisecond, 2350*time.Millisecond)
	}
}

// meshes runs a test of some seeds in a mesh.
func meshes(t *testing.T, f func(w *world)) {
	t.Helper()
	for seed := range uint64(max(*seedCount/300, 1)) {
		w := settledMesh(seed)
		f(w)
		if v := w.check.violations; len(v) > 0 {
			t.Fatalf("seed %d: %d violations\n%s", seed, len(v), v[:min(len(v), 10)])
		}
	}
}

func TestMeshElectsOneLeader(t *testing.T) {
	meshes(t, func(w *world) {
		w.check.agreed()
		w.want("B01", "promotions", w.check.count(w.start, promoted), 1)
		w.want("B01", "demotions", w.check.count(w.start, demoted), 0)
		w.quiet()
	})
}

func TestMeshReplacesItsLeader(t *testing.T) {
	meshes(t, func(w *world) {
		from := w.now
		w.kill(w.leader())
		w.run(300 * time.Millisecond)
		w.check.agreed()
		w.want("B02", "promotions", w.check.count(from, promoted), 1)
		w.want("B02", "demotions", w.check.count(from, demoted), 0)
		w.run(3 * time.Second)
		w.quiet()
	})
}

func TestMeshReplacesALostLeader(t *testing.T) {
	meshes(t, func(w *world) {
		from := w.now
		lost := w.leader()
		w.split(func(slot int) int { return min(max(slot-lost, lost-slot), 1) })
		w.run(4 * time.Second)
		w.want("L2", "leaders", len(w.check.agreed()), 2)
		w.want("B02", "promotions", w.check.count(from, promoted), 1)
		w.want("B02", "demotions", w.check.count(from, demoted), 0)
	})
}

func TestSidesOfAMeshMeet(t *testing.T) {
	meshes(t, func(w *world) {
		k := 2 + w.rand.IntN(4)
		sides := w.rand.Perm(meshSize)
		w.split(func(slot int) int { return sides[slot] % k })
		w.run(10 * time.Second)
		w.want("L2", "leaders", len(w.check.agreed()), k)
		from := w.now
		w.heal()
		w.run(5 * time.Second)
		w.want("L2", "leaders", len(w.check.agreed()), 1)
		w.want("L7", "promotions", w.check.count(from, promoted), 0)
		w.want("L7", "demotions", w.check.count(from, demoted), k-1)
		w.quiet()
	})
}

func TestMeshHandsOver(t *testing.T) {
	meshes(t, func(w *world) {
		for range 4 {
			from := w.now
			target, asker := w.slots[w.rand.IntN(meshSize)], w.slots[w.rand.IntN(meshSize)]
			want := 1
			if target.e.Leading() {
				want = 0
			}
			if err := asker.e.Promote(w.now, target.id); err != nil {
				w.check.fail("B03", "Promote: %v", err)
			}
			asker.settle()
			w.run(100 * time.Millisecond)
			if l := w.check.agreed(); l[0] != target {
				w.check.fail("B03", "%d does not lead", target.slot)
			}
			w.want("B03", "promotions", w.check.count(from, promoted), want)
			w.run(time.Second)
		}
		w.quiet()
	})
}

// A leader that gives up when nobody can take over is followed by nobody, and by whoever
// can again.
func TestMeshWithoutACandidate(t *testing.T) {
	meshes(t, func(w *world) {
		leader := w.slots[w.leader()]
		for _, p := range w.slots {
			if p != leader {
				w.setFit(p, false)
			}
		}
		w.run(time.Second)
		w.setFit(leader, false)
		w.run(3 * time.Second)
		for _, p := range w.slots {
			if id, _, ok := p.e.Leader(); ok {
				w.check.fail("L2", "%d follows %v, and nobody can lead", p.slot, id.Short())
			}
		}
		w.setFit(w.slots[w.rand.IntN(meshSize)], true)
		w.run(3 * time.Second)
		w.check.agreed()
		w.quiet()
	})
}

func TestMeshInChaos(t *testing.T) {
	meshes(t, func(w *world) {
		w.loss, w.durable = 2, w.rand.IntN(2) == 0
		for range 12 {
			for range 3 {
				w.fault()
			}
			w.run(w.below(3 * time.Second))
		}
		w.peace()
		w.run(12 * time.Second)
		w.want("L2", "sides", len(w.check.agreed()), 1)
		w.quiet()
	})
}

// Churn: every second somebody dies and somebody comes. Only the death of a leader makes
// a new one.
func TestMeshInChurn(t *testing.T) {
	meshes(t, func(w *world) {
		from, deaths := w.now, 0
		for range 20 {
			slot := w.rand.IntN(meshSize)
			if p := w.slots[slot]; p == nil {
				w.boot(slot)
			} else {
				if p.e.Leading() {
					deaths++
				}
				w.kill(slot)
				w.after(3*time.Second, func() {
					if w.slots[slot] == nil {
						w.boot(slot)
					}
				})
			}
			w.run(time.Second)
		}
		w.run(5 * time.Second)
		w.check.agreed()
		w.want("L9", "promotions", w.check.count(from, promoted), deaths)
		w.want("L9", "demotions", w.check.count(from, demoted), 0)
		w.quiet()
	})
}

// Requests that contradict each other are passed on by everybody and still end: each names
// the reign that is to end, and a later leader ignores it.
func TestMeshIsAskedForSeveralAtOnce(t *testing.T) {
	meshes(t, func(w *world) {
		for range 5 {
			from := w.now
			for range 3 {
				p := w.slots[w.rand.IntN(meshSize)]
				if err := p.e.Promote(w.now, w.slots[w.rand.IntN(meshSize)].id); err != nil {
					w.check.fail("B03", "Promote: %v", err)
				}
				p.settle()
			}
			w.run(time.Second)
			w.check.agreed()
			if got := w.check.count(from, promoted); got > 3 {
				w.check.fail("L9", "%d promotions, want at most 3", got)
			}
		}
		w.quiet()
	})
}
