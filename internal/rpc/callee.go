package rpc

import (
	"slices"

	"github.com/espial-go/espial/internal/ident"
)

// Callee is the calls at work at this node for one session of another. S stands for what stops
// one. The zero Callee is ready for use, by one goroutine at a time.
type Callee[S any] struct {
	running map[ident.Seq]run[S]
}

// run is one call at work.
type run[S any] struct {
	stop    S
	stopped bool
}

// Running returns how many calls are at work, those included that were told to stop.
func (c *Callee[S]) Running() int { return len(c.running) }

// Begin adds a call that came, with what stops it. It reports whether there is room: if not, the
// caller has more open than [CallsMax], and the call is not to be executed.
func (c *Callee[S]) Begin(number ident.Seq, stop S) bool {
	if len(c.running) >= CallsMax {
		return false
	}
	if c.running == nil {
		c.running = map[ident.Seq]run[S]{}
	}
	c.running[number] = run[S]{stop: stop}
	return true
}

// Cancel takes the word of the caller that it waits no more. It returns what stops the call, if
// it is at work and was not told to stop before.
func (c *Callee[S]) Cancel(number ident.Seq) (stop S, ok bool) {
	r, ok := c.running[number]
	if !ok || r.stopped {
		return stop, false
	}
	c.running[number] = run[S]{stop: r.stop, stopped: true}
	return r.stop, true
}

// CancelAll is Cancel for all calls: the caller is gone. It returns what stops them, by number.
func (c *Callee[S]) CancelAll() (stops []S) {
	numbers := make([]ident.Seq, 0, len(c.running))
	for number := range c.running {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		if stop, ok := c.Cancel(number); ok {
			stops = append(stops, stop)
		}
	}
	return stops
}

// Done notes that a call is at work no more, and is about to be answered. Each that began is
// answered, also one that was told to stop: the caller holds it until then.
func (c *Callee[S]) Done(number ident.Seq) { delete(c.running, number) }
