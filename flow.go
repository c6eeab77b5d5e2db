package espial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"

	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/flow"
	"github.com/espial-go/espial/internal/ident"
)

// Flow is a sequence of values as the whole argument or the whole result of a [Method]: of any length,
// and read while it is made. [FlowOf] makes one, All reads one. The values are encoded with the codec
// of the method, each at most [Config.EventMax] bytes long.
//
//	var Tail = espial.NewMethod[string, espial.Flow[Line]]("log.tail")
//
// A flow that came by a call is read once, within 30 s of the call, and as long as the context of
// the call lasts, at its callee that of the handler. Values cross on a stream of their own, so a
// flow that nobody reads holds up nothing else: it is made no further than the window of the stream,
// 256 KiB and more where its reader keeps up. Of one member 256 flows may wait for their reader.
//
// Elsewhere than as an argument or a result a flow cannot be sent. The zero Flow is empty.
type Flow[T any] struct{ seq iter.Seq2[T, error] }

// FlowOf returns a flow of what seq yields; an error is the last thing in it, and reaches the reader
// as text. Of a result seq runs when its caller begins to read, on a goroutine of its own: then the
// context of the handler lasts until the flow ends, and CallsMax counts the call until then. It ends
// when the caller breaks off the loop, is gone, or does not begin within 30 s. Of an argument seq runs
// at the caller, when the handler reads, and may do so for a moment after the call. A seq that panics
// is an [ErrPanicked] at its reader.
func FlowOf[T any](seq iter.Seq2[T, error]) Flow[T] { return Flow[T]{seq} }

