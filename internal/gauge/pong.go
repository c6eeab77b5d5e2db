package gauge

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"

	"golang.org/x/sync/errgroup"
)

// Ping is the near end of what returns messages: one comes back before the next one leaves. Over
// a TLS connection of its own it is the limit that calls are held against. One goroutine uses it.
type Ping struct {
	c       io.ReadWriteCloser
	r       *bufio.Reader
	out, in []byte
}

// Pong listens on loopback and returns what comes on every connection, to where it came from.
// What it starts belongs to g; the listener ends with ctx, a connection when its [Ping] does.
func Pong(ctx context.Context, g *errgroup.Group) (addr string, err error) {
	return listen(ctx, g, func(c net.Conn) error { return Return(c) })
}

// Return is the far end of a [Ping]: it returns every message until c ends, and closes it.
func Return(c io.ReadWriteCloser) error {
	defer func() { _ = c.Close() }()
	r := bufio.NewReaderSize(c, bareBuffer)
	var buf, out []byte
	for {
		var err error
		if buf, err = readMessage(r, buf); err != nil {
			return unlessEOF(err)
		}
		out = appendMessage(out[:0], buf)
		if _, err := c.Write(out); err != nil {
			return err
		}
	}
}

// DialPing connects to the address that [Pong] returned.
func DialPing(ctx context.Context, addr string) (*Ping, error) {
	config, err := TLS()
	if err != nil {
		return nil, err
	}
	c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return NewPing(c), nil
}

// NewPing returns the near end of c, at whose far end is [Return].
func NewPing(c io.ReadWriteCloser) *Ping {
	return &Ping{c: c, r: bufio.NewReaderSize(c, bareBuffer)}
}

// Call sends a message and returns when it came back.
func (p *Ping) Call(payload []byte) (err error) {
	p.out = appendMessage(p.out[:0], payload)
	if _, err := p.c.Write(p.out); err != nil {
		return err
	}
	p.in, err = readMessage(p.r, p.in)
	return err
}

// Close ends the connection.
func (p *Ping) Close() error { return p.c.Close() }
