package engine

import (
	"context"
	"sync"
)

// feedMax bounds the changes that wait for one reader.
const feedMax = 1024

// Feed is one reader's queue of changes. The owner goroutine fills it and never
// waits: what a slow reader misses is the oldest, and it is counted.
type Feed struct {
	hub *hub

	mu    sync.Mutex // guards what follows
	queue []Change
	lost  uint64        // dropped before the first of queue
	ended bool          // nothing more comes
	ready chan struct{} // holds a token while there is something to read
}

func newFeed(h *hub) *Feed { return &Feed{hub: h, ready: make(chan struct{}, 1)} }

// push adds changes. It drops the oldest beyond feedMax in bulk, so that a reader that
// lags costs the owner little; Next drops the rest of them.
func (f *Feed) push(cs ...Change) {
	f.mu.Lock()
	f.queue = append(f.queue, cs...)
	if len(f.queue) >= 2*feedMax {
		f.trim()
	}
	f.mu.Unlock()
	f.signal()
}

// trim drops the oldest changes beyond feedMax. The caller holds mu.
func (f *Feed) trim() {
	if over := len(f.queue) - feedMax; over > 0 {
		f.queue = append(f.queue[:0:0], f.queue[over:]...)
		f.lost += uint64(over)
	}
}

// end lets the reader take what is queued, and no more.
func (f *Feed) end() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.signal()
}

func (f *Feed) signal() {
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// Next waits for changes and returns all that are queued, in order, and how many were
// dropped before the first of them. It returns [ErrClosed] with the last changes of a
// node that ended, or ctx's error.
func (f *Feed) Next(ctx context.Context) (batch []Change, lost uint64, err error) {
	for {
		f.mu.Lock()
		f.trim()
		batch, lost = f.queue, f.lost
		f.queue, f.lost = nil, 0
		if f.ended {
			err = ErrClosed
		}
		f.mu.Unlock()
		if len(batch) > 0 || lost > 0 || err != nil {
			return batch, lost, err
		}
		select {
		case <-f.ready:
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
	}
}

// Close ends the feed, of which only what is queued can still be read. Any goroutine may
// call it.
func (f *Feed) Close() {
	f.hub.remove(f)
	f.end()
}

// hub is the set of feeds.
type hub struct {
	mu    sync.Mutex // guards what follows
	feeds map[*Feed]struct{}
	ended bool
}

func newHub() *hub { return &hub{feeds: map[*Feed]struct{}{}} }

// add adds a feed that begins with the given changes.
func (h *hub) add(first []Change) *Feed {
	f := newFeed(h)
	f.push(first...)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		f.end()
		return f
	}
	h.feeds[f] = struct{}{}
	return f
}

func (h *hub) remove(f *Feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.feeds, f)
}

// report gives a change to every reader.
func (h *hub) report(c Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.feeds {
		f.push(c)
	}
}

// end ends every feed.
func (h *hub) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for f := range h.feeds {
		f.end()
	}
}
