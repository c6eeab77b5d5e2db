package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
)

// stampMin is the size of a message that has room for the time, in bytes.
const stampMin = 8

// carrier brings messages from one process to receivers in another one. What it starts ends
// with ctx or with the process, and belongs to g.
type carrier interface {
	// receive starts a receiver for each tally and returns what a sender needs to find them.
	// addr is where the hub is, if the carrier has one.
	receive(ctx context.Context, g *errgroup.Group, addr string, tallies []*tally) (string, error)

	// dial returns what sends to all receivers, once it can.
	dial(ctx context.Context, g *errgroup.Group, addr string, receivers int) (sender, error)
}

// sender sends one message to all receivers. It waits while there is no room.
type sender func(payload []byte) error

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
	tallies []*tally
	send    sender
	cpu     time.Duration // at the beginning of the run, as is mallocs
	mallocs uint64
}

// report is what it tells about a run.
type report struct {
	Sent      uint64          `json:"sent,omitempty"`
	Count     uint64          `json:"count,omitempty"`
	Elapsed   time.Duration   `json:"elapsed,omitempty"` // between the first message and the last
	CPU       time.Duration   `json:"cpu"`
	Mallocs   uint64          `json:"mallocs"`
	Latencies []time.Duration `json:"latencies,omitempty"`
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
	var w worker
	addr := p.Addr
	switch role {
	case "hub":
		h, ok := c.(hub)
		if !ok {
			return fmt.Errorf("%s has no hub", name)
		}
		addr, err = h.listen(ctx)
	case "receiver":
		for range p.Receivers {
			w.tallies = append(w.tallies, &tally{})
		}
		addr, err = c.receive(ctx, g, addr, w.tallies)
	case "sender":
		w.send, err = c.dial(ctx, g, addr, p.Receivers)
	}
	if err != nil {
		return err
	}
	return obey(addr, func(o order) (any, error) {
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
		for _, t := range w.tallies {
			t.reset(o.Every > 0)
		}
		w.cpu, w.mallocs = cpuTime(), mallocs()
		return report{}, nil
	case "send":
		sent, err := w.publish(o)
		return report{Sent: sent}, err
	case "count":
		r := w.report()
		r.Latencies = nil
		return r, nil
	case "report":
		return w.report(), nil
	}
	return nil, fmt.Errorf("unknown order %q", o.Do)
}

// publish sends for as long as it is told, and returns how many messages.
func (w *worker) publish(o order) (sent uint64, err error) {
	payload := make([]byte, o.Size)
	end := time.Now().Add(o.For)
	if o.Every == 0 {
		for ; err == nil && (sent&63 != 0 || time.Now().Before(end)); sent++ {
			err = w.send(payload)
		}
		return sent, err
	}
	t := time.NewTicker(o.Every)
	defer t.Stop()
	for ; err == nil && time.Now().Before(end); sent++ {
		<-t.C
		stamp(payload)
		err = w.send(payload)
	}
	return sent, err
}

// report sums up what was counted so far.
func (w *worker) report() report {
	r := report{CPU: cpuTime() - w.cpu, Mallocs: mallocs() - w.mallocs}
	for _, t := range w.tallies {
		t.mu.Lock()
		r.Latencies = append(r.Latencies, t.latencies...)
		t.mu.Unlock()
		r.Count += t.count.Load()
		r.Elapsed = max(r.Elapsed, time.Duration(t.last.Load()-t.first.Load()))
	}
	return r
}

// mallocs returns how many objects this process has put on its heap.
func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}
