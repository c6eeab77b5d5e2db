package mailbox

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
)

// Queue is a subscription: what waits for its reader.
type Queue struct {
	box     *Box
	key     glob.Key // guarded by the box, as is pattern
	pattern string
	opts    Options
	ready   chan struct{} // holds a token when there is news for the reader
	ended   atomic.Bool   // err is set; saves copying for a queue that takes nothing

	mu    sync.Mutex // guards what follows
	lanes [frame.Lanes]lane
	lost  losses // before everything in lanes
	order uint64 // of the next entry
	err   error  // why nothing more comes; nil while the subscription lasts

	// What follows is the reader's alone: the room of what it took last.
	taken     [frame.Lanes][]Entry
	takenLost losses
	batch     []Entry
}

func newQueue(b *Box, o Options) *Queue {
	q := &Queue{box: b, opts: o.withDefaults(), ready: make(chan struct{}, 1)}
	for _, id := range o.Opening {
		q.Enter(id, StageOpening)
	}
	return q
}

// put adds a run, and reports whether it is in the queue now. What is beyond the limit is
// dealt with as the policy says.
func (q *Queue) put(e *Entry, owed *release) (taken bool) {
	taken, failed, dropped := q.add(e, owed)
	if failed {
		q.box.remove(q)
	}
	abandon(dropped)
	q.wake()
	return taken
}

// add is put under the lock. It also reports whether the subscription ended by it, and the
// slips of what was dropped.
func (q *Queue) add(e *Entry, owed *release) (taken, failed bool, dropped []*Slip) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return false, false, nil
	}
	l := &q.lanes[e.Lane]
	full := l.full(e, &q.opts)
	policy := q.opts.Policy.forLane(e.Lane)
	if policy == Block && e.Loose {
		policy = DropOldest
	}
	if full && policy == Fail {
		over := e.Count - q.takeSome(l, e)
		q.box.dropped.Add(uint64(over))
		q.fail(Loss{From: e.From, Topic: e.Topic, Lane: e.Lane, Count: uint64(over)})
		return false, true, nil
	}
	e.order = q.order
	q.order++
	e.hold = nil
	if full && policy == Block {
		// Under this lock, or the reader could take the run before it is withheld, and
		// would then never let it go.
		e.hold = owed.withhold()
	}
	l.push(e)
	e.Slip.keep()
	if full && policy == DropOldest {
		dropped = q.makeRoom(l)
	}
	return true, false, dropped
}

// makeRoom drops the oldest of a lane that is beyond its limits. The caller holds mu.
func (q *Queue) makeRoom(l *lane) []*Slip {
	n, dropped := l.dropOldest(&q.opts, &q.lost, &q.box.depot)
	q.box.dropped.Add(n)
	return dropped
}

// takeSome adds the messages of a run that fit, and returns how many there are. It is a
// matter of chance how messages come together in runs, and none of the reader's.
func (q *Queue) takeSome(l *lane, e *Entry) (taken int) {
	if taken = q.opts.MessagesMax - l.messages; taken <= 0 || l.bytes+len(e.Data) > q.opts.BytesMax {
		return 0
	}
	some := *e
	some.order, some.hold, some.Count = q.order, nil, taken
	some.Slip.keep()
	rest := e.Data
	for range taken {
		_, rest = frame.NextPayload(rest)
	}
	some.Data = e.Data[:len(e.Data)-len(rest)]
	q.order++
	l.push(&some)
	return taken
}

// fail ends the subscription after a last loss. The caller holds mu.
func (q *Queue) fail(loss Loss) {
	q.lanes[loss.Lane].push(&Entry{Lost: loss, order: q.order})
	q.err = ErrLagged
	q.ended.Store(true)
}

// lose adds a loss behind everything in its lane, or to the loss that is last there.
func (q *Queue) lose(loss Loss) {
	failed, dropped := q.addLoss(loss)
	if failed {
		q.box.remove(q)
	}
	abandon(dropped)
	q.wake()
}

