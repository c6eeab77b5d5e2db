package mailbox

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/espial-go/espial/internal/glob"
)

// Errors that end a subscription.
var (
	// ErrClosed reports a queue or a box that was closed. It satisfies
	// errors.Is(err, net.ErrClosed).
	ErrClosed = fmt.Errorf("mailbox: closed: %w", net.ErrClosed)

	// ErrLagged reports a queue of the policy [Fail] that was full. A larger
	// [Options.MessagesMax] or [Options.BytesMax], or another policy, avoids it.
	ErrLagged = errors.New("mailbox: subscription fell behind")
)

// routesMax is how many topics a box remembers with the queues that want them. Beyond
// it the box forgets all and learns again, at the price of one search for each.
const routesMax = 1024

// Box is the set of subscriptions of a node. Make it with [New].
type Box struct {
	regrouped func() // called without a lock when a subscription of a group came or went

	depot   depot
	holds   holds
	dropped atomic.Uint64 // messages, by all policies
	changes atomic.Uint64 // of the set, so that a Route knows when it is out of date

	mu     sync.Mutex // guards what follows
	closed bool
	index  glob.Index[*Queue]
	queues []*Queue // in the order of Subscribe; appended to or replaced
	routes map[string]*way
	counts map[string]*atomic.Uint64 // messages of each topic
}

// way is what is known of a topic. It is never modified.
type way struct {
	topic  string
	queues []*Queue // those of no group, in the order of Subscribe
	groups []*group // by name
	count  *atomic.Uint64
}

// Route is where one deliverer's last run went. Messages of one topic come in droves,
// so that it saves nearly every look-up. The zero Route is ready; it is for one
// goroutine at a time.
type Route struct {
	changes uint64
	way     *way // nil at first
}

// New returns a box without subscriptions. When a subscription of a group has come or gone
// it calls regrouped, which must not block.
func New(regrouped func()) *Box {
	return &Box{
		regrouped: regrouped, routes: make(map[string]*way), counts: make(map[string]*atomic.Uint64),
	}
}

// Subscribe adds a subscription to the topics that match a pattern, which the caller
// has checked. Every run that is delivered after its return reaches it. The error is
// [ErrClosed].
func (b *Box) Subscribe(pattern string, o Options) (*Queue, error) {
	q := newQueue(b, o)
	if err := b.add(pattern, q); err != nil {
		return nil, err
	}
	if o.Group != "" {
		b.regrouped()
	}
	return q, nil
}

// add is Subscribe under the lock.
func (b *Box) add(pattern string, q *Queue) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	q.key = b.index.Add(pattern, q)
	q.pattern = pattern
	b.queues = append(b.queues, q)
	b.changed()
	return nil
}

// remove forgets a subscription, once.
func (b *Box) remove(q *Queue) {
	b.mu.Lock()
	removed := b.index.Remove(q.key)
	if removed {
		b.queues = slices.DeleteFunc(slices.Clone(b.queues), func(p *Queue) bool { return p == q })
		b.changed()
	}
	b.mu.Unlock()
	if removed && q.opts.Group != "" {
		b.regrouped()
	}
}

// changed makes everybody look again. The caller holds mu.
func (b *Box) changed() {
	clear(b.routes)
	b.changes.Add(1)
}

// Deliver puts a run into the queue of every subscription that wants the topic, which
// the caller has checked, and returns how many have it then. It never waits. rel is told
// once that all of them have taken the run: before Deliver returns, or later by the
// goroutine of a reader where a queue withholds it; nil if nobody asks. Runs of one
// sender and lane must be delivered one after the other.
func (b *Box) Deliver(rt *Route, topic []byte, r Run, rel Releaser) (queues int) {
	if rt.way == nil || rt.changes != b.changes.Load() || rt.way.topic != string(topic) {
		b.find(rt, topic)
	}
	if len(r.Group) == 0 { // else it was counted as a broadcast
		rt.way.count.Add(uint64(r.Count))
	}
	owed := release{holds: &b.holds, rel: rel, lane: r.Lane, last: r.Last}
	r.Topic = rt.way.topic
	data, owned := r.Data, r.Owned
	r.Owned = true
	e := Entry{Run: r}
	var last *Queue // gets the data itself, when nobody copies them any more
	takers := rt.way.queues
	if len(rt.way.groups) > 0 || len(r.Group) > 0 {
		takers = rt.way.takers(&r)
	}
	for _, q := range takers {
		if q.ended.Load() || !q.opts.wants(r.From, r.Lane) {
			continue
		}
		if last != nil {
			e.Data = b.depot.clone(data)
			if last.put(&e, &owed) {
				queues++
			}
		}
		last = q
	}
	if last != nil {
		if e.Data = data; !owned {
			e.Data = b.depot.clone(data)
		}
		if last.put(&e, &owed) {
			queues++
		}
	}
	owed.done()
	r.Slip.let(false)
	return queues
}

// find makes rt the route of a topic.
func (b *Box) find(rt *Route, topic []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.routes[string(topic)]
	if w == nil {
		if len(b.routes) >= routesMax {
			clear(b.routes)
		}
		w = newWay(string(topic), b.wanting(string(topic)))
		w.count = b.counter(w.topic)
		b.routes[w.topic] = w
	}
	rt.way, rt.changes = w, b.changes.Load()
}

// wanting returns the subscriptions to a topic, in the order of Subscribe. The caller holds mu.
func (b *Box) wanting(topic string) []*Queue {
	return slices.DeleteFunc(b.index.Match(nil, topic), func(q *Queue) bool { return q.opts.excepts(topic) })
}

// Lost puts a loss into every queue, for its messages may have been on any topic, in
// its place between the runs of its lane. It never waits.
func (b *Box) Lost(l Loss) {
	for _, q := range b.all() {
		if q.opts.wants(l.From, l.Lane) {
			q.lose(l)
		}
	}
}

// all returns the subscriptions of now, which the caller must not modify.
func (b *Box) all() []*Queue {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queues
}

// Figures returns how many messages wait in all queues, and how many the policies have
// dropped so far.
func (b *Box) Figures() (waiting, dropped uint64) {
	for _, q := range b.all() {
		waiting += uint64(q.Len())
	}
	return waiting, b.dropped.Load()
}

// Close ends all subscriptions: their readers get what waits, and then [ErrClosed].
func (b *Box) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	for _, q := range b.all() {
		q.end(ErrClosed)
	}
}
