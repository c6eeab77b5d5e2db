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

// Origin is one incarnation of a sender.
type Origin struct {
	ID  ident.NodeID
	Inc ident.Incarnation
}

// Enter tells the reader that a member begins to replay, or has done so. It takes its place
// behind the runs that were delivered before.
func (q *Queue) Enter(from Origin, s Stage) {
	q.mu.Lock()
	if q.err == nil {
		run := Run{From: from.ID, Inc: from.Inc}
		q.lanes[frame.Direct].push(&Entry{Run: run, Stage: s, order: q.order})
		q.order++
	}
	q.mu.Unlock()
	q.wake()
}

// Replay puts a run that a member replays into this queue alone, as [Box.Deliver] does. It was
// broadcast when it was new, and is left out if the broadcasts of that member are.
func (q *Queue) Replay(topic string, r Run, rel Releaser) {
	owed := release{holds: &q.box.holds, rel: rel, lane: r.Lane, last: r.Last}
	defer owed.done()
	if !q.opts.wants(r.From, frame.Broadcast) || q.opts.excepts(topic) {
		return
	}
	r.Topic, r.Past = topic, true
	e := Entry{Run: r}
	if !r.Owned {
		e.Data = q.box.depot.clone(r.Data)
	}
	e.Owned = true
	q.put(&e, &owed)
}

// Ended reports whether nothing is put into the queue any more.
func (q *Queue) Ended() bool { return q.ended.Load() }

// Limits of a [CatchUp].
const (
	// backlogMax and backlogBytesMax are how many messages of one sender it holds back at
	// most, and how many bytes of them.
	backlogMax      = 4096
	backlogBytesMax = BytesMaxDefault

	// hadMax is of how many senders it remembers what the reader has had. Beyond it one of
	// them is forgotten, so that the reader may get again what it had, should that one
	// return after a split.
	hadMax = 4096
)

// CatchUp is for the reader of a subscription to which members replay what they published
// before: it puts that in front of what they publish now, and leaves out what the reader
// has had. It is a state machine without I/O.
type CatchUp struct {
	open  map[Origin]*backlog
	begun int                  // how often one was opened
	had   map[Origin]ident.Seq // the last broadcast that the reader has had
}

// backlog is what a sender published while it replays.
type backlog struct {
	from    Origin
	begun   int // the higher, the later
	entries []Entry
	count   int
	bytes   int
	first   ident.Seq // number of the first message; 0 for none yet
}

// Take takes the next entry of the queue and appends to dst what the reader is to get now.
func (c *CatchUp) Take(dst []Entry, e Entry) []Entry {
	if c.open == nil {
		c.open, c.had = map[Origin]*backlog{}, map[Origin]ident.Seq{}
	}
	from := Origin{e.From, e.Inc}
	b := c.open[from]
	if e.loss() {
		b = c.latest(e.Lost.From)
	}
	switch {
	case e.Stage == StageOpening:
		if b == nil {
			c.begun++
			c.open[from] = &backlog{from: from, begun: c.begun}
		}
		return dst
	case e.Stage == StageDone:
		return c.release(dst, b)
	case e.Past && c.stale(&e, b):
		e.Handled() // not for this reader, who has it or will have it
		return dst
	case e.Past, b == nil, !e.loss() && e.Lane == frame.Direct:
		return c.give(dst, e)
	default:
		if b.add(e); b.count > backlogMax || b.bytes > backlogBytesMax {
			return c.release(dst, b) // its past comes too late, if at all
		}
		return dst
	}
}

// latest returns the backlog of a node, whose losses have no incarnation; nil for none.
func (c *CatchUp) latest(id ident.NodeID) (b *backlog) {
	for from, other := range c.open {
		if from.ID == id && (b == nil || other.begun > b.begun) {
			b = other
		}
	}
	return b
}

// stale reports whether the reader has had a message that is replayed, or has it in the
// backlog b.
func (c *CatchUp) stale(e *Entry, b *backlog) bool {
	return e.First <= c.had[Origin{e.From, e.Inc}] || b != nil && b.first != 0 && e.First >= b.first
}

// add holds an entry back.
func (b *backlog) add(e Entry) {
	if b.first == 0 && !e.loss() {
		b.first = e.First
	}
	b.entries = append(b.entries, e)
	b.count += e.load()
	b.bytes += len(e.Data)
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

// release gives what was held back of a sender; nothing for nil.
func (c *CatchUp) release(dst []Entry, b *backlog) []Entry {
	if b == nil {
		return dst
	}
	delete(c.open, b.from)
	for _, e := range b.entries {
		dst = c.give(dst, e)
	}
	return dst
}

// give appends an entry and notes what the reader has, which a run that is new leaves out: its
// messages may have been replayed while it waited to be sent.
func (c *CatchUp) give(dst []Entry, e Entry) []Entry {
	if e.loss() || !e.Past && e.Lane == frame.Direct {
		return append(dst, e)
	}
	from := Origin{e.From, e.Inc}
	if had := c.had[from]; e.First <= had {
		n := had - e.First + 1
		if n >= ident.Seq(e.Count) {
			e.Handled()
			return dst
		}
		e.cut(int(n))
	}
	c.note(from, e.First+ident.Seq(e.Count)-1)
	return append(dst, e)
}

// note notes the last message that the reader has of a sender.
func (c *CatchUp) note(from Origin, last ident.Seq) {
	if _, known := c.had[from]; !known && len(c.had) >= hadMax {
		for other := range c.had {
			delete(c.had, other)
			break
		}
	}
	c.had[from] = last
}
