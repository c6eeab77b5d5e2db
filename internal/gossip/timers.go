package gossip

import (
	"cmp"
	"container/heap"
	"time"
)

// timers holds the origins of which something is missing, by the time at which something
// is due about them.
type timers struct{ heap dues }

// set gives an origin another time; zero takes it out.
func (t *timers) set(o *origin, due time.Time) {
	p := &o.repair
	switch known := p.slot >= 0; {
	case due.IsZero() && known:
		heap.Remove(&t.heap, p.slot)
	case due.IsZero(), known && p.due.Equal(due):
	case known:
		p.due = due
		heap.Fix(&t.heap, p.slot)
	default:
		p.due = due
		heap.Push(&t.heap, o)
	}
}

// next returns the earliest time, zero if there is none.
func (t *timers) next() time.Time {
	if len(t.heap) == 0 {
		return time.Time{}
	}
	return t.heap[0].repair.due
}

// due takes out an origin whose time has come, nil if there is none.
func (t *timers) due(now time.Time) *origin {
	if len(t.heap) == 0 || now.Before(t.heap[0].repair.due) {
		return nil
	}
	o := t.heap[0]
	heap.Pop(&t.heap)
	return o
}

// dues implements heap.Interface. Equal times are in the order of the origins, so that
// nothing is left to chance.
type dues []*origin

func (d dues) Len() int { return len(d) }

func (d dues) Less(i, j int) bool {
	a, b := d[i], d[j]
	if n := a.repair.due.Compare(b.repair.due); n != 0 {
		return n < 0
	}
	return cmp.Or(a.ID.Compare(b.ID), cmp.Compare(a.Incarnation, b.Incarnation)) < 0
}

func (d dues) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].repair.slot, d[j].repair.slot = i, j
}

func (d *dues) Push(x any) {
	o, _ := x.(*origin)
	o.repair.slot = len(*d)
	*d = append(*d, o)
}

func (d *dues) Pop() any {
	last := len(*d) - 1
	o := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	o.repair.slot = -1
	return o
}
