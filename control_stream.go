package espial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/espial-go/espial/internal/control"
	"github.com/espial-go/espial/internal/mux"
	"github.com/espial-go/espial/internal/tunnel"
)

// Limits of the streams of clients of the control socket.
const (
	berthsMax  = 1024             // of one listener, waiting or taken
	dialedWait = 10 * time.Second // for a member to take one, unless the client says otherwise
)

// farEnd is what a client is told of a stream that begins.
type farEnd struct {
	Stream uint64 `json:"stream,omitempty"` // its number, for accept
	Member Sender `json:"member"`           // at its other end
}

// stream answers the verbs of streams.
func (c controller) stream(ctx context.Context, r control.Request, send func(any) error) error {
	switch r.Verb {
	case "dial":
		return c.dial(ctx, r)
	case "accept":
		return c.accept(ctx, r)
	default:
		return c.listen(ctx, r.Args, send)
	}
}

// dial opens a stream for a client and makes it the rest of the connection.
func (c controller) dial(ctx context.Context, r control.Request) error {
	var a struct {
		To      string `json:"to"`
		Timeout int64  `json:"timeout_ms"`
	}
	if err := json.Unmarshal(r.Args, &a); err != nil {
		return badArgs("dial needs service.peer", err)
	}
	wait := dialedWait
	if a.Timeout > 0 {
		wait = min(wait, time.Duration(a.Timeout)*time.Millisecond)
	}
	opening, cancel := context.WithTimeout(ctx, wait)
	nc, err := c.n.Dial(opening, a.To)
	cancel()
	if err != nil {
		return codedStream(err)
	}
	return c.carry(ctx, r, nc)
}

// carry joins a stream with the connection of a client.
func (c controller) carry(ctx context.Context, r control.Request, nc net.Conn) error {
	s, err := r.Take(farEnd{Member: c.n.farMember(nc)})
	if err != nil {
		tunnel.Break(nc, err)
		return err
	}
	open, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	stop := context.AfterFunc(ctx, func() { end(errNodeEnded) })
	defer stop()
	_, _, err = tunnel.Join(open, s, nc)
	return err
}

// errNodeEnded is what the client hears of a stream that ends with its node.
var errNodeEnded = errors.New("the node has ended")

// farMember returns the member at the other end of a stream.
func (n *Node) farMember(nc net.Conn) Sender {
	addr, _ := nc.RemoteAddr().(mux.Addr)
	id, err := ParseNodeID(addr.Node)
	if err != nil {
		return Sender{}
	}
	return n.sender(id)
}

// listen listens on a service for a client, until that goes: the streams come as pieces with a
// number each, and the verb accept takes one.
func (c controller) listen(ctx context.Context, args json.RawMessage, send func(any) error) error {
	var a struct {
		Service string `json:"service"`
		Max     int    `json:"max"`
	}
	if err := json.Unmarshal(args, &a); err != nil {
		return badArgs("listen needs a service", err)
	}
	if a.Max < 1 || a.Max > berthsMax {
		return badArgs("max of listen", fmt.Errorf("is %d, must be between 1 and %d", a.Max, berthsMax))
	}
	ln, err := c.n.Listen(a.Service)
	if err != nil {
		return codedStream(err)
	}
	defer func() { _ = ln.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	free := make(chan struct{}, a.Max) // what is beyond waits in the backlog of the service
	defer c.n.berths.drop(free)
	if err := send(nil); err != nil {
		return err
	}
	for {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return c.ended(ctx)
		}
		nc, err := ln.Accept()
		if err != nil {
			return c.ended(ctx)
		}
		number := c.n.berths.add(nc, free)
		if err := send(farEnd{Stream: number, Member: c.n.farMember(nc)}); err != nil {
			return err
		}
	}
}

// accept makes a stream that listen told of the rest of the connection.
func (c controller) accept(ctx context.Context, r control.Request) error {
	var a struct {
		Stream uint64 `json:"stream"`
	}
	if err := json.Unmarshal(r.Args, &a); err != nil {
		return badArgs("accept needs the number of a stream", err)
	}
	b := c.n.berths.take(a.Stream)
	if b == nil {
		return &control.Error{Code: "no_stream", Text: "the stream is over; nobody took it in time"}
	}
	defer b.leave()
	return c.carry(ctx, r, b.conn)
}

// codedStream is coded for an error of Dial or Listen, without the dress of the net package: the
// client knows what it asked for.
func codedStream(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
	}
	switch {
	case errors.Is(err, ErrNoService):
		return &control.Error{Code: "no_service", Text: err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return &control.Error{Code: control.CodeFailed, Text: "no answer in time"}
	case errors.Is(err, syscall.EADDRINUSE):
		return &control.Error{Code: "in_use", Text: "a program listens on the service already"}
	}
	return coded(err)
}
