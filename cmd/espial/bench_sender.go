package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/espial-go/espial"
)

// pace is the time between two messages while the latency is measured.
const pace = 200 * time.Microsecond

// sender publishes one message to all receivers of a benchmark.
type sender func(payload []byte) error

// child is the receiver process.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startChild runs this binary as the receiver.
func startChild(ctx context.Context, b benchChild) (*child, error) {
	cmd, err := itself(ctx, "bench-receiver", "--carrier", b.carrier, "--cluster", b.cluster,
		"--addr", b.addr, "--nodes", strconv.Itoa(b.nodes))
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &child{cmd: cmd, in: in, out: bufio.NewReader(out)}, cmd.Start()
}

// ask sends a command and reads its answer.
func (c *child) ask(command string, answer any) error {
	if command != "" {
		if _, err := fmt.Fprintln(c.in, command); err != nil {
			return err
		}
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("bench: the receiver ended: %w", err)
	}
	return json.Unmarshal(line, answer)
}

// end lets the receiver end.
func (c *child) end() error {
	return errors.Join(c.in.Close(), c.cmd.Wait())
}

// benchScenario measures one carrier with b.nodes receivers.
func benchScenario(ctx context.Context, o benchOptions, b benchChild) (r benchResult, err error) {
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
	defer func() { err = errors.Join(err, done(), c.end()) }()
	r = benchResult{Carrier: b.carrier, Size: o.size, Nodes: b.nodes + 1, Runs: o.runs}
	var rates, cpus, allocs []float64
	for range o.runs {
		m, err := throughput(c, send, o, b.nodes)
		if err != nil {
			return r, err
		}
		rates, cpus, allocs = append(rates, m.rate), append(cpus, m.cpu), append(allocs, m.allocs)
		r.Lost += m.lost
	}
	r.Rate, r.CPU, r.Allocs = median(rates), median(cpus), median(allocs)
	r.Bytes = r.Rate * float64(o.size)
	took, err := latency(c, send, o, b.nodes)
	if err != nil {
		return r, err
	}
	r.P50, r.P99, r.Histogram = quantile(took, 0.5), quantile(took, 0.99), histogram(took)
	return r, nil
}

// median returns the middle of fs.
func median(fs []float64) float64 {
	fs = slices.Sorted(slices.Values(fs))
	return fs[len(fs)/2]
}

// openNode starts a node and receivers that join it.
func openNode(ctx context.Context, b benchChild) (n *espial.Node, c *child, err error) {
	b.cluster = benchCluster()
	n, err = espial.Start(ctx, espial.Config{
		Cluster: b.cluster, Name: "sender", Listen: "127.0.0.1:0", Multicast: espial.Multicast{Off: true},
	})
	if err != nil {
		return nil, nil, err
	}
	b.addr = n.Addrs()[0]
	if c, err = startChild(ctx, b); err == nil {
		err = c.ask("", &struct{}{})
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
func openLink(ctx context.Context, b benchChild) (c *child, send sender, done func() error, err error) {
	n, c, err := openNode(ctx, b)
	if err != nil {
		return nil, nil, nil, err
	}
	target := espial.Others()
	if b.nodes == 1 {
		for p := range n.Peers() {
			target = espial.Only(p.ID)
		}
	}
	send = func(payload []byte) error { return n.Publish(ctx, benchTopic, payload, target) }
	return c, send, n.Close, nil
}

// openBare starts receivers and connects to each.
func openBare(ctx context.Context, b benchChild) (c *child, send sender, done func() error, err error) {
	c, err = startChild(ctx, b)
	if err != nil {
		return nil, nil, nil, err
	}
	var ready struct{ Addrs []string }
	if err := c.ask("", &ready); err != nil {
		return nil, nil, nil, err
	}
	var links []*bareLink
	var wg sync.WaitGroup
	for _, a := range ready.Addrs {
		l, err := bareDial(ctx, a)
		if err != nil {
			return nil, nil, nil, err
		}
		links = append(links, l)
		wg.Go(func() { _ = l.write() }) // the receiver sees what is missing
	}
	send = func(payload []byte) error {
		for _, l := range links {
			l.send(payload)
		}
		return nil
	}
	done = func() error {
		for _, l := range links {
			l.close()
		}
		wg.Wait()
		return nil
	}
	return c, send, done, nil
}

// measured is what one run of throughput found.
type measured struct {
	rate, cpu, allocs float64
	lost              uint64
}

// throughput sends as quickly as the receivers take it.
func throughput(c *child, send sender, o benchOptions, nodes int) (m measured, err error) {
	if err := c.ask("count", &struct{}{}); err != nil {
		return m, err
	}
	payload := make([]byte, o.size)
	cpu, allocs := cpuTime(), mallocs()
	var sent uint64
	for end := time.Now().Add(o.duration); time.Now().Before(end); {
		for range 64 {
			if err := send(payload); err != nil {
				return m, err
			}
			sent++
		}
	}
	r, err := c.report(sent * uint64(nodes))
	if err != nil {
		return m, err
	}
	if r.Count == 0 || r.Elapsed <= 0 {
		return m, errors.New("bench: nothing arrived")
	}
	got := float64(r.Count)
	return measured{
		rate:   got / r.Elapsed.Seconds(),
		cpu:    float64(cpuTime()-cpu+r.CPU) / got,
		allocs: float64(mallocs()-allocs+r.Mallocs) / got,
		lost:   max(sent*uint64(nodes), r.Count) - r.Count,
	}, nil
}

// report asks what became of so many messages until all have arrived or are known to be lost,
// for 10 s at most.
func (c *child) report(sent uint64) (r benchReport, err error) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		err := c.ask("report", &r)
		if err != nil || r.Count+r.Lost >= sent || time.Now().After(end) {
			return r, err
		}
	}
}

// latency sends at a steady rate far below the limit and returns how long the messages took,
// sorted.
func latency(c *child, send sender, o benchOptions, nodes int) ([]time.Duration, error) {
	if err := c.ask("time", &struct{}{}); err != nil {
		return nil, err
	}
	payload := make([]byte, o.size)
	var sent uint64
	t := time.NewTicker(pace)
	defer t.Stop()
	for end := time.Now().Add(o.duration); time.Now().Before(end); <-t.C {
		binary.BigEndian.PutUint64(payload, uint64(time.Now().UnixNano()))
		if err := send(payload); err != nil {
			return nil, err
		}
		sent++
	}
	r, err := c.report(sent * uint64(nodes))
	if err != nil {
		return nil, err
	}
	if len(r.Latencies) == 0 {
		return nil, errors.New("bench: nothing arrived")
	}
	return r.Latencies, nil
}
