package elect_test

import (
	"slices"
	"time"
)

// reachable reports whether a helper could still tell x that y is there.
func (w *world) reachable(x, y *process) bool {
	if !w.running(x) || !w.running(y) {
		return false
	}
	if w.mesh != nil {
		side, ok := w.mesh.side[x.slot]
		other, there := w.mesh.side[y.slot]
		return ok && there && side == other
	}
	seen := map[int]bool{x.slot: true}
	todo := []int{x.slot}
	for len(todo) > 0 {
		a := todo[0]
		todo = todo[1:]
		if a == y.slot {
			return true
		}
		for b, p := range w.slots {
			if !seen[b] && w.running(p) && !w.cutEither(a, b) {
				seen[b] = true
				todo = append(todo, b)
			}
		}
	}
	return false
}

// watch is the failure detector of x for what it lists in slot y.
func (w *world) watch(x *process, y int) {
	if x == nil || x.ended || x.listed[y] == nil {
		return
	}
	q := x.listed[y]
	if !q.ended && w.reachable(x, q) {
		delete(x.absent, y)
		return
	}
	if !x.absent[y].IsZero() || !w.running(x) {
		return // who is paused accuses nobody
	}
	x.absent[y] = w.now
	began, delay := w.now, w.between(900*time.Millisecond, 3*time.Second)
	if q.ended && !w.cutEither(x.slot, y) {
		delay = w.between(5*time.Millisecond, 200*time.Millisecond)
	}
	if w.mesh != nil {
		delay = w.absence(x.slot, q, q.ended && !w.cutEither(x.slot, y))
	}
	w.at(w.now.Add(delay), x, func() {
		if x.absent[y].Equal(began) && x.listed[y] == q {
			if l := w.links[pairOf(x.slot, y)]; l != nil {
				w.part(l) // who is dead has no link
			}
			x.drop(q)
			w.reach()
		}
	})
}

// kill ends a process: the kernel closes its links.
func (w *world) kill(slot int) {
	p := w.slots[slot]
	p.ended = true
	w.slots[slot] = nil
	w.check.ended(p)
	for other := range w.slots {
		if l := w.links[pairOf(slot, other)]; l != nil && slices.Contains(l.ends[:], p) {
			w.part(l)
		}
	}
	w.lost(p)
	w.reach()
}

// lost starts the failure detectors of all that list p, which has ended.
func (w *world) lost(p *process) {
	for _, x := range w.slots {
		if x != nil && x.listed[p.slot] == p {
			delete(x.absent, p.slot)
			w.watch(x, p.slot)
		}
	}
}

// leave says goodbye and ends.
func (w *world) leave(slot int) {
	p := w.slots[slot]
	w.at(w.now, p, func() {
		p.e.SetEligible(w.now, false)
		p.settle()
		p.each(func(q *process) { p.send(q, func() { q.drop(p) }) })
		w.after(20*time.Millisecond, func() {
			if !p.ended {
				w.kill(slot)
			}
		})
	})
}

func (w *world) pause(slot int, d time.Duration) {
	p := w.slots[slot]
	p.until = w.now.Add(d)
	w.reach()
	w.at(p.until, nil, w.reach)
}
