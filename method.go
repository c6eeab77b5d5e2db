package espial

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/espial-go/espial/codec"
)

// Method is a name that nodes serve and other nodes call, with an argument of type Q and a result
// of type R, encoded as JSON unless [Method.WithCodec] says otherwise. A program declares it once
// and shares it between both ends:
//
//	var Greet = espial.NewMethod[string, string]("greet")
type Method[Q, R any] struct {
	verb

	err    error     // what is wrong with it
	drafts sync.Pool // of *bytes.Buffer
}

// NewMethod returns the method name: 1 to 8 words joined by dots, at most 255 bytes, each word 1 to
// 63 of A-Z, a-z, 0-9, '_' and '-'. Names that begin with "espial." are reserved. A malformed or
// reserved name is reported by the first use.
func NewMethod[Q, R any](name string) *Method[Q, R] {
	v := verb{name: name, codec: &jsonCodec{}, argument: typeName[Q](), result: typeName[R]()}
	return &Method[Q, R]{verb: v, err: checkMethod(name)}
}

// WithCodec returns the method with another codec, in which arguments and results are sent. Both
// ends go by what each value says of its codec: see [Topic.Subscribe]. A codec that cannot be used
// is reported by the first use.
func (m *Method[Q, R]) WithCodec(c codec.Codec) *Method[Q, R] {
	err := m.err
	if reason := checkCodec(c); reason != "" && err == nil {
		err = &MethodError{Method: m.name, Reason: reason}
	}
	v := m.verb
	v.codec = c
	return &Method[Q, R]{verb: v, err: err}
}

// Name returns the name of the method.
func (m *Method[Q, R]) Name() string { return m.name }

// Serve answers the calls of the method at n with what fn returns, until stop is called or the node
// ends: see [Node.Serve]. An argument that is no Q is a [MismatchError] at its caller, and does not
// reach fn.
func (m *Method[Q, R]) Serve(
	n *Node, fn func(ctx context.Context, c Caller, q Q) (R, error), opts ...ServeOption,
) (stop func(), err error) {
	if m.err != nil {
		return nil, m.err
	}
	s := m.service(n, isFlow[R](), func(ctx context.Context, c Caller, data []byte) (any, error) {
		var q Q
		if err := m.read(ctx, n, &c, data, &q); err != nil {
			return nil, err
		}
		r, err := fn(ctx, c, q)
		return &r, err
	})
	if fn == nil {
		s.handle = nil // which serve refuses
	}
	return n.serve(opts, s)
}

// Call calls the method with q at one of the members that to means, and returns its result: see
// [Node.Call]. A result that is no R is a [MismatchError].
func (m *Method[Q, R]) Call(ctx context.Context, n *Node, to Target, q Q) (r R, err error) {
	if isFlow[Q]() {
		return m.send(ctx, n, to, q)
	}
	err = m.encode(q, func(data []byte) error {
		id, err := n.callee(m.name, &to)
		if err != nil {
			return err
		}
		a := m.askOne(ctx, n, id, request{codec: m.codec.ID(), data: data, life: ctx})
		r = a.Value
		return a.Err
	})
	return r, err
}

// send is Call for a flow. It stands apart so that no other call pays for its pointers.
func (m *Method[Q, R]) send(ctx context.Context, n *Node, to Target, q Q) (r R, err error) {
	if m.err != nil {
		return r, m.err
	}
	f, _ := asFlow(&q)
	err = m.callFlow(ctx, n, &to, f, &r)
	return r, err
}

// Gather calls the method with q at every member that to means, and yields one [Answer] of each:
// see [Node.Gather].
func (m *Method[Q, R]) Gather(ctx context.Context, n *Node, to Target, q Q) iter.Seq[Answer[R]] {
	return func(yield func(Answer[R]) bool) {
		err := m.encode(q, func(data []byte) error {
			ids, err := n.callees(m.name, &to)
			if err == nil {
				gather(ctx, ids, yield, func(one context.Context, id NodeID) Answer[R] {
					return m.askOne(one, n, id, request{codec: m.codec.ID(), data: data, life: ctx})
				})
			}
			return err
		})
		if err != nil {
			yield(Answer[R]{Err: err})
		}
	}
}

