package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one connection, and with it one request.
type conn struct {
	net.Conn
	in   *bufio.Reader
	max  int    // bytes of the request line
	long *Error // the answer to a longer one
	cut  error  // why nothing more can be written: half a line may be out

	place *place         // among those of the server
	watch sync.WaitGroup // looks for the end of the client
	taken atomic.Bool    // Take was called
}

func newConn(c net.Conn, lineMax int, long *Error) *conn {
	if long == nil {
		long = badRequest("the request is longer than %d bytes", lineMax)
	}
	alone := &place{of: &counts{conns: 1}}
	return &conn{Conn: c, in: bufio.NewReader(c), max: lineMax, long: long, place: alone}
}

// serve answers the one request and closes the connection. An error while writing has
// nobody to go to: the client is gone.
func (c *conn) serve(ctx context.Context, h Handler) {
	client, gone := context.WithCancel(ctx)
	defer c.watch.Wait() // for the reader below, which ends with the connection
	defer func() { _ = c.Close() }()
	defer gone()
	_ = c.SetReadDeadline(time.Now().Add(requestWait))
	// Sets the deadlines after the end of ctx, as write relies on, and after the one above.
	stop := context.AfterFunc(client, func() {
		_ = c.SetReadDeadline(time.Now())
		_ = c.SetWriteDeadline(time.Now().Add(farewellWait))
	})
	defer stop()

	r, err := c.request()
	if err == nil {
		_ = c.SetReadDeadline(time.Time{})
		c.watch.Go(func() {
			_, err := c.in.Peek(1) // the end, or what does not belong here
			if !c.taken.Load() || !errors.Is(err, os.ErrDeadlineExceeded) {
				gone()
			}
		})
		r.take = func(facts any) (*Stream, error) { return c.take(client, facts) }
		err = h.Handle(client, r, func(v any) error { return c.send(client, v) })
	}
	if c.taken.Load() {
		return // what follows is the stream's
	}
	if err != nil && ctx.Err() != nil {
		err = &Error{Code: CodeClosed, Text: "the node has ended"}
	}
	_ = c.write(client, answer{Done: err == nil, Error: asError(err)})
}

// request reads the request. The buffer grows with what has arrived.
func (c *conn) request() (Request, error) {
	var line []byte
	for {
		part, err := c.in.ReadSlice('\n')
		if len(line)+len(part) > c.max {
			return Request{}, c.long
		}
		switch {
		case err == nil && line == nil:
			return decodeRequest(part)
		case err == nil:
			return decodeRequest(append(line, part...))
		case errors.Is(err, bufio.ErrBufferFull):
			line = append(line, part...)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return Request{}, badRequest("no request came within %v", requestWait)
		default:
			return Request{}, badRequest("the request does not end with a newline")
		}
	}
}

// send writes one piece of the answer.
func (c *conn) send(ctx context.Context, v any) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	b, err := encode(v)
	if err != nil {
		return err
	}
	return c.write(ctx, answer{Data: b})
}

// write writes one line of the answer. After an error it writes nothing more.
func (c *conn) write(ctx context.Context, a answer) error {
	b, err := encode(a)
	if err != nil {
		return err
	}
	if c.cut != nil {
		return c.cut
	}
	_ = c.SetWriteDeadline(time.Now().Add(stallMax))
	// If ctx ended before this, its own short deadline has just been overwritten; if it
	// ends from here on, the short one comes after ours.
	if ctx.Err() != nil {
		_ = c.SetWriteDeadline(time.Now().Add(farewellWait))
	}
	_, c.cut = c.Write(b)
	return c.cut
}

// encode returns v as one line of JSON. A browser never reads it, so that <, > and & stay
// as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// asError returns the answer for what a handler returned, nil for nil.
func asError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeFailed, Text: err.Error()}
}
