package rpc

import (
	"cmp"
	"slices"

	"github.com/espial-go/espial/internal/ident"
)

// Caller is the calls of this node to one session of another. W stands for who waits for an
// answer. The zero Caller is ready for use, by one goroutine at a time.
type Caller[W any] struct {
	open map[ident.Seq]waiter[W]
}

// waiter is who waits for the answer to a call, if anybody does.
type waiter[W any] struct {
	who     W
	waiting bool
}

// Ended is a call whose answer cannot come any more.
type Ended[W any] struct {
	Number ident.Seq
	Waiter W

	// Sent reports that the callee may have executed it. Otherwise it certainly has not, and
	// never will.
	Sent bool
}

// Full reports whether no call may be added before another one ends.
func (c *Caller[W]) Full() bool { return len(c.open) >= CallsMax }

// Open returns how many calls there are, those included for which nobody waits any more.
func (c *Caller[W]) Open() int { return len(c.open) }

// Call adds the call of that number, for which w waits. The numbers only grow.
func (c *Caller[W]) Call(number ident.Seq, w W) {
	if c.open == nil {
		c.open = map[ident.Seq]waiter[W]{}
	}
	c.open[number] = waiter[W]{who: w, waiting: true}
}

// Abandon notes that nobody waits for a call any more. It reports whether the callee is to be
// told: not if the answer came before, or never will.
func (c *Caller[W]) Abandon(number ident.Seq) bool {
	w := c.open[number]
	if w.waiting {
		c.open[number] = waiter[W]{}
	}
	return w.waiting
}

// Answer takes the answer to a call, and returns who waits for it, if anybody does. An answer
// that comes again, or to no call, is for nobody.
func (c *Caller[W]) Answer(number ident.Seq) (who W, waiting bool) {
	w := c.open[number]
	delete(c.open, number)
	return w.who, w.waiting
}

// Lose gives up the calls up to the last one that was taken off this node: their callee has
// forgotten them. It returns those for which somebody waits, by number.
func (c *Caller[W]) Lose(taken ident.Seq) []Ended[W] {
	return c.end(taken, func(number ident.Seq) bool { return number <= taken })
}

// End gives up all calls, of which none after taken ever left this node, and never will. It
// returns those for which somebody waits, by number.
func (c *Caller[W]) End(taken ident.Seq) []Ended[W] {
	return c.end(taken, func(ident.Seq) bool { return true })
}

// end gives up the calls for which over holds.
func (c *Caller[W]) end(taken ident.Seq, over func(ident.Seq) bool) (list []Ended[W]) {
	for number, w := range c.open {
		if !over(number) {
			continue
		}
		delete(c.open, number)
		if w.waiting {
			list = append(list, Ended[W]{Number: number, Waiter: w.who, Sent: number <= taken})
		}
	}
	slices.SortFunc(list, func(a, b Ended[W]) int { return cmp.Compare(a.Number, b.Number) })
	return list
}
