// Package mailbox holds the queues of subscriptions: what arrives is put into the
// queue of every subscription whose pattern matches, and each subscriber reads its own
// at its own pace.
//
//	q, err := box.Subscribe("orders.>", mailbox.Options{})
//	box.Deliver(&route, topic, run, releaser) // never waits
//	batch, err := q.Next(ctx)                 // waits for something to read
//
// Runs of messages cross from the goroutine that delivers to the one that reads, never
// single messages: handing over each of them alone costs as much as encrypting it.
//
// A full queue never makes Deliver wait. What happens instead is the subscription's
// [Policy]: the run is kept and the sender's acknowledgement withheld until the reader
// took it; or the oldest messages are dropped and counted; or the subscription ends.
//
// All methods may be called from many goroutines, but runs of one sender and lane
// arrive in order only if one goroutine delivers them.
package mailbox

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
)

// Errors of a queue.
var (
	// ErrLagged ends a subscription with policy [Fail] whose queue was full.
	ErrLagged = errors.New("mailbox: subscription fell behind")

	// ErrClosed ends a subscription that was closed.
	ErrClosed = errors.New("mailbox: closed")
)

// Run is consecutive messages of one sender, lane and topic.
type Run struct {
	Topic string // set by Deliver
	From  ident.NodeID
	Name  string // the sender's
	Lane  frame.Lane
	First ident.Seq
	Codec uint8
	Data  []byte // a run as [frame.NextPayload] walks it; Deliver copies it for each queue
	Count int    // messages in Data
	At    time.Time
}

// last returns the number of the last message.
func (r *Run) last() ident.Seq { return r.First + ident.Seq(r.Count) - 1 }

// Loss is messages that a subscription will never get.
type Loss struct {
	From  ident.NodeID
	Topic string // empty if unknown
	Count uint64
}

// Releaser is told once for each run when no queue withholds it any more. It may be
// called from within Deliver or by a reader, never under a lock.
type Releaser interface {
	Release(lane frame.Lane, last ident.Seq)
}

// Box is the set of subscriptions of a node.
type Box struct {
	changes atomic.Uint64 // of the set, so that routes know when they are out of date

	mu     sync.RWMutex // guards what follows
	index  glob.Index[*Queue]
	queues map[*Queue]glob.Key
	closed bool

	dropped atomic.Uint64 // messages that queues dropped
}

// New returns a box without subscriptions.
func New() *Box { return &Box{queues: map[*Queue]glob.Key{}} }

// Subscribe adds a subscription to the topics that match a checked pattern. It
// registers at once; messages wait in the queue until they are read.
func (b *Box) Subscribe(pattern string, o Options) (*Queue, error) {
	q := newQueue(b, o)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	b.queues[q] = b.index.Add(pattern, q)
	b.changes.Add(1)
	return q, nil
}

func (b *Box) remove(q *Queue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k, ok := b.queues[q]; ok {
		b.index.Remove(k)
		delete(b.queues, q)
		b.changes.Add(1)
	}
}

// Route is where one deliverer's last run went. Messages of one topic come in droves,
// so that this saves nearly every look-up. The zero value is ready; it is for one
// goroutine at a time.
type Route struct {
	changes uint64
	topic   string
	queues  []*Queue
	ticket  *ticket
}

// find makes rt the route of topic.
func (b *Box) find(rt *Route, topic []byte) {
	rt.changes = b.changes.Load() // before the look-up: a later change is seen next time
	if rt.topic != string(topic) {
		rt.topic = string(topic)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	rt.queues = b.index.Match(rt.queues[:0], rt.topic)
}

// Deliver puts a run into every queue that matches its topic and returns how many
// there are. It never waits. r.Data is copied.
func (b *Box) Deliver(rt *Route, topic []byte, r Run, rel Releaser) (queues int) {
	if rt.changes != b.changes.Load() || rt.topic != string(topic) || rt.topic == "" {
		b.find(rt, topic)
	}
	last := r.last()
	if len(rt.queues) == 0 {
		rel.Release(r.Lane, last)
		return 0
	}
	if rt.ticket == nil {
		rt.ticket = &ticket{}
	}
	t := rt.ticket
	t.rel, t.lane, t.last = rel, r.Lane, last
	t.left.Store(1)
	r.Topic = rt.topic
	data := r.Data
	for _, q := range rt.queues {
		r.Data = bytes.Clone(data) // Event.Data belongs to the receiver
		if q.push(r, t) {
			rt.ticket = nil // a queue keeps it
		}
	}
	t.done()
	return len(rt.queues)
}

// ticket counts the queues that withhold a run, and its deliverer.
type ticket struct {
	left atomic.Int32
	rel  Releaser
	lane frame.Lane
	last ident.Seq
}

func (t *ticket) done() {
	if t.left.Add(-1) == 0 {
		t.rel.Release(t.lane, t.last)
	}
}

// Lost tells every subscription that messages are missing for good.
func (b *Box) Lost(l Loss) {
	for _, q := range b.all() {
		q.lose(l)
	}
}

func (b *Box) all() []*Queue {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]*Queue, 0, len(b.queues))
	for q := range b.queues {
		all = append(all, q)
	}
	return slices.Clip(all)
}

// Figures returns how many messages wait in all queues, and how many were dropped.
func (b *Box) Figures() (waiting, dropped uint64) {
	for _, q := range b.all() {
		waiting += uint64(q.Len())
	}
	return waiting, b.dropped.Load()
}

// Close ends all subscriptions; what is queued can still be read.
func (b *Box) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	for _, q := range b.all() {
		q.end(ErrClosed)
	}
}
