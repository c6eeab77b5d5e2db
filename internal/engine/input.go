package engine

import (
	"cmp"
	"context"
	"time"

	"github.com/espial-go/espial/internal/frame"
)

// inputsMax bounds the inputs that wait for the owner goroutine. A full queue makes
// the callers of the API and the goroutines that set links up wait; the readers of
// links never wait: they drop a control frame and count it, because each of them is
// repeated or repaired (probes by the next probe, records by the digest).
const inputsMax = 4096

// shareMax bounds the control frames of one link that wait for the owner, as inputCost
// counts: about 250 short ones, or three of the largest. Without it one peer that floods
// would keep the queue full, the probes of all others would be dropped, and they would
// take this node for silent.
const shareMax = 256 << 10

// inputCost returns what a control frame counts against [shareMax]: its bytes, and 1 KiB
// for the work that even a short one is.
func inputCost(f frame.Raw) int64 { return int64(len(f.Payload)) + 1<<10 }

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

// offer hands an input to the owner unless its queue is full, and reports whether.
func (e *Engine) offer(f input) bool {
	select {
	case e.inputs <- f:
		return true
	default:
		e.dropped.inputs.Add(1)
		return false
	}
}

// query runs f on the owner goroutine and returns its result; ok is false if the engine
// ended. The owner is never long in answering.
func query[T any](e *Engine, f func(now time.Time) T) (v T, ok bool) { return queryUntil(nil, e, f) }

// ask is query for a caller with a context. It returns [ErrClosed] if the engine ended,
// or ctx's error.
func ask[T any](ctx context.Context, e *Engine, f func(now time.Time) T) (T, error) {
	v, ok := queryUntil(ctx.Done(), e, f)
	switch {
	case ok:
		return v, nil
	case ctx.Err() != nil:
		return v, context.Cause(ctx)
	}
	return v, ErrClosed
}

// order is ask for what may fail: it returns the error of f too.
func order(ctx context.Context, e *Engine, f func(now time.Time) error) error {
	err, unasked := ask(ctx, e, f)
	return cmp.Or(unasked, err)
}

// queryUntil is query that gives up when done is closed; nil is never closed.
func queryUntil[T any](done <-chan struct{}, e *Engine, f func(now time.Time) T) (v T, ok bool) {
	answer := make(chan T, 1)
	select {
	case e.inputs <- func(now time.Time) { answer <- f(now) }:
	case <-e.ended:
		return v, false
	case <-done:
		return v, false
	}
	select {
	case v = <-answer:
		return v, true
	case <-e.ended:
		return v, false
	case <-done:
		return v, false
	}
}
