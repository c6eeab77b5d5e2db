package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/gauge"
)

// espialTopic is what its carrier publishes under.
const espialTopic = "bench.data"

// startEspial starts a node on loopback.
func startEspial(ctx context.Context, c espial.Config) (*espial.Node, error) {
	c.Multicast = espial.Multicast{Off: true}
	return espial.Start(ctx, c)
}

// espialSeat is a node of espial.
type espialSeat struct{ n *espial.Node }

// sitEspial returns what starts a node that elects in the given mode.
func sitEspial(m espial.Mode) elector {
	return func(ctx context.Context, p place) (seat, error) {
		n, err := startEspial(ctx, espial.Config{
			Cluster: p.Cluster, Name: p.Name, Listen: p.addr(), Seeds: p.Addrs, Election: m,
		})
		return espialSeat{n}, err
	}
}

func (s espialSeat) watch(ctx context.Context, tell func(leader string)) error {
	// The first change comes at once, and a leader that was known before is not told as one.
	for range s.n.Changes(ctx) {
		if l, ok := s.n.Leader(); ok {
			tell(l.Leader.Name)
		}
	}
	return nil
}

func (s espialSeat) resign(ctx context.Context) error { return s.n.Resign(ctx) }

// espialCarrier is events of one topic: a node sends, and one node for each receiver shares
// the second process.
type espialCarrier struct{}

func (espialCarrier) receive(
	ctx context.Context, g *errgroup.Group, _ string, tallies []*gauge.Tally,
) (addr string, err error) {
	for i, t := range tallies {
		c := espial.Config{Cluster: "bench", Listen: "127.0.0.1:0"}
		if addr != "" {
			c.Seeds = []string{addr}
		}
		n, err := startEspial(ctx, c)
		if err != nil {
			return "", err
		}
		addr = n.Addrs()[0]
		events := n.Subscribe(ctx, espialTopic, espial.WithPolicy(espial.Block), espial.ReuseData())
		g.Go(func() error {
			for e, err := range events {
				if err == nil {
					t.Add(e.Data)
				} else if !errors.Is(err, espial.ErrLagged) { // what is lost is missed in the count
					return err
				}
			}
			return nil
		})
		if err := n.WaitFor(ctx, i+1); err != nil {
			return "", err
		}
	}
	return addr, nil
}

func (espialCarrier) dial(
	ctx context.Context, _ *errgroup.Group, addr string, receivers int,
) (gauge.Sender, error) {
	n, err := startEspial(ctx, espial.Config{
		Cluster: "bench", Listen: "127.0.0.1:0", Seeds: []string{addr},
	})
	if err != nil {
		return nil, err
	}
	if err := n.WaitFor(ctx, receivers+1); err != nil {
		return nil, err
	}
	target := espial.Others()
	if receivers == 1 {
		for p := range n.Peers() {
			target = espial.Only(p.ID)
		}
	}
	return func(payload []byte) error { return n.Publish(ctx, espialTopic, payload, target) }, nil
}
