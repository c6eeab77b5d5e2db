package espial

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Handler answers a call: with bytes, or with an error, whose text its caller gets. Its context ends
// when the caller gives up or is gone, its deadline comes, or the node ends; after that nobody gets
// what it returns. A handler that panics is an [ErrPanicked] at its caller; the node logs it, counts
// it and goes on.
//
// [Config.WrapServe] and [Config.WrapCall] have functions that wrap handlers in others.
type Handler func(ctx context.Context, c Caller, data []byte) ([]byte, error)

// ServeOption changes how a method is served.
type ServeOption func(*service)

// service is a method on its way to be served.
type service struct {
	method   string   // its name
	hidden   bool     // nobody is told of it
	codec    codec.ID // of the results
	argument string   // the types; empty for bytes
	result   string
	about    string
	flows    *flowsMax // nil where the result is none
	handle   Handler
	to       *Target // nil for everybody
	callsMax int
}

// callsMaxDefault is how many calls of a method run at a time unless [CallsMax] says otherwise.
const callsMaxDefault = 1024

// To limits a method to callers that t means when their call arrives, this node included. To others
// it does not exist: they get [ErrNoHandler]. What t says about one of them, or about
// confirmations, has no meaning here.
func To(t Target) ServeOption { return func(s *service) { s.to = &t } }

// CallsMax bounds the calls of a method that run at a time: the callers of more get [ErrBusy].
// Default 1,024, at least 1.
func CallsMax(calls int) ServeOption { return func(s *service) { s.callsMax = calls } }

// Describe says in up to 256 bytes what a method does, for [Node.Methods].
func Describe(text string) ServeOption { return func(s *service) { s.about = text } }

// Serve answers the calls of a method with what h returns, each on a goroutine of its own, until
// stop is called, [Node.Leave] or the end of the node. Callers that come later are served, too, and
// a node has one handler for each method. After stop, calls that run go on, and are answered. Close
// does not wait for them: their context ends.
//
// The error is a [MethodError] for a malformed, reserved or served method or an option that cannot
// be, a [TargetError], or [ErrClosed].
func (n *Node) Serve(method string, h Handler, opts ...ServeOption) (stop func(), err error) {
	if err := checkMethod(method); err != nil {
		return nil, err
	}
	return n.serve(opts, service{method: method, handle: h})
}

// serve is Serve for methods whose names are checked, all or none, and any codec.
func (n *Node) serve(opts []ServeOption, list ...service) (stop func(), err error) {
	all := make([]exchange.Service, len(list))
	for i, s := range list {
		s.callsMax = callsMaxDefault
		for _, o := range opts {
			o(&s)
		}
		if all[i], err = n.inside(s); err != nil {
			return nil, err
		}
	}
	stop, err = n.eng.Exchange().Serve(all...)
	if served, ok := errors.AsType[*exchange.ServedError](err); ok {
		return nil, &MethodError{Method: served.Method, Reason: "is served by this node already"}
	}
	return stop, n.public(err)
}

// inside converts a service at the border, and checks it.
func (n *Node) inside(s service) (exchange.Service, error) {
	about := frame.Method{Codec: uint8(s.codec), Argument: s.argument, Result: s.result, About: s.about}
	x := exchange.Service{Method: s.method, Hidden: s.hidden, CallsMax: s.callsMax, About: about}
	if s.to != nil {
		if err := s.to.check(); err != nil {
			return x, err
		}
		x.Serves = func(id ident.NodeID) bool { return n.isMeant(s.to, id) }
	}
	switch {
	case s.handle == nil:
		return x, &MethodError{Method: s.method, Reason: "needs a handler"}
	case s.callsMax < 1:
		reason := fmt.Sprintf("CallsMax(%d) is not above 0", s.callsMax)
		return x, &MethodError{Method: s.method, Reason: reason}
	case len(s.about) > frame.AboutMax:
		reason := fmt.Sprintf("Describe has %d bytes, limit %d", len(s.about), frame.AboutMax)
		return x, &MethodError{Method: s.method, Reason: reason}
	}
	results := s.codec
	if s.flows != nil {
		s.flows.max, results = int64(s.callsMax), flowCodec
	}
	s.handle = wrap(s.handle, n.cfg.WrapServe)
	x.Handle = func(ctx context.Context, from exchange.Sender, q exchange.Request) exchange.Reply {
		c := Caller{
			Sender: Sender{ID: NodeID(from.ID), Name: from.Name}, Callee: n.self(), Method: s.method,
			Codec: codec.ID(q.Codec),
		}
		return exchange.Reply{Answer: n.execute(ctx, &s, c, q.Value), Codec: uint8(results)}
	}
	return x, nil
}

// execute runs a handler and says what became of it.
func (n *Node) execute(ctx context.Context, s *service, c Caller, data []byte) (a frame.Answer) {
	defer func() {
		if v := recover(); v != nil {
			n.panics.Add(1)
			n.cfg.Logger.Error("a handler panicked", "method", c.Method, "caller", c.ID.String(),
				"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			a = frame.Answer{Outcome: frame.OutcomePanicked}
		}
	}()
	value, err := s.handle(ctx, c, data)
	if err == nil {
		return frame.Answer{Outcome: frame.OutcomeValue, Text: s.result, Value: value}
	}
	if errors.Is(err, errFlowsMax) {
		return frame.Answer{Outcome: frame.OutcomeBusy}
	}
	if bad, ok := errors.AsType[*argumentError](err); ok {
		reason := bad.err.Error()
		return frame.Answer{Outcome: frame.OutcomeMismatch, Text: bad.want, Value: []byte(reason)}
	}
	return frame.Answer{Outcome: frame.OutcomeFailed, Text: err.Error()}
}

// wrap returns h in wrappers, of which the first is the outermost.
func wrap(h Handler, wrappers []func(next Handler) Handler) Handler {
	for _, w := range slices.Backward(wrappers) {
		h = w(h)
	}
	return h
}
