package elect_test

import (
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// fault makes one thing go wrong, or right again.
func (w *world) fault() {
	n := len(w.slots)
	slot := w.rand.IntN(n)
	p := w.slots[slot]
	switch w.rand.IntN(14) {
	case 0, 1:
		side := w.rand.Perm(n)
		k := 1 + w.rand.IntN(n)
		w.split(func(slot int) int { return side[slot] % k })
	case 2: // a bridge: the sides see it and it sees both
		w.split(func(s int) int { return s % 2 })
		for other := range n {
			w.cut[pair{slot, other}], w.cut[pair{other, slot}] = false, false
		}
		w.reach()
	case 3: // one way
		w.cut[pair{slot, (slot + 1 + w.rand.IntN(n-1)) % n}] = true
		w.reach()
	case 4:
		w.heal()
	case 5, 6:
		if p != nil {
			w.kill(slot)
		}
	case 7, 8:
		w.restart(slot)
	case 9:
		if p != nil {
			w.leave(slot)
		}
	case 10:
		if p != nil && w.running(p) {
			w.pause(slot, w.below(5*time.Second))
		}
	case 11:
		w.setFit(p, w.rand.IntN(2) == 0)
	case 12:
		w.setAble(p, w.rand.IntN(2) == 0)
	case 13:
		w.move(p)
	}
}

// restart starts a process in a free slot, under a new key or the last one there.
func (w *world) restart(slot int) {
	if w.slots[slot] != nil {
		return
	}
	var last ident.NodeID
	for _, f := range w.check.facts {
		if f.of.slot == slot {
			last = f.of.id
		}
	}
	if last.IsZero() || w.rand.IntN(2) == 0 {
		w.boot(slot)
		return
	}
	w.bootAs(slot, last)
}

func (w *world) setFit(p *process, fit bool) {
	if p != nil {
		w.at(w.now, p, func() { p.fit = fit; p.e.SetFit(w.now, fit) })
	}
}

func (w *world) setAble(p *process, able bool) {
	if p == nil {
		return
	}
	w.at(w.now, p, func() {
		p.able = able
		p.view()
		p.each(func(q *process) { p.send(q, q.view) })
	})
}

// move promotes somebody or resigns.
func (w *world) move(p *process) {
	if !w.running(p) {
		return
	}
	target := w.slots[w.rand.IntN(len(w.slots))]
	w.at(w.now, p, func() {
		if target == nil || p.e.Leading() && w.rand.IntN(2) == 0 {
			_ = p.e.Resign(w.now)
			return
		}
		_ = p.e.Promote(w.now, target.id)
	})
}

// peace ends all faults.
func (w *world) peace() {
	for slot, p := range w.slots {
		if p == nil {
			w.boot(slot)
			continue
		}
		if p.until.After(w.now) {
			p.until = w.now
		}
		w.setFit(p, true)
		w.setAble(p, true)
	}
	w.heal()
}

// TestCheckerFindsPlantedBugs shows that the invariants can be broken, and that the
// checker says which one it was.
func TestCheckerFindsPlantedBugs(t *testing.T) {
	tests := []struct {
		name      string
		bug       bug
		run       func(bug, uint64, int) *world
		invariant string
	}{
		{"a process forgets all now and then", bugAmnesia, chaos, "L3"},
		{"each side thinks that it wins", bugUpside, sidesMeet, "L9"},
		{"a claim never says who leads", bugMute, chaos, "L2"},
		{"a demotion is not reported", bugStutter, chaos, "L4"},
		{"a leader does not say that it is one", bugForget, sidesMeet, "L7"},
		{"a leader gives up without a reason", bugNervous, chaos, "L9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const tries = 20
			for seed := range uint64(tries) {
				w := tt.run(tt.bug, seed, 5)
				if slices.ContainsFunc(w.check.violations, func(v string) bool { return v[:2] == tt.invariant }) {
					t.Logf("found with seed %d", seed)
					return
				}
			}
			t.Errorf("%d seeds ran with the bug planted and %s held", tries, tt.invariant)
		})
	}
}