// addLoss is lose under the lock. It returns the same as add.
func (q *Queue) addLoss(loss Loss) (failed bool, dropped []*Slip) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return false, nil
	}
	l := &q.lanes[loss.Lane]
	if last := l.last(); last != nil && last.Lost.like(loss) && last.loss() {
		last.Lost.merge(loss)
		return false, nil
	}
	e := &Entry{Lost: loss, order: q.order}
	switch full, policy := l.full(e, &q.opts), q.opts.Policy.forLane(loss.Lane); {
	case full && policy == Fail:
		q.fail(loss)
		return true, nil
	case full && policy == Block:
		// No sender's window bounds losses, so beyond the limit they are told too
		// early, but together.
		q.lost.add(loss)
		return false, nil
	default:
		q.order++
		l.push(e)
		if full {
			dropped = q.makeRoom(l)
		}
		return false, dropped
	}
}

// wake tells the reader that there is news.
func (q *Queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// Next waits until something is there and returns all of it: first the losses before
// everything else, then runs and losses in the order in which they came. The entries
// are valid until the next call, their Data for as long as the reader likes. The error
// is [ErrClosed] or [ErrLagged] once the subscription has ended and nothing waits, or
// the cause of ctx. Who calls it again has handled what the call before returned, but for
// what it [Entry.Abandoned].
func (q *Queue) Next(ctx context.Context) ([]Entry, error) {
	for i := range q.batch {
		q.batch[i].Handled()
	}
	for {
		batch, err := q.take()
		for i := range batch {
			if h := batch[i].hold; h != nil {
				q.box.holds.let(h)
			}
		}
		if len(batch) > 0 || err != nil {
			return batch, err
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take returns all that waits, or, if that is nothing, why.
func (q *Queue) take() ([]Entry, error) {
	var heads [frame.Lanes]int
	q.mu.Lock()
	err := q.err
	q.lost, q.takenLost = q.takenLost[:0], q.lost
	for i := range q.lanes {
		l := &q.lanes[i]
		heads[i] = l.head
		q.taken[i], *l = l.entries, lane{entries: q.taken[i]}
	}
	q.mu.Unlock()

	q.batch = emptied(q.batch)
	for _, loss := range q.takenLost {
		q.batch = append(q.batch, Entry{Lost: loss})
	}
	clear(q.takenLost)
	q.merge(q.taken[0][heads[0]:], q.taken[1][heads[1]:])
	for i := range q.taken {
		q.taken[i] = emptied(q.taken[i]) // the batch alone keeps what was taken alive
	}
	if len(q.batch) > 0 {
		err = nil
	}
	return q.batch, err
}

// roomMax is how many entries a slice has room for that is kept for later.
const roomMax = 2048

// emptied returns s for use again, or nothing if a burst made it large.
func emptied(s []Entry) []Entry {
	if cap(s) > roomMax {
		return nil
	}
	clear(s)
	return s[:0]
}

// merge appends what waited of both lanes to the batch, in the order of arrival.
func (q *Queue) merge(a, b []Entry) {
	for len(a) > 0 && len(b) > 0 {
		if a[0].order < b[0].order {
			q.batch, a = append(q.batch, a[0]), a[1:]
		} else {
			q.batch, b = append(q.batch, b[0]), b[1:]
		}
	}
	q.batch = append(append(q.batch, a...), b...)
}

// Reuse takes back the Data of an entry of which nobody needs a byte any more. With it
// the way from a link to a reader that decodes its messages allocates nothing. A reader
// that hands the bytes on does not call it. It may be called by any goroutine.
func (q *Queue) Reuse(data []byte) { q.box.depot.put(data) }

// Len returns how many messages wait.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lanes[frame.Broadcast].messages + q.lanes[frame.Direct].messages
}

// end lets the reader have what waits, and err after it.
func (q *Queue) end(err error) {
	q.mu.Lock()
	if q.err == nil {
		q.err = err
		q.ended.Store(true)
	}
	q.mu.Unlock()
	q.wake()
}

// Close ends the subscription and drops what waits: a Next that waits returns
// [ErrClosed], and what was withheld is released. Any goroutine may call it, and more
// than once. What the reader took before stays valid.
func (q *Queue) Close() {
	q.box.remove(q)
	q.mu.Lock()
	q.err = ErrClosed
	q.ended.Store(true)
	dropped := q.lanes
	q.lanes, q.lost = [frame.Lanes]lane{}, nil
	q.mu.Unlock()
	q.wake()
	for i := range dropped {
		for _, e := range dropped[i].entries {
			if e.hold != nil {
				q.box.holds.let(e.hold)
			}
			e.Slip.let(false)
		}
	}
}
