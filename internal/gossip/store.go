package gossip

import (
	"cmp"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Overhead is what a batch counts beyond its frame against the budget of the store, in
// bytes, so that a flood of tiny batches is bounded too.
const Overhead = 256

// batchCost is what the largest batch counts, in bytes.
const batchCost = frame.Max + Overhead

// freeMax is how many entries wait for their next use. More than that is a burst.
const freeMax = 1024

// store keeps batches for neighbours that miss them, within a budget of bytes, for a time.
type store struct {
	max   int           // bytes
	age   time.Duration // of a batch
	bytes int           // cost of all entries
	held  int           // cost of those that wait for what comes before them
	aged  list          // delivered, by the time of that
	free  []*entry
}

// entry is a batch in memory: stored, once everything before it was delivered or lost, or
// held until then.
type entry struct {
	batch      frame.Relay
	origin     *origin
	at         time.Time // of the delivery, or when it came as long as it is held
	prev, next *entry    // in store.aged, unless it is held
}

// cost returns what the entry counts against budgets, in bytes.
func (e *entry) cost() int { return e.batch.Size() + Overhead }

// entry returns an entry for a batch.
func (s *store) entry(o *origin, b *frame.Relay) *entry {
	var e *entry
	if n := len(s.free); n > 0 {
		e, s.free = s.free[n-1], s.free[:n-1]
	} else {
		e = new(entry)
	}
	e.batch, e.origin = *b, o
	return e
}

// release gives an entry back that is in no list.
func (s *store) release(e *entry) {
	*e = entry{} // so that it keeps no batch alive
	if len(s.free) < freeMax {
		s.free = append(s.free, e)
	}
}

// quota is what one origin may have in the store, in bytes.
func (s *store) quota() int { return s.max / 4 }

// holdMax is how much may be held of all origins together, and originHoldMax of one of
// them, in bytes. The largest batch fits.
func (s *store) holdMax() int       { return max(s.max/4, batchCost) }
func (s *store) originHoldMax() int { return max(s.max/16, batchCost) }

// keep stores an entry that was just delivered.
func (s *store) keep(now time.Time, e *entry) {
	o := e.origin
	e.at = now
	if all := o.stored.all(); len(all) > 0 && all[len(all)-1].batch.Last+1 != e.batch.First {
		s.clear(o, false) // what came late has not come to its end
	}
	o.proof = nil // the newest batch is one
	o.stored.push(e)
	o.storedBytes += e.cost()
	s.bytes += e.cost()
	s.aged.push(e)
	for o.storedBytes > s.quota() {
		s.drop(o.stored.first())
	}
	s.fit()
}

// fit drops what was delivered longest ago until the store is within its budget. What is
// held has a limit of its own below that.
func (s *store) fit() {
	for s.bytes > s.max && s.aged.first != nil {
		s.drop(s.aged.first)
	}
}

// expire drops what is too old, and what will be soon, so that it is not called for each
// batch.
func (s *store) expire(now time.Time) {
	for s.aged.first != nil && now.Sub(s.aged.first.at) >= s.age-s.age/60 {
		s.drop(s.aged.first)
	}
}

// drop forgets the oldest stored entry of an origin. Of the last one the proof stays of how
// far the origin came: whoever missed everything learns by it how much that was.
func (s *store) drop(e *entry) {
	o := e.origin
	if o.stored.len() == 1 {
		p := e.batch.Proof()
		p.Signature = slices.Clone(p.Signature)
		o.proof = &p
	}
	s.aged.remove(e)
	o.stored.pop()
	o.storedBytes -= e.cost()
	s.bytes -= e.cost()
	s.release(e)
}

// room reports whether a batch that came before its turn can be held. What is held beyond
// it gives way: what has its turn first is worth most.
func (s *store) room(o *origin, b *frame.Relay) bool {
	cost := b.Size() + Overhead
	own, all := o.heldBytes+cost-s.originHoldMax(), s.held+cost-s.holdMax()
	for i := len(o.held) - 1; i >= 0 && max(own, all) > 0 && o.held[i].batch.First > b.Last; i-- {
		own -= o.held[i].cost()
		all -= o.held[i].cost()
	}
	return max(own, all) <= 0
}

// hold keeps a batch that came before its turn. There must be room.
func (s *store) hold(now time.Time, o *origin, b *frame.Relay) {
	e := s.entry(o, b)
	e.at = now
	for o.heldBytes+e.cost() > s.originHoldMax() || s.held+e.cost() > s.holdMax() {
		s.release(s.unhold(o, len(o.held)-1))
	}
	at, _ := o.heldAt(b.First)
	o.held = slices.Insert(o.held, at, e)
	o.heldBytes += e.cost()
	s.held += e.cost()
	s.bytes += e.cost()
	s.fit()
}

// unhold takes a held entry out.
func (s *store) unhold(o *origin, at int) *entry {
	e := o.held[at]
	o.held = slices.Delete(o.held, at, at+1)
	if len(o.held) == 0 {
		o.held = nil
	}
	o.heldBytes -= e.cost()
	s.held -= e.cost()
	s.bytes -= e.cost()
	return e
}

// clear forgets what is stored of an origin, and if all is set what is held, too.
func (s *store) clear(o *origin, all bool) {
	for o.stored.len() > 0 {
		s.drop(o.stored.first())
	}
	for all && len(o.held) > 0 {
		s.release(s.unhold(o, 0))
	}
}

// clashes reports whether a batch that is not held has numbers of one that is.
func (o *origin) clashes(b *frame.Relay) bool {
	at, found := o.heldAt(b.First)
	return found || at > 0 && o.held[at-1].batch.Last >= b.First ||
		at < len(o.held) && o.held[at].batch.First <= b.Last
}

// heldAt returns the place of the held batch that begins with a number, and whether it is
// there.
func (o *origin) heldAt(first ident.Seq) (at int, found bool) {
	return slices.BinarySearchFunc(o.held, first, func(e *entry, first ident.Seq) int {
		return cmp.Compare(e.batch.First, first)
	})
}

// list is a doubly linked list of entries, the oldest first.
type list struct{ first, last *entry }

func (l *list) push(e *entry) {
	e.prev, e.next = l.last, nil
	if l.last == nil {
		l.first = e
	} else {
		l.last.next = e
	}
	l.last = e
}

func (l *list) remove(e *entry) {
	if e.prev == nil {
		l.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
}

// fifo is a queue of entries by ascending numbers. In the steady state it allocates
// nothing.
type fifo struct {
	buf  []*entry
	head int
}

func (f *fifo) len() int { return len(f.buf) - f.head }

// first returns the oldest entry.
func (f *fifo) first() *entry { return f.buf[f.head] }

func (f *fifo) push(e *entry) {
	if len(f.buf) == cap(f.buf) && 2*f.head > len(f.buf) {
		n := copy(f.buf, f.buf[f.head:])
		clear(f.buf[n:])
		f.buf, f.head = f.buf[:n], 0
	}
	f.buf = append(f.buf, e)
}

func (f *fifo) pop() {
	f.buf[f.head] = nil
	if f.head++; f.head == len(f.buf) {
		f.buf, f.head = f.buf[:0], 0
	}
}

// all returns the entries.
func (f *fifo) all() []*entry { return f.buf[f.head:] }

// from returns the entries from the one on that has a number, none if no entry has it.
func (f *fifo) from(n ident.Seq) []*entry {
	all := f.all()
	at, _ := slices.BinarySearchFunc(all, n, func(e *entry, n ident.Seq) int {
		return cmp.Compare(e.batch.Last, n)
	})
	if at == len(all) || all[at].batch.First > n {
		return nil
	}
	return all[at:]
}
