package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/gauge"
)

// benchMethod is what the benchmark calls: it returns its argument.
const benchMethod = "bench.echo"

// callers are how many calls scenario C has under way at a time.
var callers = [...]int{1, 64} //nolint:gochecknoglobals // a constant

// callResult is one line of scenario C.
type callResult struct {
	Scenario  string  `json:"scenario"`
	Carrier   string  `json:"carrier"`
	Size      int     `json:"size"`
	Nodes     int     `json:"nodes"`
	Callers   int     `json:"callers"`
	Runs      int     `json:"runs"`
	Rate      float64 `json:"rate_per_s"`
	OfBare    float64 `json:"of_bare,omitempty"` // this rate divided by that of bare ping-pong
	P50       float64 `json:"p50_us"`
	P50OfBare float64 `json:"p50_of_bare,omitempty"` // likewise
	P99       float64 `json:"p99_us"`
	CPU       float64 `json:"cpu_ns_per_msg"`
	Allocs    float64 `json:"allocs_per_msg"`
}

// caller makes one call and returns when its answer came. One goroutine uses it.
type caller func(payload []byte) error

// benchCalls measures and prints scenario C.
func benchCalls(ctx context.Context, o benchOptions, out io.Writer) error {
	var results []callResult
	for _, count := range callers {
		pair := make([]callResult, 0, 2)
		for _, carrier := range []string{"bare", "link"} {
			r, err := benchCaller(ctx, o, carrier, count)
			if err != nil {
				return err
			}
			if len(pair) > 0 && pair[0].Rate > 0 && pair[0].P50 > 0 {
				r.OfBare, r.P50OfBare = r.Rate/pair[0].Rate, r.P50/pair[0].P50
			}
			pair = append(pair, r)
			if !o.json {
				continue
			}
			if err := json.NewEncoder(out).Encode(r); err != nil {
				return err
			}
		}
		results = append(results, pair...)
	}
	if o.json {
		return nil
	}
	return gauge.Print(out, results, false, callCells)
}

// benchCaller measures one carrier with so many calls at a time.
func benchCaller(ctx context.Context, o benchOptions, carrier string, count int) (r callResult, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, all, done, err := openCallers(ctx, carrier, count)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, done(), c.End()) }()
	r = callResult{Scenario: "C", Carrier: carrier, Size: o.size, Nodes: 2, Callers: count, Runs: o.runs}
	var rates, p50s, p99s, cpus, allocs []float64
	for range o.runs {
		s, took, err := callRate(c, all, o)
		if err != nil {
			return r, err
		}
		rates, cpus, allocs = append(rates, s.Rate), append(cpus, s.CPU), append(allocs, s.Allocs)
		p50s, p99s = append(p50s, gauge.Micros(took, 0.5)), append(p99s, gauge.Micros(took, 0.99))
	}
	r.Rate, r.P50, r.P99 = median(rates), median(p50s), median(p99s)
	r.CPU, r.Allocs = median(cpus), median(allocs)
	return r, nil
}

// openCallers starts a callee, and callers that it serves.
func openCallers(
	ctx context.Context, carrier string, count int,
) (c *gauge.Child, all []caller, done func() error, err error) {
	if carrier == "bare" {
		return openPing(ctx, count)
	}
	n, c, err := openNode(ctx, benchChild{carrier: carrier, nodes: 1})
	if err != nil {
		return nil, nil, nil, err
	}
	to := espial.Others()
	for p := range n.Peers() {
		to = espial.Only(p.ID)
	}
	call := func(payload []byte) error {
		_, err := n.Call(ctx, benchMethod, to, payload)
		return err
	}
	return c, slices.Repeat([]caller{call}, count), n.Close, nil
}

// openPing starts a process that returns what it gets, and connects to it so many times.
func openPing(
	ctx context.Context, count int,
) (c *gauge.Child, all []caller, done func() error, err error) {
	c, err = startReceiver(ctx, benchChild{carrier: "pong"})
	if err != nil {
		return nil, nil, nil, err
	}
	var addrs []string
	if err := c.Hear(&addrs); err != nil {
		return nil, nil, nil, err
	}
	var links []io.Closer
	for _, addr := range slices.Repeat(addrs, count) {
		p, err := gauge.DialPing(ctx, addr)
		if err != nil {
			return nil, nil, nil, err
		}
		links = append(links, p)
		all = append(all, p.Call)
	}
	done = func() error {
		var err error
		for _, l := range links {
			err = errors.Join(err, l.Close())
		}
		return err
	}
	return c, all, done, nil
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

// callRate calls as quickly as answers come, and returns how long the calls took.
func callRate(
	c *gauge.Child, all []caller, o benchOptions,
) (s gauge.Sample, took []time.Duration, err error) {
	if err := c.Ask(orderCount, &gauge.Report{}); err != nil {
		return s, nil, err
	}
	times, errs := make([][]time.Duration, len(all)), make([]error, len(all))
	var own gauge.Meter
	own.Begin(false)
	began := time.Now()
	var wg sync.WaitGroup
	for i, call := range all {
		wg.Go(func() {
			payload := make([]byte, o.size)
			for at := began; at.Sub(began) < o.duration && errs[i] == nil; {
				errs[i] = call(payload)
				now := time.Now()
				times[i] = append(times[i], now.Sub(at))
				at = now
			}
		})
	}
	wg.Wait()
	r := own.Report()
	r.Elapsed = time.Since(began)
	var callee gauge.Report
	if err := errors.Join(errors.Join(errs...), c.Ask(orderReport, &callee)); err != nil {
		return s, nil, err
	}
	r.Add(callee)
	took = slices.Concat(times...)
	r.Count = uint64(len(took))
	return r.Sample(r.Count), took, nil
}

// callCells returns a row of scenario C, for people.
func callCells(r callResult) []gauge.Cell {
	share := func(f float64) string {
		if f == 0 {
			return ""
		}
		return fmt.Sprintf("%.2f", f)
	}
	return []gauge.Cell{
		{"scenario", r.Scenario},
		{"carrier", r.Carrier},
		{"callers", fmt.Sprint(r.Callers)},
		{"size", fmt.Sprint(r.Size)},
		{"calls/s", thousands(r.Rate)},
		{"of bare", share(r.OfBare)},
		{"p50 µs", fmt.Sprintf("%.0f", r.P50)},
		{"of bare", share(r.P50OfBare)},
		{"p99 µs", fmt.Sprintf("%.0f", r.P99)},
		{"CPU ns/call", fmt.Sprintf("%.0f", r.CPU)},
		{"allocs/call", fmt.Sprintf("%.1f", r.Allocs)},
	}
}
