package espial

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/flow"
	"github.com/espial-go/espial/internal/ident"
)

// This file is the way of a call whose argument or result is a flow.

// errFlowsMax reports a call above CallsMax, which counts flows as well.
var errFlowsMax = errors.New("espial: as many flows as CallsMax")

// flowsMax bounds the calls of a method whose result is a flow, from their beginning to the end of
// the flow.
type flowsMax struct {
	max     int64
	running atomic.Int64
}

// callFlow is Call for an argument that is a flow.
func (m *Method[Q, R]) callFlow(ctx context.Context, n *Node, to *Target, q Q) (r R, err error) {
	if m.err != nil {
		return r, m.err
	}
	id, err := n.callee(m.name, to)
	if err != nil {
		return r, err
	}
	// The flow of the argument ends with the call or, if the result is one as well, with that.
	life, end := context.WithCancel(ctx)
	f, _ := asFlow(&q)
	o := offer{ctx: life, cancel: end, to: id, codec: m.codec, method: m.name, done: func() {}}
	ticket, err := n.offer(f, o)
	if err != nil {
		end()
		err = &unansweredError{class: ErrNotSent, cause: err}
		return r, &MethodError{Method: m.name, Member: n.sender(id), Err: err}
	}
	a := m.ask(ctx, n, id, request{codec: flowCodec, data: ticket, life: ctx, done: end})
	return a.Value, a.Err
}

// handleFlow returns the handler of a method whose result is a flow.
func (m *Method[Q, R]) handleFlow(
	n *Node, fn func(ctx context.Context, c Caller, q Q) (R, error), limit *flowsMax,
) Handler {
	return func(call context.Context, c Caller, data []byte) (ticket []byte, err error) {
		done := func() { limit.running.Add(-1) }
		if limit.running.Add(1) > limit.max {
			done()
			return nil, errFlowsMax
		}
		ctx, cancel := outlive(call)
		handed := false
		defer func() {
			if !handed { // also where fn panics
				cancel()
				done()
			}
		}()
		// A caller that gives up ends the handler; the end of the call does not.
		stop := context.AfterFunc(call, cancel)
		defer stop()
		q, err := m.argument(ctx, n, &c, data)
		if err != nil {
			return nil, err
		}
		r, err := fn(ctx, c, q)
		if err != nil {
			return nil, err
		}
		f, _ := asFlow(&r)
		ticket, err = n.offer(f, offer{
			ctx: ctx, cancel: cancel, to: c.ID, codec: m.codec, method: m.name, done: done,
		})
		handed = err == nil
		return ticket, err
	}
}

// outlive returns a context with the deadline of that of a call, and its values, which does not end
// with the call.
func outlive(call context.Context) (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(call)
	if at, ok := call.Deadline(); ok {
		return context.WithDeadline(ctx, at)
	}
	return context.WithCancel(ctx)
}

// offer is a flow for a member to read.
type offer struct {
	ctx    context.Context // its life
	cancel context.CancelFunc
	to     NodeID
	codec  codec.Codec
	method string
	done   func() // called when the flow is over, if it was offered
}

// offer makes a ticket for a flow.
func (n *Node) offer(f flower, o offer) (ticket []byte, err error) {
	number, err := n.flows.Offer(flow.Offer{
		Peer: ident.NodeID(o.to).String(), Ctx: o.ctx, Cancel: o.cancel, Done: o.done,
		Write: func(w *flow.Writer) { n.pour(f, o, w) },
	})
	switch {
	case errors.Is(err, flow.ErrFull):
		return nil, errFlowsFull
	case err != nil:
		return nil, ErrClosed
	}
	t := flow.Ticket{Codec: uint8(o.codec.ID()), Number: number, Type: f.values()}
	return t.Append(nil), nil
}

// pour writes a flow for its reader.
func (n *Node) pour(f flower, o offer, w *flow.Writer) {
	over := false
	defer func() {
		v := recover()
		if v != nil {
			n.panics.Add(1)
			n.cfg.Logger.Error("a flow panicked", "method", o.method, "reader", o.to.String(),
				"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
		if !over { // or its goroutine was ended
			w.Finish(flow.Panicked, "")
		}
	}()
	f.write(o.codec, n.cfg.EventMax, w)
	over = true
}
