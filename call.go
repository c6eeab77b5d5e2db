package espial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
)

// Caller says who calls which method of whom.
type Caller struct {
	Sender          // who calls
	Method string   // its name
	Callee Sender   // who is called
	Codec  codec.ID // of the argument
}

// Answer is what one member answers to a call of many.
type Answer[R any] struct {
	From  Sender   // who answers; zero where nobody could be called
	Value R        // the result; zero beside an error
	Err   error    // why there is none
	Codec codec.ID // of the result
}

// MarshalJSON returns the stable shape that the command espial call prints: bytes that are JSON stand
// as they are, others as value_base64.
func (a Answer[R]) MarshalJSON() ([]byte, error) {
	shape := struct {
		From   Sender          `json:"from"`
		Codec  *codec.ID       `json:"codec,omitempty"`
		Value  json.RawMessage `json:"value,omitempty"`
		Base64 *[]byte         `json:"value_base64,omitempty"`
		Error  string          `json:"error,omitempty"`
	}{From: a.From}
	if a.Err != nil {
		shape.Error = a.Err.Error()
		return json.Marshal(shape)
	}
	shape.Codec = &a.Codec
	data, raw := any(a.Value).([]byte)
	switch {
	case !raw:
		var err error
		if data, err = json.Marshal(a.Value); err != nil {
			return nil, err
		}
		shape.Value = data
	case a.Codec <= codec.JSON && json.Valid(data):
		shape.Value = data
	default:
		shape.Base64 = &data
	}
	return json.Marshal(shape)
}

// Call calls a method with data at one of the members that to means and that serve the method,
// in turn unless [Target.For] says which, and returns the bytes of its result. This node knows
// who serves what one round trip after Serve, and of those that were there before when
// [Node.WaitFor] returns; where nobody has said so, it calls one all the same. What to says
// about confirmations has no meaning here. A node calls itself without the network. Call waits
// until ctx ends; then the context of the handler ends, too, as it does by a deadline of ctx,
// which travels with the call. data may be reused when Call returns.
//
// The error is a [MethodError]: what the handler returned, as text; [ErrNoHandler], at once, where
// the member does not serve the method; [ErrBusy], [ErrPanicked], [ErrTooLarge] for an argument or a
// result above [Config.EventMax] of either end; [ErrNotSent] or [ErrMaybeExecuted], which wrap the
// reason, too. A call is executed at most once; it is never sent again. Or it is a [TargetError],
// [ErrNoMember] or [ErrNoLeader] where to means nobody. Beyond 1,024 calls to one member that are
// not answered yet, Call waits.
func (n *Node) Call(ctx context.Context, method string, to Target, data []byte) ([]byte, error) {
	if err := checkMethod(method); err != nil {
		return nil, err
	}
	id, err := n.callee(method, &to)
	if err != nil {
		return nil, err
	}
	a := n.askBytes(ctx, id, question{method: method, data: data})
	return a.Value, a.Err
}

// Gather calls a method with data at every member that to means when the loop begins, this node
// included, and yields one [Answer] of each in the order in which they come: a result or an error,
// as Call returns them. The loop ends when all have answered or are gone, and at the latest soon
// after ctx; what is left when it is broken off is told to stop. A target that means nobody yields
// one Answer with the error and no sender.
func (n *Node) Gather(ctx context.Context, method string, to Target, data []byte) iter.Seq[Answer[[]byte]] {
	return func(yield func(Answer[[]byte]) bool) {
		ids, err := n.callees(method, &to)
		if err == nil {
			err = checkMethod(method)
		}
		if err != nil {
			yield(Answer[[]byte]{Err: err})
			return
		}
		gather(ctx, ids, yield, func(ctx context.Context, id NodeID) Answer[[]byte] {
			return n.askBytes(ctx, id, question{method: method, data: data})
		})
	}
}

// gather calls each of the members, and yields what they answer.
func gather[R any](
	ctx context.Context, ids []ident.NodeID, yield func(Answer[R]) bool,
	call func(ctx context.Context, id NodeID) Answer[R],
) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	answers := make(chan Answer[R], len(ids))
	for _, id := range ids {
		wg.Go(func() { answers <- call(ctx, NodeID(id)) })
	}
	for range ids {
		if !yield(<-answers) {
			return
		}
	}
}

// callees returns whom t means now. If it chooses one of them, it is one that serves the method; or
// any, where none has said so.
func (n *Node) callees(method string, t *Target) ([]ident.NodeID, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	ids := n.meant(t)
	switch {
	case len(ids) > 0:
	case t.kind == targetLeader:
		return nil, n.leaderless()
	default:
		return nil, ErrNoMember
	}
	if t.one == chooseEvery {
		return ids, nil
	}
	serving := make([]ident.NodeID, 0, len(ids))
	for _, id := range ids {
		if n.eng.Exchange().Serves(id, method) {
			serving = append(serving, id)
		}
	}
	if len(serving) > 0 {
		ids = serving
	}
	return n.choose(t, ids), nil
}

// callee returns the one member that a call is for.
func (n *Node) callee(method string, t *Target) (NodeID, error) {
	if t.kind == targetOnly {
		return t.id, nil
	}
	one := *t
	if one.one == chooseEvery {
		one.one = chooseInTurn
	}
	ids, err := n.callees(method, &one)
	if err != nil {
		return NodeID{}, err
	}
	return NodeID(ids[0]), nil
}

