package espial

import (
	"maps"
	"net"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/ident"
)

// When a stream that failed or broke is opened again.
const (
	againAfter = time.Second      // at first
	againMost  = 30 * time.Second // at most; a stream that lasted so long did not fail
)

// tie is what a loop with [Persist] knows of one start of a member.
type tie struct {
	inc    ident.Incarnation
	busy   bool          // it has a stream, or one is being opened
	served bool          // it had its stream since it came, or began to listen
	since  time.Time     // when it got the last one
	delay  time.Duration // before the next try, if one is needed
	due    time.Time     // when that is
}

// later puts the next try off.
func (t *tie) later(now time.Time) {
	t.delay = min(max(2*t.delay, againAfter), againMost)
	t.served, t.due = false, now.Add(t.delay)
}

// anew is for a member that comes, or begins to listen, the next time.
func (t *tie) anew() { t.served, t.delay, t.due = false, 0, time.Time{} }

// parted is a stream of a tie that is over.
type parted struct {
	tie    *tie
	broken bool // by the connection
}

// persistence is the state of a loop with [Persist].
type persistence struct {
	*fan

	target *Target
	ties   map[ident.NodeID]*tie
	parted chan parted
}

// persist opens streams to the members that t means and that listen, until ctx or the node ends.
func (f *fan) persist(t *Target, yield func(net.Conn, error) bool) {
	feed := f.n.eng.Changes(f.ctx)
	defer feed.Close()
	p := &persistence{fan: f, target: t, ties: map[ident.NodeID]*tie{}, parted: make(chan parted)}
	changes := make(chan []engine.Change)
	f.workers.Go(func() { p.read(feed, changes) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if at := p.begin(time.Now()); !at.IsZero() {
			timer.Reset(time.Until(at))
		}
		select {
		case batch, ok := <-changes:
			if !ok {
				if f.ctx.Err() == nil {
					yield(nil, &StreamError{Service: f.service, Err: ErrClosed})
				}
				return
			}
			for i := range batch {
				p.see(&batch[i])
			}
		case r := <-f.results:
			if f.ctx.Err() != nil && r.err != nil {
				return
			}
			p.take(r, time.Now())
			if !f.yielded(r, yield) {
				return
			}
		case e := <-p.parted:
			p.part(e, time.Now())
		case <-timer.C:
		case <-f.ctx.Done():
			return
		}
	}
}

// read hands the changes of a feed on until it or the loop ends.
func (p *persistence) read(feed *engine.Feed, changes chan<- []engine.Change) {
	defer close(changes)
	for {
		batch, lost, err := feed.Next(p.ctx)
		if err != nil {
			return
		}
		if batch = slices.DeleteFunc(batch, ofStream); len(batch) == 0 && lost == 0 {
			continue
		}
		select {
		case changes <- batch:
		case <-p.over:
			return
		}
	}
}

// ofStream reports whether a change is that of a stream, of which there may be very many.
func ofStream(c engine.Change) bool {
	switch c.Note {
	case engine.NoteStreamOpened, engine.NoteStreamClosed, engine.NoteStreamTimeout:
		return true
	default:
		return false
	}
}

// see takes a change in the members. What they are and what they listen on is looked up when all
// of a batch are seen: here is told what was different in between.
func (p *persistence) see(c *engine.Change) {
	gone := c.Note == engine.NoteNone && c.Kind == core.RemovedNode
	deaf := c.Note == engine.NoteServiceRemoved && c.Service == p.service
	if t := p.ties[c.Member.Record.ID]; t != nil && (gone || deaf) {
		t.anew()
	}
}

// begin opens the streams that are due, and returns when the next one will be; zero for never.
func (p *persistence) begin(now time.Time) (next time.Time) {
	for _, id := range p.chosen(p.listening(), now) {
		t := p.ties[id]
		switch {
		case t.busy || t.served:
		case t.due.After(now):
			if next.IsZero() || t.due.Before(next) {
				next = t.due
			}
		default:
			t.busy = true
			p.open(id, t)
		}
	}
	return next
}

// listening returns whom the target means of those that listen, each with a tie of its present
// start. Of others there is none, unless a stream is left.
func (p *persistence) listening() []ident.NodeID {
	var ids []ident.NodeID
	meant := map[ident.NodeID]bool{}
	for _, m := range p.n.eng.View().Members {
		id := m.Record.ID
		if listens, _ := p.n.listens(id, p.service); !listens || !p.target.means(p.n, &m) {
			continue
		}
		if t := p.ties[id]; t == nil || t.inc != m.Record.Incarnation {
			p.ties[id] = &tie{inc: m.Record.Incarnation}
		}
		ids, meant[id] = append(ids, id), true
	}
	maps.DeleteFunc(p.ties, func(id ident.NodeID, t *tie) bool {
		if !meant[id] {
			t.anew()
		}
		return !meant[id] && !t.busy
	})
	return ids
}

// chosen returns those of the members that the target chooses, if it chooses one: who has the
// stream, or is to have it.
func (p *persistence) chosen(ids []ident.NodeID, now time.Time) []ident.NodeID {
	if p.target.one != chooseInTurn {
		return p.n.choose(p.target, ids)
	}
	var waiting, due []ident.NodeID
	for _, id := range ids {
		switch t := p.ties[id]; {
		case t.busy:
			return nil
		case t.served:
		case t.due.After(now):
			waiting = append(waiting, id)
		default:
			due = append(due, id)
		}
	}
	if len(due) > 0 {
		return p.n.choose(p.target, due)
	}
	return waiting
}

// take notes what came of a stream that was opened.
func (p *persistence) take(r fanned, now time.Time) {
	t := r.tie
	if r.err != nil {
		t.busy = false
		t.later(now)
		return
	}
	t.served, t.since = true, now
	p.workers.Go(func() {
		e := parted{tie: t}
		select {
		case <-r.st.Done():
		case <-r.st.Lost():
			e.broken = true
		case <-p.over:
			return
		}
		select {
		case p.parted <- e:
		case <-p.over:
		}
	})
}

// part notes that a stream is over.
func (p *persistence) part(e parted, now time.Time) {
	t := e.tie
	t.busy = false
	if now.Sub(t.since) >= againMost {
		t.delay = 0
	}
	if e.broken && t.served {
		t.later(now)
	}
}
