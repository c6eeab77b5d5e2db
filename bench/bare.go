package main

import (
	"context"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/gauge"
)

// bare is the limit that the others are held against.
type bare struct{}

func (bare) receive(
	ctx context.Context, g *errgroup.Group, _ string, tallies []*gauge.Tally,
) (string, error) {
	addrs, err := gauge.ReceiveBare(ctx, g, tallies)
	return strings.Join(addrs, ","), err
}

func (bare) dial(ctx context.Context, g *errgroup.Group, addr string, _ int) (gauge.Sender, error) {
	b, err := gauge.DialBare(ctx, g, strings.Split(addr, ","))
	if err != nil {
		return nil, err
	}
	return b.Send, nil
}

// answer and callers are ping-pong, with a connection for each caller.
func (bare) answer(ctx context.Context, g *errgroup.Group, _ string) (string, error) {
	return gauge.Pong(ctx, g)
}

func (bare) callers(ctx context.Context, addr string, count int) (all []gauge.Caller, err error) {
	for range count {
		p, err := gauge.DialPing(ctx, addr)
		if err != nil {
			return nil, err
		}
		all = append(all, p.Call)
	}
	return all, nil
}

// accept and open have a connection for each stream, and a bare link for the messages.
func (b bare) accept(ctx context.Context, g *errgroup.Group, t *gauge.Tally) (string, error) {
	link, err := b.receive(ctx, g, "", []*gauge.Tally{t})
	if err != nil {
		return "", err
	}
	sink, err := gauge.Sink(ctx, g, t)
	return link + "," + sink, err
}

func (b bare) open(
	ctx context.Context, g *errgroup.Group, addr string,
) (gauge.Opener, gauge.Sender, error) {
	link, sink, _ := strings.Cut(addr, ",")
	send, err := b.dial(ctx, g, link, 1)
	if err != nil {
		return nil, nil, err
	}
	open, err := gauge.DialSink(ctx, sink)
	return open, send, err
}
