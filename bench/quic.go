package main

import (
	"context"
	"io"

	"github.com/quic-go/quic-go"
	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/gauge"
)

// quicALPN names what is spoken over QUIC.
const quicALPN = "bench"

// quicCarrier is QUIC: the streams of one connection, over UDP.
type quicCarrier struct{}

func (quicCarrier) accept(ctx context.Context, g *errgroup.Group, t *gauge.Tally) (string, error) {
	config, err := gauge.TLS()
	if err != nil {
		return "", err
	}
	config.NextProtos = []string{quicALPN}
	ln, err := quic.ListenAddr("127.0.0.1:0", config, nil)
	if err != nil {
		return "", err
	}
	g.Go(func() error {
		c, err := ln.Accept(ctx)
		if err != nil {
			return err
		}
		for {
			st, err := c.AcceptStream(ctx)
			if err != nil {
				return nil //nolint:nilerr // the process at the other end is gone
			}
			g.Go(func() error {
				if err := greet(st); err != nil {
					return err
				}
				return gauge.Drain(st, t)
			})
		}
	})
	return ln.Addr().String(), nil
}

func (quicCarrier) open(
	ctx context.Context, _ *errgroup.Group, addr string,
) (gauge.Opener, gauge.Sender, error) {
	config, err := gauge.TLS()
	if err != nil {
		return nil, nil, err
	}
	config.NextProtos = []string{quicALPN}
	c, err := quic.DialAddr(ctx, addr, config, nil)
	return func() (io.WriteCloser, error) {
		st, err := c.OpenStreamSync(ctx)
		if err != nil {
			return nil, err
		}
		return quicStream{st}, meet(st)
	}, nil, err
}

// quicStream is a stream as a writer.
type quicStream struct{ *quic.Stream }

// Close ends both directions: QUIC ends the one that is written alone.
func (s quicStream) Close() error {
	s.CancelRead(0)
	return s.Stream.Close()
}