// All yields the values. A flow that ends before its time yields an error last, beside a zero T: a
// [MethodError] with what its producer said as Reason, or that wraps [ErrFlowBroken], [ErrPanicked],
// [ErrTooLarge] or a [MismatchError]. Who breaks off the loop ends the flow for its producer.
func (f Flow[T]) All() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if f.seq == nil {
			return
		}
		for v, err := range f.seq {
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// MarshalText fails: a flow is sent by a method, and in nothing else.
func (Flow[T]) MarshalText() ([]byte, error) { return nil, errFlowInside }

// ErrFlowBroken reports a flow that broke off: its producer went or ended it, the context of the call
// ended, nobody read it within 30 s, or it was read before. It wraps the reason.
var ErrFlowBroken = errors.New("espial: the flow broke off")

var (
	errFlowInside = errors.New("a Flow is a whole argument or a whole result of a method, and no part of one")
	errFlowHere   = errors.New("it is a flow, and is read as espial.Flow")
	errNoFlow     = errors.New("it is no flow")
	errFlowLapsed = errors.New("its producer has it no more; it is to be read once, within 30 s")
	errFlowEnded  = errors.New("its producer ended it")
	errFlowMany   = errors.New("an argument that is a flow is read once, and cannot go to many: call each")
	errFlowsFull  = fmt.Errorf("%d flows wait to be read", flow.PeerMax)
)

// flowCodec is what a call names as its codec whose argument or result is a ticket for a flow. It
// is set aside: no value has it.
const flowCodec = codec.User - 1

// flower is a *[Flow], for those who do not know of what.
type flower interface {
	values() string // the type of the values
	write(c codec.Codec, valueMax int, w *flow.Writer)
	read(r *reading)
}

// asFlow returns the flow that v points to, if it is one.
func asFlow[T any](v *T) (f flower, ok bool) {
	f, ok = any(v).(flower)
	return f, ok
}

// isFlow reports whether T is a flow.
func isFlow[T any]() bool {
	_, ok := asFlow[T](nil)
	return ok
}

func (*Flow[T]) values() string { return typeName[T]() }

// write writes all values, until the writer says that nobody reads them.
func (f *Flow[T]) write(c codec.Codec, valueMax int, w *flow.Writer) {
	var b bytes.Buffer
	for v, err := range f.All() {
		if b.Reset(); err == nil {
			if err = c.Encode(&b, &v); err != nil {
				err = fmt.Errorf("a value does not encode: %w", err)
			} else if b.Len() > valueMax {
				err = tooLarge(b.Len(), valueMax)
			}
		}
		if err != nil {
			w.Finish(flow.Failed, err.Error())
			return
		}
		if w.Value(b.Bytes()) != nil {
			return
		}
	}
	w.Finish(flow.End, "")
}

// read makes f the flow that r reads.
func (f *Flow[T]) read(r *reading) {
	f.seq = func(yield func(T, error) bool) {
		err := r.each(func(data []byte) (more bool, err error) {
			var v T
			if err := r.node.decodeValue(codec.ID(r.ticket.Codec), r.codec, data, &v); err != nil {
				return false, &MismatchError{Here: typeName[T](), There: r.ticket.Type, Err: err}
			}
			return yield(v, nil), nil
		})
		if err != nil {
			var none T
			yield(none, err)
		}
	}
}

// reading is a flow of another member, as a call brought it.
type reading struct {
	node   *Node
	ctx    context.Context // ends it
	done   func()          // called when it was read, unless it is nil
	method string
	from   Sender      // who produces it
	codec  codec.Codec // of the method
	ticket flow.Ticket
}

// open makes f the flow for which data is a ticket by what id says, and returns the codec of its
// values.
func (r *reading) open(f flower, id codec.ID, data []byte) (codec.ID, error) {
	t, ok := flow.DecodeTicket(data)
	if id != flowCodec || !ok {
		return id, errNoFlow
	}
	r.ticket = t
	f.read(r)
	return codec.ID(t.Codec), nil
}

// each reads the flow, and calls use with each value until it wants no more or fails.
func (r *reading) each(use func(data []byte) (more bool, err error)) error {
	if r.done != nil {
		defer r.done() // again, if the flow is read again, of which nothing comes
	}
	nc, err := r.node.eng.OpenStream(r.ctx, ident.NodeID(r.from.ID), flow.Service)
	if err != nil {
		return r.broken(r.node.refusal(err))
	}
	defer func() { _ = nc.Close() }() // fails where the next line closed it
	defer context.AfterFunc(r.ctx, func() { _ = nc.Close() })()
	if _, err := nc.Write(r.ticket.Number[:]); err != nil {
		return r.broken(err)
	}
	in := flow.NewReader(nc, r.node.cfg.EventMax)
	for {
		item, err := in.Next()
		switch {
		case errors.Is(err, flow.ErrTooLarge):
			return r.failed(fmt.Errorf("%w: a value of the flow, for Config.EventMax", ErrTooLarge))
		case err != nil:
			return r.broken(err)
		case item.Kind != flow.Value:
			return r.last(item)
		}
		if more, err := use(item.Data); err != nil {
			return r.failed(err)
		} else if !more {
			return nil
		}
	}
}

// last returns what the last item of the flow says.
func (r *reading) last(item flow.Item) error {
	switch item.Kind {
	case flow.End:
		return nil
	case flow.Failed:
		return &MethodError{Method: r.method, Member: r.from, Reason: string(item.Data)}
	case flow.Panicked:
		return r.failed(ErrPanicked)
	case flow.Unknown:
		return r.broken(errFlowLapsed)
	default:
		return r.broken(errors.New("by a reason that this version does not know"))
	}
}

// failed returns the error of a flow that this end does not read on.
func (r *reading) failed(err error) error {
	return &MethodError{Method: r.method, Member: r.from, Err: err}
}

// broken returns the error of a flow that broke off, for which the context is the better reason.
func (r *reading) broken(err error) error {
	select {
	case <-r.node.ended:
		err = ErrClosed
	case <-r.ctx.Done():
		err = context.Cause(r.ctx)
	default:
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err // whose addresses say less than the member
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errFlowEnded
		}
	}
	return r.failed(&unansweredError{class: ErrFlowBroken, cause: err})
}
