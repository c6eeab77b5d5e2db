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
