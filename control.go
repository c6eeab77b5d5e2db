package espial

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/session"
)

// openControl opens the control socket. A node works without it, so failing is only a
// warning.
func (n *Node) openControl(ctx context.Context) {
	s, err := control.Listen(ctx, control.Folders(), n.id.Short())
	if err != nil {
		n.cfg.Logger.Warn("no control socket; the espial command will not find this node", "err", err)
		return
	}
	s.LineMax = control.LineMaxDefault + base64.StdEncoding.EncodedLen(n.cfg.EventMax)
	s.TooLong = n.tooLarge() // only data is that long
	n.socket, n.control = s, s.Path()
}

// serveControl answers on the control socket, if there is one, until ctx ends.
func (n *Node) serveControl(ctx context.Context) {
	if n.socket == nil {
		return
	}
	if err := n.socket.Serve(ctx, controller{n}); err != nil {
		n.cfg.Logger.Warn("the control socket is gone", "err", err)
	}
}

// controller answers the control socket of a node. Its verbs and the shapes of their
// answers are stable:
//
//	hello                     who this is
//	status                    a Status
//	members, peers, topics    each Member, each Peer, each TopicStats
//	methods, services         each MethodInfo, each ServiceInfo
//	changes                   each Change, the present members first, until the client goes
//	pub {topic,data,codec,to,acks,handled,timeout_ms}
//	                          nothing, once the event is accepted, or so many members have
//	                          confirmed it; data is base64 of raw bytes, or of those that are
//	                          encoded in codec, to as ParseTarget takes it
//	leader                    who leads, as espial leader prints it
//	promote {member}          nothing, once the hand-over is under way
//	resign                    nothing, once this node leads no more
//	sub {pattern,count,group,replay}
//	                          null once events are collected, then each Event, until there were
//	                          count of them; 0 means until the client goes
//	call {method,data,codec,to,gather,timeout_ms}
//	                          each Answer, of one member unless gather is set
//	serve {method,to,max,about}
//	                          null once the method is served, then each call {call,from,codec,data}
//	                          and the end of those that are given up {call,stop}, until the client goes
//	answer {call,data,error}  nothing; the answer to a call
//	dial {to,timeout_ms}      {member}, then the stream
//	listen {service,max}      null once the node listens, then each stream {stream,member}, at most
//	                          max of them at a time, until the client goes
//	accept {stream}           {member}, then the stream, which waits 10 s for that
type controller struct{ n *Node }

// Handle implements [control.Handler].
func (c controller) Handle(ctx context.Context, r control.Request, send func(any) error) error {
	switch r.Verb {
	case "hello":
		return send(control.Hello{
			ID: c.n.ID().String(), Name: c.n.Name(), Cluster: c.n.Cluster(), Version: Version,
		})
	case "status":
		return send(c.n.Status())
	case "members", "peers", "topics", "methods", "services":
		return c.list(r.Verb, send)
	case "changes":
		if err := sendAll(send, c.n.Changes(ctx)); err != nil {
			return err
		}
		return c.ended(ctx)
	case "leader":
		return c.leader(send)
	case "promote":
		return c.promote(ctx, r.Args)
	case "resign":
		return coded(c.n.Resign(ctx))
	case "pub":
		return c.pub(ctx, r.Args)
	case "sub":
		return c.sub(ctx, r.Args, send)
	case "call":
		return c.call(ctx, r.Args, send)
	case "serve":
		return c.serve(ctx, r.Args, send)
	case "answer":
		return c.answer(r.Args)
	case "dial", "listen", "accept":
		return c.stream(ctx, r, send)
	}
	return &control.Error{
		Code: control.CodeVerb, Text: "the node does not know " + r.Verb + "; it has version " + Version,
	}
}

// list sends what there is of one kind.
func (c controller) list(verb string, send func(any) error) error {
	switch verb {
	case "members":
		return sendAll(send, c.n.Members())
	case "peers":
		return sendAll(send, c.n.Peers())
	case "topics":
		return sendAll(send, c.n.Topics())
	case "services":
		return sendAll(send, c.n.Services())
	default:
		return sendAll(send, c.n.Methods())
	}
}

// leader tells who leads the default election.
func (c controller) leader(send func(any) error) error {
	b, ok := c.n.main().shape()
	if !ok {
		return coded(c.n.leaderless())
	}
	return send(b)
}

// promote makes the one member lead that has a name, an ID or the beginning of an ID.
func (c controller) promote(ctx context.Context, args json.RawMessage) error {
	var a struct {
		Member string `json:"member"`
	}
	if err := json.Unmarshal(args, &a); err != nil {
		return badArgs("promote needs a member", err)
	}
	var match []NodeID
	for m := range c.n.Members() {
		if a.Member != "" && (m.Name == a.Member || strings.HasPrefix(m.ID.String(), a.Member)) {
			match = append(match, m.ID)
		}
	}
	switch len(match) {
	case 0:
		return &control.Error{Code: "no_member", Text: fmt.Sprintf(
			"no member is called %q or has an ID that begins so", a.Member)}
	case 1:
	default:
		return &control.Error{Code: "no_member", Text: fmt.Sprintf(
			"%d members are called %q or have an ID that begins so; say more of the ID",
			len(match), a.Member)}
	}
	return coded(c.n.Promote(ctx, match[0]))
}