// question is what a call asks.
type question struct {
	method string
	codec  codec.ID
	typ    string // of the argument; empty for bytes
	data   []byte
}

// askBytes calls a method at one member for bytes, which a flow is not.
func (n *Node) askBytes(ctx context.Context, id NodeID, q question) Answer[[]byte] {
	r, from, err := n.ask(ctx, id, q)
	a := Answer[[]byte]{From: from, Value: r.Value, Err: err, Codec: codec.ID(r.Codec)}
	if err == nil && a.Codec == flowCodec {
		err = &MismatchError{There: r.Text, Err: errFlowHere}
		a = Answer[[]byte]{From: from, Err: &MethodError{Method: q.method, Member: from, Err: err}}
	}
	return a
}

// ask calls a method at one member, by way of [Config.WrapCall].
func (n *Node) ask(ctx context.Context, id NodeID, q question) (r exchange.Reply, from Sender, err error) {
	from = n.sender(id)
	if len(n.cfg.WrapCall) == 0 {
		r, err = n.askBare(ctx, from, &q)
		return r, from, err
	}
	r, err = n.askWrapped(ctx, from, q)
	return r, from, err
}

// askWrapped is ask with the wrappers.
func (n *Node) askWrapped(ctx context.Context, to Sender, q question) (r exchange.Reply, err error) {
	call := func(ctx context.Context, _ Caller, data []byte) ([]byte, error) {
		q.data = data // a wrapper may change it
		r, err = n.askBare(ctx, to, &q)
		return r.Value, err
	}
	who := Caller{Sender: n.self(), Method: q.method, Callee: to, Codec: q.codec}
	value, err := wrap(call, n.cfg.WrapCall)(ctx, who, q.data)
	r.Value = value // likewise
	return r, err
}

// askBare is ask without the wrappers.
func (n *Node) askBare(ctx context.Context, to Sender, q *question) (exchange.Reply, error) {
	if len(q.data) > n.cfg.EventMax {
		err := &unansweredError{class: ErrNotSent, cause: tooLarge(len(q.data), n.cfg.EventMax)}
		return exchange.Reply{}, &MethodError{Method: q.method, Member: to, Err: err}
	}
	r, err := n.eng.Exchange().Call(ctx, ident.NodeID(to.ID), exchange.Request{
		Method: q.method, Codec: uint8(q.codec), Value: q.data,
	})
	if err == nil && r.Outcome == frame.OutcomeValue {
		return r, nil
	}
	at, limited := ctx.Deadline()
	if err == nil && r.Outcome == frame.OutcomeFailed && limited && !time.Now().Before(at) {
		// The handler says so, and was quicker than the timer of this end.
		err = &exchange.CallError{Sent: true, Err: context.DeadlineExceeded}
	}
	return r, n.outcome(&r, q, to, err)
}

// sender names a member.
func (n *Node) sender(id NodeID) Sender {
	view := n.eng.View()
	for i := range view.Members {
		if m := &view.Members[i]; NodeID(m.Record.ID) == id {
			return Sender{ID: id, Name: m.Record.Name}
		}
	}
	return Sender{ID: id}
}

// self names this node.
func (n *Node) self() Sender { return Sender{ID: n.id, Name: n.cfg.Name} }

// outcome returns the error that a reply without a value stands for, or that there is none.
func (n *Node) outcome(r *exchange.Reply, q *question, from Sender, err error) error {
	out := &MethodError{Method: q.method, Member: from}
	if failed, ok := errors.AsType[*exchange.CallError](err); ok {
		class := ErrNotSent
		if failed.Sent {
			class = ErrMaybeExecuted
		}
		if errors.Is(err, exchange.ErrNoCalls) {
			class = ErrNoHandler
		}
		out.Err = &unansweredError{class: class, cause: n.public(failed.Err)}
		return out
	}
	switch r.Outcome {
	case frame.OutcomeNoHandler:
		out.Err = ErrNoHandler
	case frame.OutcomeBusy:
		out.Err = ErrBusy
	case frame.OutcomePanicked:
		out.Err = ErrPanicked
	case frame.OutcomeTooLarge:
		out.Err = fmt.Errorf("%w: the argument, for the callee's Config.EventMax", ErrTooLarge)
	case frame.OutcomeTooLong:
		out.Err = fmt.Errorf("%w: the result, for Config.EventMax of one of the ends", ErrTooLarge)
	case frame.OutcomeMismatch:
		out.Err = &MismatchError{Here: q.typ, There: r.Text, Err: errors.New(string(r.Value))}
	default:
		if out.Reason = r.Text; out.Reason == "" {
			out.Reason = "no reason given"
		}
	}
	return out
}

// unansweredError is a class of errors with its cause.
type unansweredError struct{ class, cause error }

func (e *unansweredError) Error() string { return e.class.Error() + ": " + trimmed(e.cause) }

func (e *unansweredError) Unwrap() []error { return []error{e.class, e.cause} }

// trimmed returns the text of an error without our name in front.
func trimmed(err error) string { return strings.TrimPrefix(err.Error(), "espial: ") }

// checkMethod returns a [MethodError] for a name that no method has.
func checkMethod(method string) error {
	err := glob.CheckTopic(method)
	switch se, ok := errors.AsType[*glob.SyntaxError](err); {
	case ok:
		return &MethodError{Method: method, Reason: se.Reason}
	case strings.HasPrefix(method, "espial."):
		return &MethodError{Method: method, Reason: reservedReason}
	}
	return err
}
