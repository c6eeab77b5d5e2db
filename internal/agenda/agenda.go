// Package agenda holds what is still to happen in a simulation, in one order: by time, and
// at one moment in the order in which it was added. It serves simulations and tests.
//
//	a := agenda.New[time.Time, func()](time.Time.Compare)
//	a.Add(now.Add(d), do)
//	for at, do, ok := a.Due(end); ok; at, do, ok = a.Due(end) {
//		now = at
//		do()
//	}
//
// The package is pure. An [Agenda] must be used by one goroutine.
package agenda

import "container/heap"

// Agenda holds values of type V, each with a time of type T. Make it with [New].
type Agenda[T, V any] struct {
	items items[T, V]
	added uint64
}

// New returns an empty agenda of times that compare orders, as [cmp.Compare] does.
func New[T, V any](compare func(a, b T) int) *Agenda[T, V] {
	return &Agenda[T, V]{items: items[T, V]{compare: compare}}
}

// Add puts a value on the agenda.
func (a *Agenda[T, V]) Add(at T, v V) {
	a.added++
	heap.Push(&a.items, item[T, V]{at, a.added, v})
}

// Due takes the first value off the agenda if its time is end at the latest.
func (a *Agenda[T, V]) Due(end T) (at T, v V, ok bool) {
	if len(a.items.list) == 0 || a.items.compare(a.items.list[0].at, end) > 0 {
		return at, v, false
	}
	first, _ := heap.Pop(&a.items).(item[T, V])
	return first.at, first.value, true
}

// Added returns how many values have been added so far.
func (a *Agenda[T, V]) Added() uint64 { return a.added }

// Clear takes everything off the agenda.
func (a *Agenda[T, V]) Clear() { a.items.list = nil }

// item is a value and its place.
type item[T, V any] struct {
	at    T
	order uint64
	value V
}

// items implements [heap.Interface].
type items[T, V any] struct {
	compare func(a, b T) int
	list    []item[T, V]
}

func (q *items[T, V]) Len() int      { return len(q.list) }
func (q *items[T, V]) Swap(i, j int) { q.list[i], q.list[j] = q.list[j], q.list[i] }

func (q *items[T, V]) Less(i, j int) bool {
	a, b := &q.list[i], &q.list[j]
	if c := q.compare(a.at, b.at); c != 0 {
		return c < 0
	}
	return a.order < b.order
}

func (q *items[T, V]) Push(x any) {
	i, _ := x.(item[T, V])
	q.list = append(q.list, i)
}

func (q *items[T, V]) Pop() any {
	last := len(q.list) - 1
	i := q.list[last]
	q.list[last] = item[T, V]{} // a closure must not outlive its event
	q.list = q.list[:last]
	return i
}
