package mailbox

import (
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Stage is where a member is in replaying what it keeps.
type Stage uint8

// The stages.
const (
	StageNone    Stage = iota
	StageOpening       // it will replay
	StageDone          // it has replayed all
)

// Enter tells the reader that a member begins to replay, or has done so. It takes its place
// behind the runs that were delivered before.
func (q *Queue) Enter(from ident.NodeID, s Stage) {
	q.mu.Lock()
	if q.err == nil {
		q.lanes[frame.Direct].push(&Entry{Run: Run{From: from}, Stage: s, order: q.order})
		q.order++
	}
	q.mu.Unlock()
	q.wake()
}

// Replay puts a run that a member replays into this queue alone, as [Box.Deliver] does. It was
// broadcast when it was new, and is left out if the broadcasts of that member are.
func (q *Queue) Replay(topic string, r Run, rel Releaser) {
	owed := release{holds: &q.box.holds, rel: rel, lane: r.Lane, last: r.Last}
	if !q.opts.wants(r.From, frame.Broadcast) {
		owed.done()
		return
	}
	r.Topic, r.Past = topic, true
	e := Entry{Run: r}
	if !r.Owned {
		e.Data = q.box.depot.clone(r.Data)
	}
	e.Owned = true
	q.put(&e, &owed)
	owed.done()
}

// Ended reports whether nothing is put into the queue any more.
func (q *Queue) Ended() bool { return q.ended.Load() }

// backlogMax is how many messages of one sender a [CatchUp] holds back at most.
const backlogMax = 4096

// CatchUp is for the reader of a subscription to which members replay what they published
// before: it puts that in front of what they publish now, and leaves out what the reader
// has had. It is a state machine without I/O.
type CatchUp struct {
	open map[ident.NodeID]*backlog
	had  map[source]ident.Seq // the last broadcast that the reader has had
}

// source is one incarnation of a sender.
type source struct {
	id  ident.NodeID
	inc ident.Incarnation
}

// backlog is what a sender published while it replays.
type backlog struct {
	entries []Entry
	count   int
	first   ident.Seq // number of the first message; 0 for none yet
}

// Take takes the next entry of the queue and appends to dst what the reader is to get now.
func (c *CatchUp) Take(dst []Entry, e Entry) []Entry {
	if c.open == nil {
		c.open, c.had = map[ident.NodeID]*backlog{}, map[source]ident.Seq{}
	}
	from := e.From
	if e.loss() {
		from = e.Lost.From
	}
	switch b := c.open[from]; {
	case e.Stage == StageOpening:
		if b == nil {
			c.open[from] = &backlog{}
		}
		return dst
	case e.Stage == StageDone:
		return c.release(dst, from)
	case e.Past && c.stale(&e, b):
		e.Handled() // not for this reader, who has it or will have it
		return dst
	case e.Past, b == nil, !e.loss() && e.Lane == frame.Direct:
		return c.give(dst, e)
	default:
		if b.add(e); b.count > backlogMax {
			return c.release(dst, from) // its past comes too late, if at all
		}
		return dst
	}
}

// stale reports whether the reader has had a message that is replayed, or has it in the
// backlog b.
func (c *CatchUp) stale(e *Entry, b *backlog) bool {
	return e.First <= c.had[source{e.From, e.Inc}] || b != nil && b.first != 0 && e.First >= b.first
}

// add holds an entry back.
func (b *backlog) add(e Entry) {
	if b.first == 0 && !e.loss() {
		b.first = e.First
	}
	b.entries = append(b.entries, e)
	b.count += e.load()
}

// Abandon is for a reader that ends: what is held back has no reader any more.
func (c *CatchUp) Abandon() {
	for _, b := range c.open {
		for i := range b.entries {
			b.entries[i].Abandoned()
		}
	}
	clear(c.open)
}

// release gives what was held back of a sender.
func (c *CatchUp) release(dst []Entry, from ident.NodeID) []Entry {
	b := c.open[from]
	delete(c.open, from)
	if b == nil {
		return dst
	}
	for _, e := range b.entries {
		dst = c.give(dst, e)
	}
	return dst
}

// give appends an entry and notes what the reader has.
func (c *CatchUp) give(dst []Entry, e Entry) []Entry {
	if !e.loss() && (e.Past || e.Lane == frame.Broadcast) {
		s := source{e.From, e.Inc}
		c.had[s] = max(c.had[s], e.First+ident.Seq(e.Count)-1)
	}
	return append(dst, e)
}