// encode gives use the bytes of q, which are good until it returns.
func (m *Method[Q, R]) encode(q Q, use func(data []byte) error) error {
	switch {
	case m.err != nil:
		return m.err
	case isFlow[Q]():
		return &MethodError{Method: m.name, Err: errFlowMany}
	}
	b, ok := m.drafts.Get().(*bytes.Buffer)
	if !ok {
		b = &bytes.Buffer{}
	}
	err := m.codec.Encode(b, &q)
	if err != nil {
		err = m.unencoded(err)
	} else {
		err = use(b.Bytes())
	}
	if b.Cap() <= draftMax {
		b.Reset()
		m.drafts.Put(b)
	}
	return err
}

// askOne calls the method at one member.
func (m *Method[Q, R]) askOne(ctx context.Context, n *Node, id NodeID, q request) (a Answer[R]) {
	a.From, a.Codec, a.Err = m.ask(ctx, n, id, q, &a.Value)
	return a
}

// argumentError reports an argument that is not what the method takes.
type argumentError struct {
	want string
	err  error
}

func (e *argumentError) Error() string {
	return fmt.Sprintf("the argument is no %s: %v", e.want, e.err)
}

func (e *argumentError) Unwrap() error { return e.err }

// MismatchError reports a value that the end which it reached cannot read as its type.
type MismatchError struct {
	Here  string // the type of this end, empty for bytes
	There string // the type of the other one, as it names it
	Err   error  // why it cannot be read
}

// Error names both types.
func (e *MismatchError) Error() string {
	quoted := func(typ string) string { return cmp.Or(strings.Trim(fmt.Sprintf("%q", typ), `"`), "bytes") }
	return fmt.Sprintf("the type is %s here and %s there: %v", quoted(e.Here), quoted(e.There), e.Err)
}

// Unwrap returns why the value cannot be read.
func (e *MismatchError) Unwrap() error { return e.Err }

// MethodError reports a call that brought no result, or a method that cannot be called or served.
type MethodError struct {
	Method string // as it was given
	Member Sender // who was called, or produces the [Flow]; zero if nobody was

	// Reason is what the callee's handler said, and then Err is nil, or what is wrong with the
	// method. It is remote text: quote it where a terminal shows it.
	Reason string

	// Err is why there is no result: [ErrNoHandler], [ErrBusy], [ErrTooLarge], [ErrNotSent],
	// [ErrMaybeExecuted], [ErrFlowBroken] or a [MismatchError].
	Err error
}

// Error says which method of whom, and what became of the call.
func (e *MethodError) Error() string {
	s := fmt.Sprintf("espial: method %q", e.Method)
	if e.Member != (Sender{}) {
		s += fmt.Sprintf(" of %s (%s)", e.Member.Name, e.Member.ID.Short())
	}
	switch {
	case e.Member == (Sender{}) && e.Reason != "":
		s += ": " + e.Reason
	case e.Reason != "":
		s += fmt.Sprintf(": %q", e.Reason)
	}
	if e.Err != nil {
		s += ": " + trimmed(e.Err)
	}
	return s
}

// Unwrap returns why there is no result, nil where the handler said no.
func (e *MethodError) Unwrap() error { return e.Err }

// Errors of calls. A [MethodError] wraps them.
var (
	// ErrNoHandler reports a member that does not serve the method to this node.
	ErrNoHandler = errors.New("espial: no such method")

	// ErrBusy reports a member that has as many calls as it takes; this one was not executed.
	ErrBusy = errors.New("espial: too many calls at a time (CallsMax)")

	// ErrPanicked reports a handler that panicked.
	ErrPanicked = errors.New("espial: the handler panicked")

	// ErrNotSent reports a call that was certainly not executed, and never will be: its member
	// went, the node ended, or the context, before it was sent.
	ErrNotSent = errors.New("espial: the call was not sent")

	// ErrMaybeExecuted reports a call that was sent and got no answer before its member went or
	// the context ended: it may have been executed, once, or not at all.
	ErrMaybeExecuted = errors.New("espial: the call may have been executed")
)
