package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"

	"github.com/libp2p/go-yamux/v5"
	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/gauge"
)

// yamuxCarrier is yamux over a TLS connection and nothing else: streams, and a stream for each
// caller with ping-pong on it. espial has the same library below its own streams.
type yamuxCarrier struct{}

// hello is the byte by which an end of a stream knows that the other one has it, where the
// library does not tell.
const hello = 1

// serveYamux hands over the streams of every connection.
func serveYamux(ctx context.Context, g *errgroup.Group, take func(net.Conn) error) (string, error) {
	config, err := gauge.TLS()
	if err != nil {
		return "", err
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { _ = ln.Close() })
	g.Go(func() error {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		s, err := yamux.Server(c, yamux.DefaultConfig(), nil)
		if err != nil {
			return err
		}
		for {
			st, err := s.AcceptStream()
			if err != nil {
				return nil //nolint:nilerr // the process at the other end is gone
			}
			g.Go(func() error { return take(st) })
		}
	})
	return ln.Addr().String(), nil
}

// dialYamux connects.
func dialYamux(ctx context.Context, addr string) (*yamux.Session, error) {
	config, err := gauge.TLS()
	if err != nil {
		return nil, err
	}
	c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return yamux.Client(c, yamux.DefaultConfig(), nil)
}

func (yamuxCarrier) answer(ctx context.Context, g *errgroup.Group, _ string) (string, error) {
	return serveYamux(ctx, g, func(c net.Conn) error { return gauge.Return(c) })
}

func (yamuxCarrier) callers(ctx context.Context, addr string, count int) (all []gauge.Caller, err error) {
	s, err := dialYamux(ctx, addr)
	if err != nil {
		return nil, err
	}
	for range count {
		st, err := s.OpenStream(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, gauge.NewPing(st).Call)
	}
	return all, nil
}

func (yamuxCarrier) accept(ctx context.Context, g *errgroup.Group, t *gauge.Tally) (string, error) {
	return serveYamux(ctx, g, func(c net.Conn) error {
		if err := greet(c); err != nil {
			return err
		}
		return gauge.Drain(c, t)
	})
}

func (yamuxCarrier) open(
	ctx context.Context, _ *errgroup.Group, addr string,
) (gauge.Opener, gauge.Sender, error) {
	s, err := dialYamux(ctx, addr)
	return func() (io.WriteCloser, error) {
		st, err := s.OpenStream(ctx)
		if err != nil {
			return nil, err
		}
		return st, meet(st)
	}, nil, err
}

// greet is said at the far end of a stream, and meet at the near one: it waits until the other
// end has the stream.
func greet(c io.ReadWriter) error {
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return err
	}
	_, err := c.Write([]byte{hello})
	return err
}

func meet(c io.ReadWriter) error {
	if _, err := c.Write([]byte{hello}); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

// drainAll counts what the streams to a listener bring, until it is closed.
func drainAll(g *errgroup.Group, ln net.Listener, t *gauge.Tally) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		g.Go(func() error { return gauge.Drain(c, t) })
	}
}
