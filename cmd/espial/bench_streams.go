package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/gauge"
)

// benchService is where the receivers count the bytes of streams.
const benchService = "bench"

// streamLine is one carrier of scenario D.
type streamLine struct {
	carrier string
	child   *gauge.Child // the receiver
	open    gauge.Opener
	send    gauge.Sender // messages, beside the streams
	done    func() error
	runs    []gauge.StreamRun
}

// benchStreams measures and prints scenario D.
func benchStreams(ctx context.Context, o benchOptions, out io.Writer) error {
	rows, err := measureStreams(ctx, o)
	if err != nil {
		return fmt.Errorf("scenario D: %w", err)
	}
	return gauge.Print(out, rows, o.json, gauge.StreamRow.Cells)
}

// measureStreams measures each part over both carriers in turn, so that they share the moments
// of the machine.
func measureStreams(ctx context.Context, o benchOptions) (rows []gauge.StreamRow, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var lines []*streamLine
	defer func() {
		for _, l := range lines {
			err = errors.Join(err, l.done(), l.child.End())
		}
	}()
	for _, open := range []func(context.Context) (*streamLine, error){openSink, openStreams} {
		l, err := open(ctx)
		if err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	for i := range o.runs {
		for _, l := range lines {
			l.runs = append(l.runs, gauge.StreamRun{})
		}
		for _, part := range []func(*streamLine, benchOptions, *gauge.StreamRun) error{
			(*streamLine).one, (*streamLine).many, (*streamLine).opens, (*streamLine).waits,
		} {
			for _, l := range lines {
				if err := part(l, o, &l.runs[i]); err != nil {
					return nil, fmt.Errorf("%s: %w", l.carrier, err)
				}
			}
		}
	}
	for i, l := range lines {
		r := gauge.StreamRow{Carrier: l.carrier}
		if r.Sum(l.runs, nil); i > 0 {
			r.Sum(l.runs, lines[0].runs)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// openStreams starts a node and another one that counts what its streams bring.
func openStreams(ctx context.Context) (*streamLine, error) {
	n, c, err := openNode(ctx, benchChild{carrier: "link", nodes: 1})
	if err != nil {
		return nil, err
	}
	to := other(n)
	return &streamLine{
		carrier: "link", child: c, done: n.Close,
		open: func() (io.WriteCloser, error) { return n.Dial(ctx, benchService+".receiver-0") },
		send: func(payload []byte) error { return n.Publish(ctx, benchTopic, payload, to) },
	}, nil
}

// openSink starts a receiver of a bare link, and of bare connections beside it.
func openSink(ctx context.Context) (*streamLine, error) {
	c, err := startReceiver(ctx, benchChild{carrier: "sink", nodes: 1})
	if err != nil {
		return nil, err
	}
	var addrs []string // of the link, and for streams
	if err := c.Hear(&addrs); err != nil {
		return nil, err
	}
	bare, done, err := dialBare(ctx, addrs[:1])
	if err != nil {
		return nil, err
	}
	open, err := gauge.DialSink(ctx, addrs[1])
	return &streamLine{carrier: "bare", child: c, open: open, send: bare.Send, done: done}, err
}

// one measures what one stream carries, and many what several do.
func (l *streamLine) one(o benchOptions, r *gauge.StreamRun) (err error) {
	r.One, err = l.flow(o, 1)
	return err
}

func (l *streamLine) many(o benchOptions, r *gauge.StreamRun) (err error) {
	r.Many, err = l.flow(o, gauge.StreamsMany)
	return err
}

// flow counts at the receiver the bytes of so many streams.
func (l *streamLine) flow(o benchOptions, streams int) (gauge.Sample, error) {
	r, err := measure(l.child, func() (gauge.Report, error) {
		sent, err := gauge.Load{For: o.duration}.Flow(l.open, streams)
		if err != nil {
			return gauge.Report{}, err
		}
		_, err = arrived(l.child, sent)
		return gauge.Report{}, err
	})
	if err != nil {
		return gauge.Sample{}, err
	}
	return r.Sample(r.Count), l.settle()
}

// opens measures how quickly streams are opened and closed.
func (l *streamLine) opens(o benchOptions, r *gauge.StreamRun) error {
	opened, err := measure(l.child, func() (gauge.Report, error) {
		return gauge.Load{For: o.duration}.Open(l.open, gauge.OpensAtOnce)
	})
	if err != nil {
		return err
	}
	r.Opens = opened.Sample(opened.Count)
	return l.settle()
}

// waits measures how long messages take, alone and beside a stream that takes what it can.
func (l *streamLine) waits(o benchOptions, r *gauge.StreamRun) error {
	took, err := latency(l.child, l.send, o, 1)
	if err != nil {
		return err
	}
	r.Idle = gauge.NewWait(took)
	stop, err := gauge.Keep(l.open)
	if err != nil {
		return err
	}
	took, err = latency(l.child, l.send, o, 1)
	r.Busy = gauge.NewWait(took)
	return errors.Join(err, stop(), l.settle())
}

// settle waits until the receiver has seen the end of all streams, for 10 s at most: what is
// under way would count in the next part.
func (l *streamLine) settle() error {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		var r gauge.Report
		if err := l.child.Ask(orderReport, &r); err != nil || r.Streams == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("bench: %d streams did not end", r.Streams)
		}
	}
}

// drain counts what the streams to a listener bring, until it is closed.
func drain(g *errgroup.Group, ln net.Listener, t *gauge.Tally) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		g.Go(func() error { return gauge.Drain(nc, t) })
	}
}

// receiveSink runs a bare link, and takes bare connections, until in ends.
func receiveSink(ctx context.Context, in io.Reader, out io.Writer) error {
	m := gauge.NewMeter(1)
	var g errgroup.Group
	defer g.Wait() //nolint:errcheck // the parent sees what is missing
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	addrs, err := gauge.ReceiveBare(ctx, &g, m.Tallies)
	if err != nil {
		return err
	}
	addr, err := gauge.Sink(ctx, &g, m.Tallies[0])
	if err != nil {
		return err
	}
	return obey(in, out, append(addrs, addr), m)
}