// sendAll sends each value of seq as a piece of its own, so that an answer never has
// to be in memory as a whole.
func sendAll[T any](send func(any) error, seq iter.Seq[T]) error {
	for v := range seq {
		if err := send(v); err != nil {
			return err
		}
	}
	return nil
}

// pub publishes for a client. It waits as Publish does, until the client goes or, for
// receipts, at most the time that the client says.
func (c controller) pub(ctx context.Context, args json.RawMessage) error {
	var a struct {
		Topic   string   `json:"topic"`
		Data    []byte   `json:"data"`
		Codec   codec.ID `json:"codec"`
		To      string   `json:"to"`
		Acks    int      `json:"acks"`
		Handled bool     `json:"handled"`
		Timeout int64    `json:"timeout_ms"`
	}
	if err := json.Unmarshal(args, &a); err != nil {
		return badArgs("pub needs a topic and base64 data", err)
	}
	to := All()
	if a.To != "" {
		var err error
		if to, err = ParseTarget(a.To); err != nil {
			return coded(err)
		}
	}
	if a.Acks > 0 {
		to = to.Queued().AtLeast(a.Acks)
		if a.Handled {
			to = to.Handled()
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(a.Timeout)*time.Millisecond)
		defer cancel()
	}
	m := session.Message{Topic: a.Topic, Codec: uint8(a.Codec), Payload: a.Data}
	err := c.n.publish(ctx, m, []Target{to})
	if errors.Is(err, ErrTooLarge) {
		return c.n.tooLarge()
	}
	return coded(err)
}

// tooLarge is the answer to data above the limit of an event. The client knows how much it
// sent; here it may not have been read to its end.
func (n *Node) tooLarge() *control.Error {
	text := fmt.Sprintf("an event of this node has at most %d bytes of data", n.cfg.EventMax)
	return &control.Error{Code: "too_large", Text: text}
}

// sub subscribes for a client. A client that falls behind loses the oldest events and
// is told: unlike a reader in the program, it must not make a sender wait.
func (c controller) sub(ctx context.Context, args json.RawMessage, send func(any) error) error {
	var a struct {
		Pattern string   `json:"pattern"`
		Except  []string `json:"except"`
		Count   int      `json:"count"`
		Group   string   `json:"group"`
		Replay  bool     `json:"replay"`
	}
	if err := json.Unmarshal(args, &a); err != nil {
		return badArgs("sub needs a pattern", err)
	}
	opts := []SubscribeOption{WithPolicy(DropOldest), Except(a.Except...)}
	if a.Group != "" {
		opts = append(opts, Group(a.Group))
	}
	if a.Replay {
		opts = append(opts, Replay())
	}
	events := c.n.Subscribe(ctx, a.Pattern, opts...)
	if err := send(nil); err != nil {
		return err
	}
	read := 0
	for e, err := range events {
		lag, lagged := errors.AsType[*LaggedError](err)
		switch {
		case lagged:
			err = send(newLoss(lag))
		case err == nil:
			read++
			err = send(e)
		default:
			err = coded(err)
		}
		if err != nil || !lagged && read == a.Count {
			return err
		}
	}
	return c.ended(ctx)
}

// badArgs returns the answer to arguments that do not belong to their verb.
func badArgs(text string, err error) error {
	return &control.Error{Code: control.CodeRequest, Text: text + ": " + err.Error()}
}

// ended returns why a stream of changes or events came to its end.
func (c controller) ended(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return coded(ErrClosed)
}

// coded gives an error of the public API the code that clients of the control socket
// decide on.
func coded(err error) error {
	if err == nil {
		return nil
	}
	code := control.CodeFailed
	_, topic := errors.AsType[*TopicError](err)
	_, target := errors.AsType[*TargetError](err)
	method, named := errors.AsType[*MethodError](err)
	_, undelivered := errors.AsType[*UndeliveredError](err)
	switch {
	case topic:
		code = "topic"
	case named && method.Member == (Sender{}):
		code = "method"
	case target:
		code = "target"
	case undelivered:
		code = "undelivered"
	case errors.Is(err, ErrNoMember):
		code = "no_member"
	case errors.Is(err, ErrNoLeader):
		code = "no_leader"
	case errors.Is(err, ErrNotLeader):
		code = "not_leader"
	case errors.Is(err, ErrNotEligible):
		code = "not_eligible"
	case errors.Is(err, ErrClosed):
		code = control.CodeClosed
	}
	return &control.Error{Code: code, Text: err.Error()}
}

// loss stands in the place of events that never reached a subscription. Its topic is
// reserved, so that no event looks like it.
type loss struct {
	Time    time.Time `json:"time"`
	Topic   Kind      `json:"topic"`
	From    Sender    `json:"from"`
	Count   uint64    `json:"count"`
	Unknown bool      `json:"unknown,omitempty"`
}

func newLoss(e *LaggedError) loss {
	return loss{
		Time: time.Now(), Topic: Lagged, From: Sender{ID: e.From}, Count: e.Count, Unknown: e.Unknown,
	}
}
