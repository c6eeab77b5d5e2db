package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/espial-go/espial"
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
	return printCalls(out, results)
}

// benchCaller measures one carrier with so many calls at a time.
func benchCaller(ctx context.Context, o benchOptions, carrier string, count int) (r callResult, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, all, done, err := openCallers(ctx, carrier, count)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, done(), c.end()) }()
	r = callResult{Scenario: "C", Carrier: carrier, Size: o.size, Nodes: 2, Callers: count, Runs: o.runs}
	var rates, p50s, p99s, cpus, allocs []float64
	for range o.runs {
		m, took, err := callRate(c, all, o)
		if err != nil {
			return r, err
		}
		rates, cpus, allocs = append(rates, m.rate), append(cpus, m.cpu), append(allocs, m.allocs)
		p50s, p99s = append(p50s, quantile(took, 0.5)), append(p99s, quantile(took, 0.99))
	}
	r.Rate, r.P50, r.P99 = median(rates), median(p50s), median(p99s)
	r.CPU, r.Allocs = median(cpus), median(allocs)
	return r, nil
}

// openCallers starts a callee, and callers that it serves.
func openCallers(
	ctx context.Context, carrier string, count int,
) (c *child, all []caller, done func() error, err error) {
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
func openPing(ctx context.Context, count int) (c *child, all []caller, done func() error, err error) {
	c, err = startChild(ctx, benchChild{carrier: "pong"})
	if err != nil {
		return nil, nil, nil, err
	}
	var ready struct{ Addrs []string }
	if err := c.ask("", &ready); err != nil {
		return nil, nil, nil, err
	}
	var links []io.Closer
	for range count {
		l, err := bareDial(ctx, ready.Addrs[0])
		if err != nil {
			return nil, nil, nil, err
		}
		links = append(links, l.c)
		all = append(all, ping(l.c))
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

// ping returns a caller over a connection of its own.
func ping(c *tls.Conn) caller {
	r := bufio.NewReaderSize(c, bareBuffer)
	var out, in []byte
	return func(payload []byte) error {
		out = append(binary.AppendUvarint(out[:0], uint64(len(payload))), payload...)
		if _, err := c.Write(out); err != nil {
			return err
		}
		var err error
		in, err = readMessage(r, in)
		return err
	}
}

// readMessage reads a message with its length before it into buf, or a longer one.
func readMessage(r *bufio.Reader, buf []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return buf, err
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	_, err = io.ReadFull(r, buf[:n])
	return buf[:n], err
}

// pong returns what comes on every connection until in ends.
func pong(ctx context.Context, in io.Reader, out io.Writer) error {
	cert, err := bareCertificate()
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer ln.Close() //nolint:errcheck // the process ends
	config := &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
	}
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { _ = returnAll(tls.Server(nc, config)) }) // the parent sees what is missing
		}
	})
	addrs := []string{ln.Addr().String()}
	if err := json.NewEncoder(out).Encode(map[string]any{"ready": true, "addrs": addrs}); err != nil {
		return err
	}
	return newReceiver(0).serve(in, out)
}

// returnAll returns what comes on a connection.
func returnAll(c net.Conn) (err error) {
	defer c.Close() //nolint:errcheck // the parent is gone
	r := bufio.NewReaderSize(c, bareBuffer)
	var buf, out []byte
	for err == nil {
		if buf, err = readMessage(r, buf); err == nil {
			out = append(binary.AppendUvarint(out[:0], uint64(len(buf))), buf...)
			_, err = c.Write(out)
		}
	}
	return err
}

// callRate calls as quickly as answers come, and returns how long the calls took, sorted.
func callRate(c *child, all []caller, o benchOptions) (m measured, took []time.Duration, err error) {
	if err := c.ask("count", &struct{}{}); err != nil {
		return m, nil, err
	}
	times, errs := make([][]time.Duration, len(all)), make([]error, len(all))
	cpu, allocs, began := cpuTime(), mallocs(), time.Now()
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
	elapsed := time.Since(began)
	var r benchReport
	if err := errors.Join(errors.Join(errs...), c.ask("report", &r)); err != nil {
		return m, nil, err
	}
	took = slices.Concat(times...)
	slices.Sort(took)
	got := float64(len(took))
	return measured{
		rate:   got / elapsed.Seconds(),
		cpu:    float64(cpuTime()-cpu+r.CPU) / got,
		allocs: float64(mallocs()-allocs+r.Mallocs) / got,
	}, took, nil
}

// printCalls prints the table of scenario C for people.
func printCalls(out io.Writer, results []callResult) error {
	share := func(f float64) string {
		if f == 0 {
			return ""
		}
		return fmt.Sprintf("%.2f", f)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "scenario\tcarrier\tcallers\tsize\tcalls/s\tof bare\tp50 µs\tof bare\tp99 µs\t"+
		"CPU ns/call\tallocs/call\t")
	for _, r := range results {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t", r.Scenario, r.Carrier, r.Callers, r.Size,
			thousands(r.Rate), share(r.OfBare))
		_, _ = fmt.Fprintf(w, "%.0f\t%s\t%.0f\t%.0f\t%.1f\t\n",
			r.P50, share(r.P50OfBare), r.P99, r.CPU, r.Allocs)
	}
	return w.Flush()
}
