package sim

import (
	"container/heap"
	"fmt"
	"time"
)

// loop is the heap of everything that is still to happen. Events of one instant run
// in the order in which they were scheduled, so a run has exactly one order.
type loop struct {
	now   time.Duration // since the start of the run
	count uint64        // events scheduled so far
	busy  int           // events run at this instant
	queue events
}

// event is something that happens at an instant.
type event struct {
	at    time.Duration
	order uint64
	run   func()
}

// after schedules run d from now.
func (l *loop) after(d time.Duration, run func()) {
	l.count++
	heap.Push(&l.queue, event{at: l.now + max(d, 0), order: l.count, run: run})
}

// instantMax bounds the events of one instant: a machine whose Tick leaves it due keeps a
// run from going on. Fifty nodes that heal a split have some thousands.
const instantMax = 1_000_000

// until runs every event up to and including the instant end and leaves the clock
// there.
func (l *loop) until(end time.Duration) {
	for len(l.queue) > 0 && l.queue[0].at <= end {
		e, _ := heap.Pop(&l.queue).(event)
		if l.busy++; e.at != l.now {
			l.busy = 0
		}
		if l.busy > instantMax {
			//nolint:forbidigo // the run would never end
			panic(fmt.Sprintf("sim: %d events at %v and no end", l.busy, e.at))
		}
		l.now = e.at
		e.run()
	}
	l.now = end
}

// events implements heap.Interface.
type events []event

func (q events) Len() int      { return len(q) }
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q events) Less(i, j int) bool {
	if q[i].at != q[j].at {
		return q[i].at < q[j].at
	}
	return q[i].order < q[j].order
}

// Push appends x, as heap.Interface wants it.
func (q *events) Push(x any) {
	e, _ := x.(event)
	*q = append(*q, e)
}

// Pop removes the last event, as heap.Interface wants it.
func (q *events) Pop() any {
	old := *q
	last := len(old) - 1
	e := old[last]
	old[last] = event{} // the closure must not outlive its event
	*q = old[:last]
	return e
}
