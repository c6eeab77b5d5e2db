package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/gauge"
)

// benchTopic is what the benchmark publishes under.
const benchTopic = "bench.data"

// What a receiver process is told: to begin a run, whose messages are timed or not, and to tell
// what came of it.
const (
	orderCount  = "count"
	orderTime   = "time"
	orderReport = "report"
)

// obey does what the sender tells, with the receivers' meter, until in ends.
func obey(in io.Reader, out io.Writer, addrs []string, m *gauge.Meter) error {
	return gauge.Obey(in, out, addrs, func(order string) (any, error) {
		switch order {
		case orderCount, orderTime:
			m.Begin(order == orderTime)
			return gauge.Report{}, nil
		case orderReport:
			return m.Report(), nil
		}
		return nil, fmt.Errorf("bench: unknown order %q", order)
	})
}

// receiveNodes runs the receiving nodes of a benchmark until in ends.
func receiveNodes(ctx context.Context, b benchChild, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := gauge.NewMeter(b.nodes)
	var g errgroup.Group
	defer g.Wait() //nolint:errcheck // the parent sees what is missing
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, t := range m.Tallies {
		n, err := espial.Start(ctx, espial.Config{
			Cluster: b.cluster, Name: fmt.Sprintf("receiver-%d", i), Listen: "127.0.0.1:0",
			Seeds: []string{b.addr}, Multicast: espial.Multicast{Off: true},
		})
		if err != nil {
			return err
		}
		defer n.Close() //nolint:errcheck // the process ends
		if _, err := n.Serve(benchMethod, echo); err != nil {
			return err
		}
		ln, err := n.Listen(benchService)
		if err != nil {
			return err
		}
		wg.Go(func() { drain(&g, ln, t) })
		events := n.Subscribe(ctx, benchTopic, espial.WithPolicy(espial.Block), espial.ReuseData())
		wg.Go(func() { receive(events, t) })
		// Members meet everybody, so the last one that starts waits for all.
		if err := n.WaitFor(ctx, i+2); err != nil {
			return err
		}
	}
	err := obey(in, out, nil, m)
	cancel()
	return err
}

// echo returns what it gets.
func echo(_ context.Context, _ espial.Caller, data []byte) ([]byte, error) { return data, nil }

// receive counts what a subscription yields.
func receive(events func(func(espial.Event, error) bool), t *gauge.Tally) {
	for e, err := range events {
		lag, ok := errors.AsType[*espial.LaggedError](err)
		switch {
		case ok:
			t.Lose(lag.Count)
		case err == nil:
			t.Add(e.Data)
		}
	}
}

// receiveBare runs bare links until in ends.
func receiveBare(ctx context.Context, b benchChild, in io.Reader, out io.Writer) error {
	m := gauge.NewMeter(b.nodes)
	var g errgroup.Group
	defer g.Wait() //nolint:errcheck // the parent sees what is missing
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	addrs, err := gauge.ReceiveBare(ctx, &g, m.Tallies)
	if err != nil {
		return err
	}
	return obey(in, out, addrs, m)
}
