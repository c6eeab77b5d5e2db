package espial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/flow"
)

// call calls a method for a client: at one member, or at all that the target means. Each answer is
// a piece, an error of a member, too, and each value of a flow.
func (c controller) call(ctx context.Context, args json.RawMessage, send func(any) error) error {
	var a struct {
		Method  string   `json:"method"`
		Data    []byte   `json:"data"`
		Codec   codec.ID `json:"codec"`
		To      string   `json:"to"`
		Gather  bool     `json:"gather"`
		Timeout int64    `json:"timeout_ms"`
	}
	if err := json.Unmarshal(args, &a); err != nil {
		return badArgs("call needs a method and base64 data", err)
	}
	to, err := ParseTarget(a.To)
	if err == nil {
		err = checkMethod(a.Method)
	}
	if err != nil {
		return coded(err)
	}
	if !a.Gather {
		to = to.One()
	}
	ids, err := c.n.callees(a.Method, &to)
	if err != nil {
		return coded(err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(a.Timeout)*time.Millisecond)
	defer cancel()
	gather(ctx, ids, func(got Answer[[]byte]) bool {
		for piece := range c.n.pieces(ctx, a.Method, got) {
			if err = send(piece); err != nil {
				return false
			}
		}
		return true
	}, func(ctx context.Context, id NodeID) Answer[[]byte] {
		r, from, err := c.n.ask(ctx, id, question{method: a.Method, codec: a.Codec, data: a.Data})
		return Answer[[]byte]{From: from, Value: r.Value, Err: err, Codec: codec.ID(r.Codec)}
	})
	return err
}

// pieces yields an answer or, if it is a ticket for a flow, the values of that.
func (n *Node) pieces(ctx context.Context, method string, a Answer[[]byte]) iter.Seq[Answer[[]byte]] {
	return func(yield func(Answer[[]byte]) bool) {
		t, ok := flow.DecodeTicket(a.Value)
		if a.Err != nil || a.Codec != flowCodec || !ok {
			yield(a)
			return
		}
		in := &reading{node: n, ctx: ctx, method: method, from: a.From, ticket: t}
		more := true
		err := in.each(func(data []byte) (bool, error) {
			more = yield(Answer[[]byte]{From: a.From, Value: bytes.Clone(data), Codec: codec.ID(t.Codec)})
			return more, nil
		})
		if err != nil && more {
			yield(Answer[[]byte]{From: a.From, Err: err})
		}
	}
}

// booths are the calls that clients of the control socket are to answer.
type booths struct {
	mu   sync.Mutex // guards what follows
	last uint64
	open map[uint64]chan boothAnswer
}

// boothAnswer is what a client says of a call.
type boothAnswer struct {
	Call  uint64 `json:"call"`
	Data  []byte `json:"data"`
	Error string `json:"error"`
}

// boothCall is what a client is told: a call, or that one is to stop.
type boothCall struct {
	Call  uint64   `json:"call"`
	Stop  bool     `json:"stop,omitempty"`
	From  *Sender  `json:"from,omitempty"`
	Codec codec.ID `json:"codec"`
	Data  []byte   `json:"data"`
}

var (
	errBoothGone = errors.New("the program that serves the method is gone")
	errBoothOver = &control.Error{Code: "no_call", Text: "the call is over; its caller gave up, or is gone"}
)

// begin adds a call.
func (b *booths) begin() (number uint64, answer <-chan boothAnswer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil {
		b.open = map[uint64]chan boothAnswer{}
	}
	b.last++
	c := make(chan boothAnswer, 1)
	b.open[b.last] = c
	return b.last, c
}

// end forgets a call.
func (b *booths) end(number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, number)
}

// answer gives a call its answer, once.
func (b *booths) answer(a boothAnswer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.open[a.Call]
	if c == nil {
		return errBoothOver
	}
	delete(b.open, a.Call)
	c <- a
	return nil
}

// answer takes what a client says of a call.
func (c controller) answer(args json.RawMessage) error {
	var a boothAnswer
	if err := json.Unmarshal(args, &a); err != nil {
		return badArgs("answer needs a call and base64 data", err)
	}
	return c.n.booths.answer(a)
}

// serve serves a method for a client, until that goes: the calls come as pieces, and the answers by
// the verb answer.
func (c controller) serve(ctx context.Context, args json.RawMessage, send func(any) error) error {
	var a struct {
		Method string `json:"method"`
		To     string `json:"to"`
		Max    int    `json:"max"`
		About  string `json:"about"`
	}
	if err := json.Unmarshal(args, &a); err != nil {
		return badArgs("serve needs a method", err)
	}
	to, err := ParseTarget(a.To)
	if err != nil {
		return coded(err)
	}
	var mu sync.Mutex // held while a piece is written
	tell := func(v any) error {
		mu.Lock()
		defer mu.Unlock()
		return send(v)
	}
	mu.Lock() // nothing comes before the word that it is served
	stop, err := c.n.Serve(a.Method, func(call context.Context, who Caller, data []byte) ([]byte, error) {
		number, answer := c.n.booths.begin()
		defer c.n.booths.end(number)
		if tell(boothCall{Call: number, From: &who.Sender, Codec: who.Codec, Data: data}) != nil {
			return nil, errBoothGone
		}
		select {
		case got := <-answer:
			if got.Error != "" {
				return nil, errors.New(got.Error)
			}
			return got.Data, nil
		case <-ctx.Done():
			return nil, errBoothGone
		case <-call.Done():
			_ = tell(boothCall{Call: number, Stop: true}) // an error has ended the client
			return nil, context.Cause(call)
		}
	}, To(to), CallsMax(a.Max), Describe(a.About))
	if err == nil {
		defer stop()
		err = send(nil)
	}
	mu.Unlock()
	if err != nil {
		return coded(err)
	}
	select {
	case <-ctx.Done():
	case <-c.n.ended:
	}
	return c.ended(ctx)
}
