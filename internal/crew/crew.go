// Package crew runs functions on goroutines that are used again. A new goroutine begins with a
// stack of 2 KiB and grows it at its first deep call, which may cost more than what it is for.
package crew

import (
	"sync"
	"sync/atomic"
)

// Crew runs functions, each at once and on a goroutine that does nothing else meanwhile. One
// that is done waits for the next function, if not too many wait already.
type Crew struct {
	max    int32 // how many wait
	over   <-chan struct{}
	group  sync.WaitGroup
	next   chan func() // to a goroutine that waits
	spares atomic.Int32
}

// New returns a crew of which up to spares goroutines wait for something to do, and none once
// over is closed.
func New(spares int32, over <-chan struct{}) *Crew {
	return &Crew{max: spares, over: over, next: make(chan func())}
}

// Go runs f and does not wait for it. It must not be called once Wait was. A panic of f is not
// caught, and [runtime.Goexit] ends its goroutine and nothing else. What f does to the
// goroutine, such as labels of a profile, stays.
func (c *Crew) Go(f func()) {
	select {
	case c.next <- f:
	default:
		c.group.Go(func() { c.run(f) })
	}
}

// run runs f, and then whatever comes, if not too many wait already.
func (c *Crew) run(f func()) {
	for {
		f()
		if c.spares.Add(1) > c.max {
			c.spares.Add(-1)
			return
		}
		select {
		case f = <-c.next:
			c.spares.Add(-1)
		case <-c.over:
			return
		}
	}
}

// Wait returns once over is closed and every function has returned.
func (c *Crew) Wait() { c.group.Wait() }
