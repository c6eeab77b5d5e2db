package engine

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/council"
)

const (
	// keepRetry is the time between two attempts to write on a disk that takes nothing.
	keepRetry = time.Second

	// keepPatience is how long a node that begins to lead in the Available mode waits for
	// its disk: several times what one needs, and a tenth of what is noticed elsewhere.
	keepPatience = 50 * time.Millisecond
)

// keeper puts marks of elections on disk, on a goroutine of its own: the owner leaves them
// here.
type keeper struct {
	wanted chan struct{} // holds a token when there is something to write
	failed bool          // the last attempt did, as that goroutine knows

	mu    sync.Mutex // guards what follows
	marks map[string]council.Mark
	tried chan struct{} // closed when the next attempt, to write these marks, has ended
}

func newKeeper() *keeper {
	return &keeper{
		wanted: make(chan struct{}, 1), marks: map[string]council.Mark{}, tried: make(chan struct{}),
	}
}

// add takes a mark to be written, in the place of an earlier one of its election. The channel
// is closed when that was tried.
func (k *keeper) add(a council.Keep) (tried <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.marks[a.Election] = a.Mark
	select {
	case k.wanted <- struct{}{}:
	default:
	}
	return k.tried
}

// take returns what is to be written, and what to close then.
func (k *keeper) take() (marks map[string]council.Mark, tried chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	marks, tried = k.marks, k.tried
	k.marks, k.tried = map[string]council.Mark{}, make(chan struct{})
	return marks, tried
}

// putBack takes what could not be written, unless later marks came meanwhile.
func (k *keeper) putBack(marks map[string]council.Mark) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.Copy(marks, k.marks)
	k.marks = marks
}

// keepFirst leaves to the keeper what is to be written before acts are carried out. A reign of
// this node in the Available mode begins when its term is on disk, or a little later without:
// that mode does not depend on a disk. With a majority council itself waits.
func (e *Engine) keepFirst(acts []council.Action) {
	var mine []<-chan struct{}
	for _, a := range acts {
		if k, ok := a.(council.Keep); ok {
			tried := e.keeper.add(k)
			if k.Mark.Leader == e.inc {
				mine = append(mine, tried)
			}
		}
	}
	if len(mine) == 0 {
		return
	}
	late := time.After(keepPatience)
	for _, tried := range mine {
		select {
		case <-tried:
		case <-late:
			return
		}
	}
}

// keep writes until ctx ends. Then it tries once more, so that a node that ends well leaves
// its last terms.
func (e *Engine) keep(ctx context.Context) error {
	var again <-chan time.Time
	for {
		select {
		case <-e.keeper.wanted:
		case <-again:
		case <-ctx.Done():
			e.write()
			return nil
		}
		again = nil
		if !e.write() {
			again = time.After(keepRetry)
		}
	}
}

// write puts on disk what is to be written, tells the owner, and reports whether that went
// well.
func (e *Engine) write() bool {
	marks, tried := e.keeper.take()
	defer close(tried)
	if len(marks) == 0 {
		return true
	}
	err := e.cfg.Keep(marks)
	if err != nil {
		e.keeper.putBack(marks)
	}
	if failed := err != nil; failed != e.keeper.failed {
		e.keeper.failed = failed
		e.put(func(now time.Time) { e.setDisk(now, err) })
	}
	if err != nil {
		return false
	}
	e.put(func(time.Time) {
		for _, name := range slices.Sorted(maps.Keys(marks)) {
			e.council.Kept(e.cfg.Awake(), name, marks[name])
		}
	})
	return true
}

// setDisk tells that the disk takes nothing, or that it does again.
func (e *Engine) setDisk(now time.Time, err error) {
	if e.diskErr = err; err == nil {
		e.cfg.Logger.Warn("terms are kept on disk again")
		e.hub.report(Change{Note: NoteDiskUp, Change: core.Change{At: now}})
		return
	}
	e.cfg.Logger.Error("terms cannot be kept on disk; with a majority this node will not vote", "err", err)
	e.hub.report(e.diskDown(now))
}

// diskDown is the change that says why the disk takes nothing.
func (e *Engine) diskDown(now time.Time) Change {
	return Change{Note: NoteDiskDown, Change: core.Change{At: now, Reason: e.diskErr.Error()}}
}
