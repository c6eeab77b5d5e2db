package mailbox

import (
	"sync"
	"sync/atomic"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// release is what one Deliver owes its caller.
type release struct {
	holds *holds
	rel   Releaser // nil if nobody asks
	lane  frame.Lane
	last  ident.Seq
	hold  *hold // made by the first queue that withholds the run
}

// withhold returns the hold for one more queue to wait on; nil if nobody asks.
func (r *release) withhold() *hold {
	if r.rel == nil {
		return nil
	}
	if r.hold == nil {
		r.hold = r.holds.get(r)
	}
	r.hold.waiting.Add(1)
	return r.hold
}

// done ends Deliver's part.
func (r *release) done() {
	switch {
	case r.hold != nil:
		r.holds.let(r.hold)
	case r.rel != nil:
		r.rel.Release(r.lane, r.last)
	}
}

// hold is the release of a run that one or more queues withhold.
type hold struct {
	waiting atomic.Int32 // queues that withhold it, and Deliver while it runs
	rel     Releaser
	lane    frame.Lane
	last    ident.Seq
}

// holdsMax is how many holds are kept for use again.
const holdsMax = 1024

// holds keeps holds for use again.
type holds struct {
	mu   sync.Mutex
	free []*hold
}

// get returns a hold on which Deliver waits.
func (p *holds) get(r *release) *hold {
	h := p.pop()
	h.rel, h.lane, h.last = r.rel, r.lane, r.last
	h.waiting.Store(1)
	return h
}

// pop returns a hold that nobody uses.
func (p *holds) pop() *hold {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.free)
	if n == 0 {
		return new(hold)
	}
	h := p.free[n-1]
	p.free = p.free[:n-1]
	return h
}

// let counts one that waits no more, and releases the run with the last of them. No
// lock may be held.
func (p *holds) let(h *hold) {
	if h.waiting.Add(-1) > 0 {
		return
	}
	rel, lane, last := h.rel, h.lane, h.last
	h.rel = nil
	p.push(h)
	rel.Release(lane, last)
}

// push takes a hold back.
func (p *holds) push(h *hold) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < holdsMax {
		p.free = append(p.free, h)
	}
}
