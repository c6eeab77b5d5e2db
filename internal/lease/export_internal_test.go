package lease

import "time"

// Break plants a mistake about time: how long a voter is bound, and how long it waits when
// it starts, in place of what the lease asks for.
func (e *Election) Break(promise, guard time.Duration) {
	e.pace.promise = promise
	e.guarded = e.guarded.Add(guard - e.pace.guard)
	e.pace.guard = guard
}

// Miscount plants another one: so many votes fewer make a majority.
func (e *Election) Miscount(by int) { e.electorate.size -= 2 * by }
