package engine

import (
	"slices"
	"sync"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Limits of what is remembered of suspicions, so that each is verified once although every
// peer passes it on.
const (
	// hearsayFor is for how long one is. It is longer than a suspicion takes to all members,
	// and short enough for what is said again because it was lost on its way.
	hearsayFor = 3 * time.Second

	// hearsayMax is how many are.
	hearsayMax = 4096

	// hearsayShare is how many of them may be one member's: several times of what one says
	// when all whom it watches die together. What it says besides is dropped, and costs
	// nobody a signature.
	hearsayShare = 64
)

// hearsay remembers suspicions that were heard of lately. The readers of all links share it.
type hearsay struct {
	mu    sync.Mutex // guards what follows
	heard map[frame.Statement]time.Time
	order []heard // oldest first
	by    map[ident.NodeID]int
}

// heard is what somebody said, and when it came.
type heard struct {
	frame.Statement

	at time.Time
}

func newHearsay() *hearsay {
	return &hearsay{heard: map[frame.Statement]time.Time{}, by: map[ident.NodeID]int{}}
}

// news reports whether s was not heard of lately and its accuser may say more, and takes
// note of it then. Known reports that it was.
func (h *hearsay) news(now time.Time, s frame.Statement) (news, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.order) > 0 && (len(h.order) >= hearsayMax || now.Sub(h.order[0].at) >= hearsayFor) {
		h.drop(0)
	}
	if _, known = h.heard[s]; known || h.by[s.By] >= hearsayShare {
		return false, known
	}
	h.heard[s] = now
	h.order = append(h.order, heard{s, now})
	h.by[s.By]++
	return true, false
}

// forget takes back that s was heard of, because it is of use when it comes again. It counts
// toward what its accuser may say.
func (h *hearsay) forget(s frame.Statement) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.heard, s)
}

// retract takes back everything about s: nobody said it, as far as is known here.
func (h *hearsay) retract(s frame.Statement) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, o := range slices.Backward(h.order) {
		if o.Statement == s {
			h.drop(i)
			return
		}
	}
}

// drop removes what came at a place in the order. The caller holds mu.
func (h *hearsay) drop(i int) {
	d := h.order[i]
	if i == 0 {
		h.order = h.order[1:]
	} else {
		h.order = slices.Delete(h.order, i, i+1)
	}
	if h.heard[d.Statement].Equal(d.at) {
		delete(h.heard, d.Statement)
	}
	if h.by[d.By]--; h.by[d.By] == 0 {
		delete(h.by, d.By)
	}
}

// accused verifies a suspicion on the reader's goroutine, before the owner sees it. One
// that does not hold is the sender's fault: an honest node passes on only what it verified.
// One of this node by somebody whom it does not list, because it refuses him, cannot be
// verified and is answered all the same: others list him, and wait for the answer.
func (h *handler) accused(s frame.Suspicion, cost int64) error {
	e := h.e
	if s.By == e.cfg.Key.ID() {
		return nil // it went round
	}
	k := s.Statement()
	news, known := e.hearsay.news(time.Now(), k)
	if known {
		return nil
	}
	m, listed := e.member(s.By)
	if !news || !listed && s.Target != e.cfg.Key.ID() {
		if news {
			e.hearsay.retract(k)
		}
		e.dropped.suspicions.Add(1)
		return nil
	}
	if listed {
		if err := s.Verify(m.Record.Public); err != nil {
			e.hearsay.retract(k)
			e.dropped.suspicions.Add(1)
			return err
		}
	}
	if !h.offer(cost, func(now time.Time) {
		e.core.Heard(now, h.id, now)
		if e.core.Ahead(s) {
			// Not yet believed. If it is true, it comes again behind the record.
			e.hearsay.forget(k)
			return
		}
		e.core.Receive(now, h.id, s)
	}) {
		e.hearsay.retract(k) // another peer passes it on
	}
	return nil
}

// member returns a member of the present view.
func (e *Engine) member(id ident.NodeID) (core.Member, bool) {
	for _, m := range e.View().Members {
		if m.Record.ID == id {
			return m, true
		}
	}
	return core.Member{}, false
}
