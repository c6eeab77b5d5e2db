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

// callFlow calls a method with a flow at one of the members that to means, and reads its result
// into r.
func (v *verb) callFlow(ctx context.Context, n *Node, to *Target, f flower, r any) error {
	id, err := n.callee(v.name, to)
	if err != nil {
		return err
	}
	// The flow of the argument ends with the call or, if the result is one as well, with that.
	life, end := context.WithCancel(ctx)
	o := offer{ctx: life, cancel: end, to: id, codec: v.codec, method: v.name, done: func() {}}
	ticket, err := n.offer(f, o)
	if err != nil {
		end()
		err = &unansweredError{class: ErrNotSent, cause: err}
		return &MethodError{Method: v.name, Member: n.sender(id), Err: err}
	}
	_, _, err = v.ask(ctx, n, id, request{codec: flowCodec, data: ticket, life: ctx, done: end}, r)
	return err
}

// handleFlow returns the handler of a method whose result is a flow.
func (v *verb) handleFlow(
	n *Node, limit *flowsMax, run func(ctx context.Context, c Caller, data []byte) (r any, err error),
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
			if !handed { // also where run panics
				cancel()
				done()
			}
		}()
		// A caller that gives up ends the handler; the end of the call does not.
		stop := context.AfterFunc(call, cancel)
		defer stop()
		r, err := run(ctx, c, data)
		if err != nil {
			return nil, err
		}
		f, ok := r.(flower)
		if !ok {
			return nil, errNoFlow // cannot happen
		}
		ticket, err = n.offer(f, offer{
			ctx: ctx, cancel: cancel, to: c.ID, codec: v.codec, method: v.name, done: done,
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
