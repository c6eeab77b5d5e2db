package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/gauge"
)

// carrier brings messages from one process to receivers in another one. What it starts ends
// with ctx or with the process, and belongs to g.
type carrier interface {
	// receive starts a receiver for each tally and returns what a sender needs to find them.
	// addr is where the hub is, if the carrier has one.
	receive(ctx context.Context, g *errgroup.Group, addr string, tallies []*gauge.Tally) (string, error)

	// dial returns what sends to all receivers, once it can.
	dial(ctx context.Context, g *errgroup.Group, addr string, receivers int) (gauge.Sender, error)
}

// hub is a carrier with a process of its own between the sender and the receivers.
type hub interface {
	carrier

	// listen starts the hub and returns its address.
	listen(ctx context.Context) (string, error)
}

// carriers returns the contenders of scenarios A and B, the limit first.
func carriers() []contender[carrier] {
	return []contender[carrier]{
		{bareName, bare{}}, {linkName, espialCarrier{}}, {"nats", natsCarrier{}},
	}
}

// post is what a process of scenarios A and B is told.
type post struct {
	Addr      string // of what was started before it
	Receivers int
}

// worker is such a process: the hub, the receivers or the sender.
type worker struct {
	meter *gauge.Meter
	send  gauge.Sender
}

// report is what it tells about a run.
type report struct {
	gauge.Report
	Sent uint64 `json:"sent,omitempty"`
}

// work runs a process of scenarios A and B in the given role.
func work(ctx context.Context, role, name string, spec []byte) error {
	c, err := pick(carriers(), name)
	if err != nil {
		return err
	}
	var p post
	if err := json.Unmarshal(spec, &p); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	w := worker{meter: &gauge.Meter{}}
	addr := p.Addr
	switch role {
	case "hub":
		h, ok := c.(hub)
		if !ok {
			return fmt.Errorf("%s has no hub", name)
		}
		addr, err = h.listen(ctx)
	case "receiver":
		w.meter = gauge.NewMeter(p.Receivers)
		addr, err = c.receive(ctx, g, addr, w.meter.Tallies)
	case "sender":
		w.send, err = c.dial(ctx, g, addr, p.Receivers)
	}
	if err != nil {
		return err
	}
	return gauge.Obey(os.Stdin, os.Stdout, addr, func(o order) (any, error) {
		if err := context.Cause(ctx); err != nil {
			return nil, err // of a goroutine of g
		}
		return w.do(o)
	})
}

// do carries out an order.
func (w *worker) do(o order) (any, error) {
	switch o.Do {
	case "begin":
		w.meter.Begin(o.Timed())
		return report{}, nil
	case "send":
		sent, err := o.Send(w.send)
		return report{Sent: sent}, err
	case "count":
		r := w.meter.Report()
		r.Latencies = nil
		return report{Report: r}, nil
	case "report":
		return report{Report: w.meter.Report()}, nil
	}
	return nil, fmt.Errorf("unknown order %q", o.Do)
}
