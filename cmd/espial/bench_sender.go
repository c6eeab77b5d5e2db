package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/gauge"
)

// pace is the time between two messages while the latency is measured.
const pace = 200 * time.Microsecond

// startReceiver runs this binary as the receiver.
func startReceiver(ctx context.Context, b benchChild) (*gauge.Child, error) {
	cmd, err := itself(ctx, "bench-receiver", "--carrier", b.carrier, "--cluster", b.cluster,
		"--addr", b.addr, "--nodes", strconv.Itoa(b.nodes))
	if err != nil {
		return nil, err
	}
	return gauge.Start("bench: the receiver", cmd)
}

// benchScenario measures one carrier with b.nodes receivers.
func benchScenario(ctx context.Context, o benchOptions, b benchChild) (r gauge.Row, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	open := openLink
	if b.carrier == "bare" {
		open = openBare
	}
	c, send, done, err := open(ctx, b)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, done(), c.End()) }()
	r = gauge.Row{Carrier: b.carrier, Size: o.size, Nodes: b.nodes + 1, Runs: o.runs}
	var rates, cpus, allocs []float64
	for range o.runs {
		s, err := throughput(c, send, o, b.nodes)
		if err != nil {
			return r, err
		}
		rates, cpus, allocs = append(rates, s.Rate), append(cpus, s.CPU), append(allocs, s.Allocs)
		r.Lost += s.Lost
	}
	r.Rate, r.CPU, r.Allocs = median(rates), median(cpus), median(allocs)
	r.Bytes = r.Rate * float64(o.size)
	took, err := latency(c, send, o, b.nodes)
	if err != nil {
		return r, err
	}
	r.Spread(took)
	return r, nil
}

// median returns the middle of fs.
func median(fs []float64) float64 {
	fs = slices.Sorted(slices.Values(fs))
	return fs[len(fs)/2]
}

// openNode starts a node and receivers that join it.
func openNode(ctx context.Context, b benchChild) (n *espial.Node, c *gauge.Child, err error) {
	b.cluster = benchCluster()
	n, err = espial.Start(ctx, espial.Config{
		Cluster: b.cluster, Name: "sender", Listen: "127.0.0.1:0", Multicast: espial.Multicast{Off: true},
	})
	if err != nil {
		return nil, nil, err
	}
	b.addr = n.Addrs()[0]
	if c, err = startReceiver(ctx, b); err == nil {
		err = c.Hear(&[]string{})
	}
	if err == nil {
		err = n.WaitFor(ctx, b.nodes+1)
	}
	if err != nil {
		return nil, nil, errors.Join(err, n.Close())
	}
	return n, c, nil
}

// openLink returns what publishes to receivers that join a node.
func openLink(
	ctx context.Context, b benchChild,
) (c *gauge.Child, send gauge.Sender, done func() error, err error) {
	n, c, err := openNode(ctx, b)
	if err != nil {
		return nil, nil, nil, err
	}
	target := espial.Others()
	if b.nodes == 1 {
		target = other(n)
	}
	send = func(payload []byte) error { return n.Publish(ctx, benchTopic, payload, target) }
	return c, send, n.Close, nil
}

// openBare starts receivers and connects to each.
func openBare(
	ctx context.Context, b benchChild,
) (c *gauge.Child, send gauge.Sender, done func() error, err error) {
	c, err = startReceiver(ctx, b)
	if err != nil {
		return nil, nil, nil, err
	}
	var addrs []string
	if err := c.Hear(&addrs); err != nil {
		return nil, nil, nil, err
	}
	bare, done, err := dialBare(ctx, addrs)
	if err != nil {
		return nil, nil, nil, err
	}
	return c, bare.Send, done, nil
}

// dialBare connects bare links; done ends them.
func dialBare(ctx context.Context, addrs []string) (bare *gauge.Bare, done func() error, err error) {
	var g errgroup.Group
	bare, err = gauge.DialBare(ctx, &g, addrs)
	return bare, func() error {
		bare.Close()
		_ = g.Wait() // the receiver sees what is missing
		return nil
	}, err
}

// throughput sends as quickly as the receivers take it.
func throughput(c *gauge.Child, send gauge.Sender, o benchOptions, nodes int) (s gauge.Sample, err error) {
	if err := c.Ask(orderCount, &gauge.Report{}); err != nil {
		return s, err
	}
	var own gauge.Meter
	own.Begin(false)
	sent, err := gauge.Load{Size: o.size, For: o.duration}.Send(send)
	if err != nil {
		return s, err
	}
	expected := sent * uint64(nodes)
	r, err := arrived(c, expected)
	if err != nil {
		return s, err
	}
	if r.Empty() {
		return s, errors.New("bench: nothing arrived")
	}
	r.Add(own.Report())
	return r.Sample(expected), nil
}

// latency sends at a steady rate far below the limit and returns how long the messages took.
func latency(c *gauge.Child, send gauge.Sender, o benchOptions, nodes int) ([]time.Duration, error) {
	if err := c.Ask(orderTime, &gauge.Report{}); err != nil {
		return nil, err
	}
	sent, err := gauge.Load{Size: o.size, For: o.duration, Every: pace}.Send(send)
	if err != nil {
		return nil, err
	}
	r, err := arrived(c, sent*uint64(nodes))
	if err != nil {
		return nil, err
	}
	if len(r.Latencies) == 0 {
		return nil, errors.New("bench: nothing arrived")
	}
	return r.Latencies, nil
}

// arrived asks what became of so many messages until all have arrived or are known to be lost,
// for 10 s at most.
func arrived(c *gauge.Child, expected uint64) (r gauge.Report, err error) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		err := c.Ask(orderReport, &r)
		if err != nil || r.Count+r.Lost >= expected || time.Now().After(end) {
			return r, err
		}
	}
}
