package main

import (
	"context"
	"errors"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/gauge"
)

// What is measured: the topic that is published, the method that is called, and the node that
// streams are opened to, with its service.
const (
	espialTopic   = "bench.data"
	espialMethod  = "bench.echo"
	espialService = "bench"
	espialStreams = "drain"
)

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

// espialCarrier is espial: events of one topic from one node to others that share the second
// process, calls, and streams.
type espialCarrier struct{}

func (e espialCarrier) receive(
	ctx context.Context, g *errgroup.Group, _ string, tallies []*gauge.Tally,
) (addr string, err error) {
	for i, t := range tallies {
		c := espial.Config{}
		if addr != "" {
			c.Seeds = []string{addr}
		}
		n, err := e.receiver(ctx, g, c, t)
		if err != nil {
			return "", err
		}
		addr = n.Addrs()[0]
		if err := n.WaitFor(ctx, i+1); err != nil {
			return "", err
		}
	}
	return addr, nil
}

// receiver starts a node that counts the events that it gets.
func (espialCarrier) receiver(
	ctx context.Context, g *errgroup.Group, c espial.Config, t *gauge.Tally,
) (*espial.Node, error) {
	c.Cluster, c.Listen = "bench", "127.0.0.1:0"
	n, err := startEspial(ctx, c)
	if err != nil {
		return nil, err
	}
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
	return n, nil
}

func (espialCarrier) dial(
	ctx context.Context, _ *errgroup.Group, addr string, receivers int,
) (gauge.Sender, error) {
	n, target, err := joinEspial(ctx, addr, receivers)
	return func(payload []byte) error { return n.Publish(ctx, espialTopic, payload, target) }, err
}

// joinEspial starts a node that knows where another one is, and returns a target that is all
// others, or the only one.
func joinEspial(ctx context.Context, addr string, others int) (*espial.Node, espial.Target, error) {
	target := espial.Others()
	n, err := startEspial(ctx, espial.Config{
		Cluster: "bench", Listen: "127.0.0.1:0", Seeds: []string{addr},
	})
	if err != nil {
		return nil, target, err
	}
	if err := n.WaitFor(ctx, others+1); err != nil {
		return nil, target, err
	}
	if others == 1 {
		for p := range n.Peers() {
			target = espial.Only(p.ID)
		}
	}
	return n, target, nil
}

// answer and callers are calls of a method, over the one link of two nodes.
func (espialCarrier) answer(ctx context.Context, _ *errgroup.Group, _ string) (string, error) {
	n, err := startEspial(ctx, espial.Config{Cluster: "bench", Listen: "127.0.0.1:0"})
	if err != nil {
		return "", err
	}
	echo := func(_ context.Context, _ espial.Caller, data []byte) ([]byte, error) { return data, nil }
	_, err = n.Serve(espialMethod, echo)
	return n.Addrs()[0], err
}

func (espialCarrier) callers(ctx context.Context, addr string, count int) ([]gauge.Caller, error) {
	n, to, err := joinEspial(ctx, addr, 1)
	if err != nil {
		return nil, err
	}
	call := func(payload []byte) error {
		_, err := n.Call(ctx, espialMethod, to, payload)
		return err
	}
	return slices.Repeat([]gauge.Caller{call}, count), nil
}

// accept and open are streams to a service, and events beside them.
func (e espialCarrier) accept(ctx context.Context, g *errgroup.Group, t *gauge.Tally) (string, error) {
	n, err := e.receiver(ctx, g, espial.Config{Name: espialStreams}, t)
	if err != nil {
		return "", err
	}
	ln, err := n.Listen(espialService)
	if err != nil {
		return "", err
	}
	g.Go(func() error { return drainAll(g, ln, t) })
	return n.Addrs()[0], nil
}

func (espialCarrier) open(
	ctx context.Context, _ *errgroup.Group, addr string,
) (gauge.Opener, gauge.Sender, error) {
	n, to, err := joinEspial(ctx, addr, 1)
	if err != nil {
		return nil, nil, err
	}
	open := func() (io.WriteCloser, error) { return n.Dial(ctx, espialService+"."+espialStreams) }
	return open, func(payload []byte) error { return n.Publish(ctx, espialTopic, payload, to) }, nil
}
