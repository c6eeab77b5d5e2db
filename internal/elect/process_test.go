package elect_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/elect"
	"github.com/espial-go/espial/internal/ident"
)

// process is one election and its surroundings.
type process struct {
	w      *world
	slot   int
	e      *elect.Election
	id     ident.NodeID
	inc    ident.Incarnation
	join   uint64
	able   bool // eligible by its record
	fit    bool
	ended  bool
	until  time.Time // paused until then
	listed map[int]*process
	joins  map[int]uint64 // what is known of the join numbers of the listed
	absent map[int]time.Time
	wake   time.Time
	sent   map[int64]int // frames in each second
	follow ident.Term    // checker: the last term that was followed
	leader ident.NodeID  // checker: of that term
	shown  elect.Leader  // checker: last reported
	leads  ident.Term    // checker: promoted, not demoted
	heard  ident.Term    // checker: highest term in what arrived
}

// boot starts a process with a new key.
func (w *world) boot(slot int) *process {
	w.keys++
	var id ident.NodeID // random, so that the order of IDs is not the one of the slots
	for i := range 8 {
		id[i] = byte(w.rand.Uint32())
	}
	id[31] = byte(w.keys)
	return w.bootAs(slot, id)
}

func (w *world) bootAs(slot int, id ident.NodeID) *process {
	w.incs++
	if !w.durable {
		delete(w.disks, slot)
	}
	p := &process{
		w: w, slot: slot, id: id, inc: ident.Incarnation(w.incs), able: true, fit: true, follow: w.disks[slot].Term,
		e: elect.New(w.now, elect.Config{
			Self: id, Incarnation: ident.Incarnation(w.incs), Kept: w.disks[slot],
		}),
		listed: map[int]*process{}, joins: map[int]uint64{}, absent: map[int]time.Time{}, sent: map[int64]int{},
	}
	w.slots[slot] = p
	w.at(w.now.Add(elect.Founding), p, func() { p.fix(1) })
	w.at(w.now, p, func() {})
	w.reach()
	return p
}

// fix gives p its join number unless it has one.
func (p *process) fix(join uint64) {
	if p.join != 0 {
		return
	}
	p.join = join
	p.view()
	for _, q := range p.w.slots {
		if q == nil {
			continue
		}
		if p.w.mesh != nil {
			p.w.at(p.w.now.Add(p.w.below(20*time.Millisecond)), q, func() {
				if q.listed[p.slot] == p {
					q.joins[p.slot] = join
					q.view()
				}
			})
			continue
		}
		p.send(q, func() {
			if q.listed[p.slot] == p {
				q.joins[p.slot] = join
				q.view()
			}
		})
	}
}

// each calls f for every process that p lists, by slot.
func (p *process) each(f func(*process)) {
	for slot := range p.w.slots {
		if q := p.listed[slot]; q != nil {
			f(q)
		}
	}
}

func (p *process) view() {
	list := []elect.Voter{{ID: p.id, Incarnation: p.inc, Join: p.join, Eligible: p.able}}
	p.each(func(q *process) {
		list = append(list, elect.Voter{ID: q.id, Incarnation: q.inc, Join: p.joins[q.slot], Eligible: q.able, Far: p.far(q)})
	})
	if p.w.bug == bugAmnesia && p.w.rand.IntN(10) == 0 {
		p.e = elect.New(p.w.now, elect.Config{Self: p.id, Incarnation: p.inc})
	}
	p.w.rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	p.e.View(p.w.now, list)
}

func (p *process) highest() uint64 {
	n := p.join
	for _, j := range p.joins {
		n = max(n, j)
	}
	return n
}

// meet lists q, whose record came over a link.
func (p *process) meet(q *process) {
	p.listed[q.slot], p.joins[q.slot] = q, q.join
	delete(p.absent, q.slot)
	p.view()
}

func (p *process) drop(q *process) {
	if p.listed[q.slot] == q {
		delete(p.listed, q.slot)
		delete(p.joins, q.slot)
		delete(p.absent, q.slot)
		p.view()
	}
}

// send puts a frame on the link from p to q, if there is one.
func (p *process) send(q *process, receive func()) {
	l := p.w.links[pairOf(p.slot, q.slot)]
	if l == nil || !l.up || !slices.Contains(l.ends[:], p) || !slices.Contains(l.ends[:], q) {
		return
	}
	p.sent[p.w.now.Unix()]++
	l.carry(p.w, q, receive)
}

// settle carries out the actions of p and sets its timer.
func (p *process) settle() {
	w := p.w
	for _, a := range p.e.Take() {
		if w.trace != nil {
			fmt.Fprintf(w.trace, "%v %d %+v\n", w.now.Sub(w.start), p.slot, a)
		}
		p.act(a)
	}
	w.check.state(p)
	if at, ok := p.e.Next(); ok {
		if at.Before(w.now) {
			at = w.now
		}
		if at.Equal(p.wake) {
			return
		}
		p.wake = at
		w.at(at, p, func() {
			if p.wake.Equal(at) {
				p.wake = time.Time{}
				p.e.Tick(w.now)
			}
		})
	}
}

func (p *process) act(a elect.Action) {
	w := p.w
	switch a := a.(type) {
	case elect.Send:
		p.each(func(q *process) {
			if a.To.IsZero() || a.To == q.id {
				c := w.bug.twist(a.Claim)
				p.send(q, func() { w.check.hears(q, p, c); q.e.Receive(w.now, p.id, c) })
			}
		})
	case elect.Ask:
		p.each(func(q *process) {
			if q.id == a.To {
				p.send(q, func() { q.e.Asked(w.now, p.id, a) })
			}
		})
	default:
		if l, ok := a.(elect.Leader); ok && !l.ID.IsZero() {
			w.disks[p.slot] = elect.Reign{Term: l.Term, Incarnation: l.Incarnation}
		}
		w.check.report(p, w.bug.spoil(p, a))
	}
}
