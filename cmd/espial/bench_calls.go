package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/gauge"
)

// benchMethod is what the benchmark calls: it returns its argument.
const benchMethod = "bench.echo"

// callLine is one carrier of scenario C, with so many callers and a callee.
type callLine struct {
	carrier string
	child   *gauge.Child // the callee
	all     []gauge.Caller
	done    func() error
	runs    []gauge.CallRun
}

// benchCalls measures and prints scenario C.
func benchCalls(ctx context.Context, o benchOptions, out io.Writer) error {
	var rows []gauge.CallRow
	for _, count := range gauge.Callers() {
		some, err := benchCallers(ctx, o, count)
		if err != nil {
			return fmt.Errorf("scenario C: %w", err)
		}
		rows = append(rows, some...)
	}
	return gauge.Print(out, rows, o.json, gauge.CallRow.Cells)
}

// benchCallers measures both carriers in turn, so that they share the moments of the machine,
// with so many calls at a time.
func benchCallers(ctx context.Context, o benchOptions, count int) (rows []gauge.CallRow, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var lines []*callLine
	defer func() {
		for _, l := range lines {
			err = errors.Join(err, l.done(), l.child.End())
		}
	}()
	for _, open := range []func(context.Context, int) (*callLine, error){openPing, openCalls} {
		l, err := open(ctx, count)
		if err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	for range o.runs {
		for _, l := range lines {
			if err := l.run(o); err != nil {
				return nil, err
			}
		}
	}
	for i, l := range lines {
		r := gauge.CallRow{Carrier: l.carrier, Size: o.size, Callers: count}
		if r.Sum(l.runs, nil); i > 0 {
			r.Sum(l.runs, lines[0].runs)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// openCalls starts a callee, and callers that share the link with it.
func openCalls(ctx context.Context, count int) (*callLine, error) {
	n, c, err := openNode(ctx, benchChild{carrier: "link", nodes: 1})
	if err != nil {
		return nil, err
	}
	to := other(n)
	call := func(payload []byte) error {
		_, err := n.Call(ctx, benchMethod, to, payload)
		return err
	}
	return &callLine{
		carrier: "link", child: c, all: slices.Repeat([]gauge.Caller{call}, count), done: n.Close,
	}, nil
}

// openPing starts a process that returns what it gets, and connects to it so many times.
func openPing(ctx context.Context, count int) (*callLine, error) {
	c, err := startReceiver(ctx, benchChild{carrier: "pong"})
	if err != nil {
		return nil, err
	}
	var addrs []string
	if err := c.Hear(&addrs); err != nil {
		return nil, err
	}
	var pings []*gauge.Ping
	l := &callLine{carrier: "bare", child: c, done: func() error {
		var err error
		for _, p := range pings {
			err = errors.Join(err, p.Close())
		}
		return err
	}}
	for _, addr := range slices.Repeat(addrs, count) {
		p, err := gauge.DialPing(ctx, addr)
		if err != nil {
			return nil, err
		}
		pings, l.all = append(pings, p), append(l.all, p.Call)
	}
	return l, nil
}

// run calls as quickly as answers come.
func (l *callLine) run(o benchOptions) error {
	r, err := measure(l.child, func() (gauge.Report, error) {
		return gauge.Load{Size: o.size, For: o.duration}.Call(l.all)
	})
	if err != nil {
		return err
	}
	l.runs = append(l.runs, r.CallRun())
	return nil
}

// measure returns what work reports, with what it cost both processes.
func measure(c *gauge.Child, work func() (gauge.Report, error)) (r gauge.Report, err error) {
	if err := c.Ask(orderCount, &gauge.Report{}); err != nil {
		return r, err
	}
	var own gauge.Meter
	own.Begin(false)
	if r, err = work(); err != nil {
		return r, err
	}
	r.Add(own.Report())
	var theirs gauge.Report
	if err := c.Ask(orderReport, &theirs); err != nil {
		return r, err
	}
	r.Add(theirs)
	if r.Empty() {
		return r, errors.New("bench: nothing arrived")
	}
	return r, nil
}

// other returns the target that is the only other member.
func other(n *espial.Node) espial.Target {
	to := espial.Others()
	for p := range n.Peers() {
		to = espial.Only(p.ID)
	}
	return to
}

// pong returns what comes on every connection until in ends.
func pong(ctx context.Context, in io.Reader, out io.Writer) error {
	var g errgroup.Group
	defer g.Wait() //nolint:errcheck // the parent sees what is missing
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	addr, err := gauge.Pong(ctx, &g)
	if err != nil {
		return err
	}
	return obey(in, out, []string{addr}, &gauge.Meter{})
}
