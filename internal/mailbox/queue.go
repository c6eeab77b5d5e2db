package mailbox

import (
	"context"
	"slices"
	"sync"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Defaults of [Options].
const (
	messagesMaxDefault = 1024
	bytesMaxDefault    = 8 << 20
)

// Policy says what happens to a run that finds the queue full.
type Policy uint8

// The policies.
const (
	Auto       Policy = iota // Block on the direct lane, DropOldest on the broadcast lane
	Block                    // keep it, and withhold its release until the reader took it
	DropOldest               // drop the oldest messages and count them
	Fail                     // end the subscription with ErrLagged
)

// Options are the settings of a subscription; zero fields mean the default.
type Options struct {
	MessagesMax int // messages that wait; default 1,024
	BytesMax    int // bytes that wait; default 8 MiB
	Policy      Policy
}

// Entry is one thing to read: a run, or a loss if Lost.Count is not zero.
type Entry struct {
	Run
	Lost Loss

	order  uint64  // of arrival in the queue
	ticket *ticket // to be done when the reader has the run; nil if it was not withheld
}

// lane is the entries of one lane that wait.
type lane struct {
	entries  []Entry
	messages int
	bytes    int
}

// Queue is one subscription's.
type Queue struct {
	box   *Box
	o     Options
	ready chan struct{} // holds a token while there may be something to read

	mu    sync.Mutex // guards what follows
	lanes [frame.Lanes]lane
	lags  []Loss // dropped from the front, by sender and topic
	order uint64
	err   error // why it ended
	spare []Entry
}

func newQueue(b *Box, o Options) *Queue {
	if o.MessagesMax <= 0 {
		o.MessagesMax = messagesMaxDefault
	}
	if o.BytesMax <= 0 {
		o.BytesMax = bytesMaxDefault
	}
	return &Queue{box: b, o: o, ready: make(chan struct{}, 1)}
}

// policy returns what holds for a lane.
func (q *Queue) policy(l frame.Lane) Policy {
	if q.o.Policy != Auto {
		return q.o.Policy
	}
	if l == frame.Direct {
		return Block
	}
	return DropOldest
}

// push adds a run and reports whether the queue keeps the ticket.
func (q *Queue) push(r Run, t *ticket) (withheld bool) {
	q.mu.Lock()
	if q.err != nil {
		q.mu.Unlock()
		return false
	}
	l := &q.lanes[r.Lane]
	full := l.messages+r.Count > q.o.MessagesMax || l.bytes+len(r.Data) > q.o.BytesMax
	e := Entry{Run: r, order: q.order}
	q.order++
	switch policy := q.policy(r.Lane); {
	case full && policy == Block:
		t.left.Add(1)
		e.ticket, withheld = t, true
	case full && policy == Fail:
		q.err = ErrLagged
		q.lag(Loss{From: r.From, Topic: r.Topic, Count: uint64(r.Count)})
		q.mu.Unlock()
		q.box.remove(q)
		q.signal()
		return false
	}
	l.entries = append(l.entries, e)
	l.messages += r.Count
	l.bytes += len(r.Data)
	if full && q.policy(r.Lane) == DropOldest {
		q.trim(l)
	}
	q.mu.Unlock()
	q.signal()
	return withheld
}

// trim drops the oldest messages of a lane until the rest fits; one message always
// stays, however large. The caller holds mu.
func (q *Queue) trim(l *lane) {
	dropped, whole := 0, 0
	for l.messages > q.o.MessagesMax || l.bytes > q.o.BytesMax && l.messages > 1 {
		e := &l.entries[whole]
		over := l.messages - q.o.MessagesMax
		if l.bytes > q.o.BytesMax {
			over = max(over, 1)
		}
		n := min(e.Count, over)
		before := len(e.Data)
		for range n {
			_, e.Data = frame.NextPayload(e.Data)
		}
		e.First, e.Count = e.First+ident.Seq(n), e.Count-n
		l.messages -= n
		l.bytes -= before - len(e.Data)
		if n > 0 {
			q.lag(Loss{From: e.From, Topic: e.Topic, Count: uint64(n)})
			dropped += n
		}
		if e.Count == 0 {
			if e.Lost.Count > 0 {
				q.lag(e.Lost)
			}
			whole++
		}
	}
	l.entries = slices.Delete(l.entries, 0, whole)
	q.box.dropped.Add(uint64(dropped))
}

// lagsMax bounds the senders and topics whose losses are counted apart.
const lagsMax = 1024

// lag counts a loss that comes before everything in the queue. The caller holds mu.
func (q *Queue) lag(l Loss) {
	i := slices.IndexFunc(q.lags, func(k Loss) bool { return k.From == l.From && k.Topic == l.Topic })
	switch {
	case i >= 0:
		q.lags[i].Count += l.Count
	case len(q.lags) < lagsMax:
		q.lags = append(q.lags, l)
	default:
		q.lags[len(q.lags)-1].Count += l.Count
	}
}

// lose adds a loss behind everything in the queue, or to the loss that is last there.
func (q *Queue) lose(l Loss) {
	q.mu.Lock()
	defer q.signal()
	defer q.mu.Unlock()
	if q.err != nil {
		return
	}
	b := &q.lanes[frame.Broadcast]
	if n := len(b.entries); n > 0 && b.entries[n-1].Lost.Count > 0 && b.entries[n-1].Lost.From == l.From {
		b.entries[n-1].Lost.Count += l.Count
		return
	}
	b.entries = append(b.entries, Entry{Lost: l, order: q.order})
	q.order++
}

// signal wakes the reader.
func (q *Queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// Next waits until there is something to read and returns all of it: losses at the
// front first, then runs in the order in which they came. The slice is valid until the
// next call. The error, [ErrClosed], [ErrLagged] or ctx's, comes with the last batch.
func (q *Queue) Next(ctx context.Context) ([]Entry, error) {
	for {
		batch, err := q.take()
		for i := range batch {
			if t := batch[i].ticket; t != nil {
				batch[i].ticket = nil
				t.done()
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

// take empties the queue into the spare slice.
func (q *Queue) take() ([]Entry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.spare) // what the reader had is the reader's alone
	out := q.spare[:0]
	for _, l := range q.lags {
		out = append(out, Entry{Lost: l})
	}
	q.lags = q.lags[:0]
	a, b := q.lanes[0].entries, q.lanes[1].entries
	for len(a) > 0 && len(b) > 0 {
		if a[0].order < b[0].order {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	out = append(append(out, a...), b...)
	for i := range q.lanes {
		l := &q.lanes[i]
		clear(l.entries)
		*l = lane{entries: l.entries[:0]}
	}
	q.spare = out
	return out, q.err
}

// Len returns how many messages wait.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lanes[0].messages + q.lanes[1].messages
}

// Close ends the subscription and forgets what is queued. The reader may still be in
// Next, or at work on its last batch.
func (q *Queue) Close() {
	q.box.remove(q)
	q.end(ErrClosed)
	for _, t := range q.forget() {
		t.done()
	}
}

// forget empties the queue and returns the tickets of what was withheld.
func (q *Queue) forget() (tickets []*ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.lanes {
		for _, e := range q.lanes[i].entries {
			if e.ticket != nil {
				tickets = append(tickets, e.ticket)
			}
		}
		q.lanes[i] = lane{}
	}
	return tickets
}

// end makes Next return err when the queue is empty.
func (q *Queue) end(err error) {
	q.mu.Lock()
	if q.err == nil {
		q.err = err
	}
	q.mu.Unlock()
	q.signal()
}
