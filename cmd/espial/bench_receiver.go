package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/espial-go/espial"
)

// benchTopic is what the benchmark publishes under.
const benchTopic = "bench.data"

// tally is what one receiver counted.
type tally struct {
	mu          sync.Mutex
	count, lost uint64
	first, last time.Time
	latencies   []time.Duration

	timed atomic.Bool // messages carry the time at which they were sent
}

// add counts one message. The clock is read once in 64 messages, or it would be a good
// part of what is measured.
func (t *tally) add(payload []byte) {
	timed := t.timed.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	if !timed && t.count&63 != 1 {
		return
	}
	now := time.Now()
	if t.first.IsZero() {
		t.first = now
	}
	t.last = now
	if timed && len(payload) >= 8 {
		sent := time.Unix(0, int64(binary.BigEndian.Uint64(payload)))
		t.latencies = append(t.latencies, now.Sub(sent))
	}
}

func (t *tally) lose(n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost += n
}

// benchReport is what a receiver process tells about one phase, all its nodes together.
type benchReport struct {
	Count     uint64          `json:"count"`
	Lost      uint64          `json:"lost"`
	Elapsed   time.Duration   `json:"elapsed"`
	CPU       time.Duration   `json:"cpu"`
	Mallocs   uint64          `json:"mallocs"`
	Latencies []time.Duration `json:"latencies,omitempty"` // sorted
}

// receiver is the child process of a benchmark: the nodes, or bare links, that count.
type receiver struct {
	tallies []*tally
	cpu     time.Duration
	mallocs uint64
}

func newReceiver(count int) *receiver {
	r := &receiver{}
	for range count {
		r.tallies = append(r.tallies, &tally{})
	}
	return r
}

// reset begins a phase.
func (r *receiver) reset(timed bool) {
	for _, t := range r.tallies {
		t.mu.Lock()
		t.count, t.lost, t.first, t.last, t.latencies = 0, 0, time.Time{}, time.Time{}, nil
		t.timed.Store(timed)
		t.mu.Unlock()
	}
	r.cpu, r.mallocs = cpuTime(), mallocs()
}

// report ends a phase.
func (r *receiver) report() benchReport {
	out := benchReport{CPU: cpuTime() - r.cpu, Mallocs: mallocs() - r.mallocs}
	for _, t := range r.tallies {
		t.mu.Lock()
		out.Count += t.count
		out.Lost += t.lost
		out.Elapsed = max(out.Elapsed, t.last.Sub(t.first))
		out.Latencies = append(out.Latencies, t.latencies...)
		t.mu.Unlock()
	}
	slices.Sort(out.Latencies)
	return out
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// serve answers the parent's commands: "count" and "time" begin a phase, "report" ends
// it; the end of input ends the process.
func (r *receiver) serve(in io.Reader, out io.Writer) error {
	enc := json.NewEncoder(out)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var answer any = struct{}{}
		switch line := lines.Text(); line {
		case "count", "time":
			r.reset(line == "time")
		case "report":
			answer = r.report()
		default:
			return fmt.Errorf("bench: unknown command %q", line)
		}
		if err := enc.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// receiveNodes runs the receiving nodes of a benchmark until in ends.
func receiveNodes(ctx context.Context, b benchChild, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := newReceiver(b.nodes)
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, t := range r.tallies {
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
		events := n.Subscribe(ctx, benchTopic, espial.WithPolicy(espial.Block), espial.ReuseData())
		wg.Go(func() { receive(events, t) })
		// Members meet everybody, so the last one that starts waits for all.
		if err := n.WaitFor(ctx, i+2); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(out, `{"ready":true}`); err != nil {
		return err
	}
	err := r.serve(in, out)
	cancel()
	return err
}

// echo returns what it gets.
func echo(_ context.Context, _ espial.Caller, data []byte) ([]byte, error) { return data, nil }

// receive counts what a subscription yields.
func receive(events func(func(espial.Event, error) bool), t *tally) {
	for e, err := range events {
		lag, ok := errors.AsType[*espial.LaggedError](err)
		switch {
		case ok:
			t.lose(lag.Count)
		case err == nil:
			t.add(e.Data)
		}
	}
}

// receiveBare runs bare links until in ends.
func receiveBare(ctx context.Context, b benchChild, in io.Reader, out io.Writer) error {
	r := newReceiver(b.nodes)
	var addrs []string
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, t := range r.tallies {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close() //nolint:errcheck // the process ends
		addrs = append(addrs, ln.Addr().String())
		wg.Go(func() {
			_ = bareServe(ln, t.add) // the parent sees what is missing
		})
	}
	if err := json.NewEncoder(out).Encode(map[string]any{"ready": true, "addrs": addrs}); err != nil {
		return err
	}
	return r.serve(in, out)
}
