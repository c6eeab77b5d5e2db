package gauge

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"

	"golang.org/x/sync/errgroup"
)

// blocks are the buffers of those who drain streams.
var blocks = sync.Pool{New: func() any { return new([StreamBlock]byte) }} //nolint:gochecknoglobals // a cache

// Drain counts the bytes of a stream until it ends, and closes it.
func Drain(c io.ReadCloser, t *Tally) error {
	block, _ := blocks.Get().(*[StreamBlock]byte)
	defer blocks.Put(block)
	defer func() { _ = c.Close() }() // it is over
	return t.Drain(func() (int, error) { return c.Read(block[:]) })
}

// Drain counts the bytes that read takes from a stream, until its end, [io.EOF], or another
// error.
func (t *Tally) Drain(read func() (int, error)) error {
	t.streams.Add(1)
	defer t.streams.Add(-1)
	for {
		n, err := read()
		t.addBytes(n)
		if err != nil {
			return unlessEOF(err)
		}
	}
}

// Sink listens on loopback and counts the bytes that come on every connection: the limit that
// streams are held against. What it starts belongs to g; the listener ends with ctx, a
// connection when it is closed where [DialSink] opened it.
func Sink(ctx context.Context, g *errgroup.Group, t *Tally) (addr string, err error) {
	return listen(ctx, g, func(c net.Conn) error { return Drain(c, t) })
}

// DialSink returns what connects to the address that [Sink] returned, with a connection for
// each stream.
func DialSink(ctx context.Context, addr string) (Opener, error) {
	config, err := TLS()
	d := &tls.Dialer{Config: config}
	return func() (io.WriteCloser, error) { return d.DialContext(ctx, "tcp", addr) }, err
}

// listen listens on loopback and hands over each connection, under TLS. What it starts belongs
// to g; the listener ends with ctx.
func listen(ctx context.Context, g *errgroup.Group, take func(net.Conn) error) (addr string, err error) {
	config, err := TLS()
	if err != nil {
		return "", err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	g.Go(func() error {
		defer stop()
		for {
			c, err := ln.Accept()
			if err != nil && ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			g.Go(func() error { return take(tls.Server(c, config)) })
		}
	})
	return ln.Addr().String(), nil
}
