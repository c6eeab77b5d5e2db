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

// hub is what has a process of its own between the others.
type hub interface {
	// listen starts the hub and returns its address.
	listen(ctx context.Context) (string, error)
}

// carriers returns the contenders of scenarios A and B, the limit first.
func carriers() []contender[carrier] {
	return []contender[carrier]{
		{bareName, bare{}}, {linkName, espialCarrier{}}, {natsName, natsCarrier{}},
	}
}

// post is what a process of the scenarios A to D is told.
type post struct {
	Addr      string // of what was started before it
	Receivers int
	Callers   int
}

// worker is such a process.
type worker struct {
	meter *gauge.Meter
	send  gauge.Sender
	call  []gauge.Caller
	open  gauge.Opener
	stop  func() error // the stream that is kept running
}

// report is what it tells about a run.
type report struct {
	gauge.Report
	Sent uint64 `json:"sent,omitempty"` // messages, or bytes of streams
}

// work runs a process of the scenarios A to D in the given role.
func work(ctx context.Context, role, name string, spec []byte) error {
	var p post
	if err := json.Unmarshal(spec, &p); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	w := worker{meter: &gauge.Meter{}}
	addr, err := w.take(ctx, g, role, name, p)
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

// take takes a role, and returns where the next process finds this one.
func (w *worker) take(
	ctx context.Context, g *errgroup.Group, role, name string, p post,
) (addr string, err error) {
	switch role {
	case roleCallee, roleCaller:
		s, err := pick(switchboards(), name)
		if err != nil {
			return "", err
		}
		if role == roleCallee {
			return s.answer(ctx, g, p.Addr)
		}
		w.call, err = s.callers(ctx, p.Addr, p.Callers)
		return "", err
	case roleDrain, roleSource:
		c, err := pick(conduits(), name)
		if err != nil {
			return "", err
		}
		if role == roleDrain {
			w.meter = gauge.NewMeter(1)
			return c.accept(ctx, g, w.meter.Tallies[0])
		}
		w.open, w.send, err = c.open(ctx, g, p.Addr)
		return "", err
	case roleHub:
		c, err := pick(carriers(), name)
		h, ok := c.(hub)
		if err != nil || !ok {
			return "", fmt.Errorf("%s has no hub", name)
		}
		return h.listen(ctx)
	}
	c, err := pick(carriers(), name)
	if err != nil {
		return "", err
	}
	if role == roleReceiver {
		w.meter = gauge.NewMeter(p.Receivers)
		return c.receive(ctx, g, p.Addr, w.meter.Tallies)
	}
	w.send, err = c.dial(ctx, g, p.Addr, p.Receivers)
	return "", err
}

// do carries out an order.
func (w *worker) do(o order) (any, error) {
	var r report
	var err error
	switch o.Do {
	case doBegin:
		w.meter.Begin(o.Timed())
	case doSend:
		r.Sent, err = o.Send(w.send)
	case doCall:
		r.Report, err = o.Call(w.call)
	case doFlow:
		r.Sent, err = o.Flow(w.open, o.Streams)
	case doOpen:
		r.Report, err = o.Open(w.open, o.Streams)
	case doKeep:
		w.stop, err = gauge.Keep(w.open)
	case doStop:
		err = w.stop()
	case doCount:
		r.Report = w.meter.Report()
		r.Latencies = nil
	case doReport:
		r.Report = w.meter.Report()
	default:
		err = fmt.Errorf("unknown order %q", o.Do)
	}
	return r, err
}
