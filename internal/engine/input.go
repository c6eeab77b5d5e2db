package engine

import (
	"context"
	"time"
)

// inputsMax bounds the inputs that wait for the owner goroutine. A full queue makes
// the callers of the API and the goroutines that set links up wait; the readers of
// links never wait: they drop a control frame and count it, because each of them is
// repeated or repaired (probes by the next probe, records by the digest).
const inputsMax = 1024

// input is one thing for the owner goroutine to do, at the time now.
type input func(now time.Time)

// put hands an input to the owner and waits for a place in its queue. It reports
// whether the owner took it: false means that the engine ended.
func (e *Engine) put(f input) bool {
	select {
	case e.inputs <- f:
		return true
	case <-e.ended:
		return false
	}
}

// offer hands an input to the owner unless its queue is full.
func (e *Engine) offer(f input) {
	select {
	case e.inputs <- f:
	default:
		e.dropped.inputs.Add(1)
	}
}

// query runs f on the owner goroutine and returns its result; ok is false if the engine
// ended. The owner is never long in answering.
func query[T any](e *Engine, f func(now time.Time) T) (v T, ok bool) {
	answer := make(chan T, 1)
	if !e.put(func(now time.Time) { answer <- f(now) }) {
		return v, false
	}
	select {
	case v = <-answer:
		return v, true
	case <-e.ended:
		return v, false
	}
}

// ask is query for a caller with a context. It returns [ErrClosed] if the engine ended,
// or ctx's error.
func ask[T any](ctx context.Context, e *Engine, f func(now time.Time) T) (T, error) {
	var zero T
	answer := make(chan T, 1)
	select {
	case e.inputs <- func(now time.Time) { answer <- f(now) }:
	case <-e.ended:
		return zero, ErrClosed
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	}
	select {
	case v := <-answer:
		return v, nil
	case <-e.ended:
		return zero, ErrClosed
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	}
}
