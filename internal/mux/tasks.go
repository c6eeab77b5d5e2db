package mux

import (
	"sync"
	"sync/atomic"
)

// sparesMax is how many goroutines of a session wait for something to do.
const sparesMax = 16

// tasks runs functions on goroutines of their own, and uses these again. A stream needs three at
// its two ends, and each new one would grow its stack: an eighth of what it costs to open and
// close a stream.
type tasks struct {
	group  sync.WaitGroup
	next   chan func() // to a goroutine that waits
	spares atomic.Int32
	over   <-chan struct{} // closed when nobody is to wait any more
}

func newTasks(over <-chan struct{}) *tasks { return &tasks{next: make(chan func()), over: over} }

// start runs f. It must not be called once wait was.
func (t *tasks) start(f func()) {
	select {
	case t.next <- f:
	default:
		t.group.Go(func() { t.run(f) })
	}
}

// run runs f, and then whatever comes, if not too many wait already.
func (t *tasks) run(f func()) {
	for {
		f()
		if t.spares.Add(1) > sparesMax {
			t.spares.Add(-1)
			return
		}
		select {
		case f = <-t.next:
			t.spares.Add(-1)
		case <-t.over:
			return
		}
	}
}

// wait returns when all is done, and over.
func (t *tasks) wait() { t.group.Wait() }
