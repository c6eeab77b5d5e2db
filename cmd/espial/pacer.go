package main

import (
	"context"
	"time"
)

// slack is how much of a delay a pacer makes up for: a timer of the system is late by less, and
// would otherwise lower every rate above a few hundred a second.
const slack = time.Millisecond

// pacer spaces events evenly. Its zero value lets each pass at once.
type pacer struct {
	every time.Duration // between two events
	due   time.Time     // of the next one
}

// pacerOf returns the pacer of so many events a second, which are more than none.
func pacerOf(rate float64) pacer {
	const longest = 1 << 62 // of a [time.Duration], with room to round
	return pacer{every: time.Duration(min(float64(time.Second)/rate, longest))}
}

// delay returns how long an event has to wait that is ready now. Events that come late delay
// those after them: nothing makes up for the time with a burst.
func (p *pacer) delay(now time.Time) time.Duration {
	if now.Sub(p.due) > slack {
		p.due = now
	}
	d := p.due.Sub(now)
	p.due = p.due.Add(p.every)
	return max(d, 0)
}

// wait waits until the next event may pass, or returns the cause of ctx.
func (p *pacer) wait(ctx context.Context) error {
	d := p.delay(time.Now())
	if d == 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
