package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/espial-go/espial/internal/gauge"
)

// benchOptions are the flags of espial bench.
type benchOptions struct {
	scenario string
	size     int
	nodes    []int
	runs     int
	duration time.Duration
	peers    bool
	buckets  bool
	json     bool
}

// benchChild is what a receiver process is told.
type benchChild struct {
	carrier string // "link", "bare", "pong" or "sink"
	cluster string
	addr    string
	nodes   int
}

// newBenchCommand returns espial bench.
func newBenchCommand() *cobra.Command {
	var o benchOptions
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure throughput, latency and the detection of failures on this machine",
		Long: `Measure what espial carries between two real processes over loopback, and how
soon it notices what fails.

Scenario A sends from one node to another, waiting for nothing but room.
Scenario B publishes from one node to --nodes others that share the second
process, for each number given. Each is measured over two carriers: "link" is
espial at work, "bare" a TLS connection with nothing on it. The bare one is
the limit of the same minute, so read the ratio ("of bare"), not the rate.
Rates are counted at the receivers; the latency is measured apart, at 5,000
messages a second. The column "nodes" counts the receivers and the sender.

Scenario C calls a method that returns its argument, one call after the other
and 64 at a time. There the bare carrier is ping-pong: a TLS connection for
each caller, on which a message comes back before the next one leaves.

Scenario D measures streams: what one carries and what four do, how quickly
they are opened and closed, 16 at once, and how long events take alone and
beside a stream that takes all it can. There the bare carrier is a TLS
connection for each stream, and a bare link beside it for the messages.

Scenario E runs 5 nodes in a process each and measures, as each of the others
saw it, how long it takes until a new node is met (from the start of its
process), a killed and a frozen one are suspected and removed, and a killed
leader is replaced (without a quorum). Of fewer than 100 values the p99 is the
longest. Splits and heals are not measured: they need hosts of their own.
With --peers others stand in the same tables: NATS over TLS in A, B and C,
gRPC and yamux in C and D, quic-go in D. The program espial-bench measures A
to D then, because espial does not depend on its peers; in a checkout of
espial, make peers builds it beside espial in bin.

--size is for A, B and C, --duration for D as well, --nodes for B. The scenarios C and D may
be called calls and streams.`,
		Example: "  espial bench --scenario A --size 128 --runs 3\n" +
			"  espial bench --peers --histogram",
		Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			return bench(c.Context(), o, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&o.scenario, "scenario", "all", "`SCENARIO` to measure: A (one to one),\n"+
		"B (one to --nodes), C (calls), D (streams), E (failures)\nor all")
	f.IntVar(&o.size, "size", 128, "`BYTES` of one message, 8 to 1048576")
	f.IntSliceVar(&o.nodes, "nodes", []int{4, 16}, "how many `NODES` receive in scenario B, 1 to 16;\n"+
		"one measurement for each number given")
	f.IntVar(&o.runs, "runs", 3, "measure so many `TIMES`; the median counts")
	f.DurationVar(&o.duration, "duration", 3*time.Second, "`TIME` of one measurement of A, B, C or D")
	f.BoolVar(&o.peers, "peers", false, "measure others as well, with the program espial-bench")
	f.BoolVar(&o.buckets, "histogram", false, "print how the latencies of A and B are spread, too")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
	return c
}

// newBenchReceiverCommand returns the hidden command that bench runs as its child.
func newBenchReceiverCommand() *cobra.Command {
	var b benchChild
	c := &cobra.Command{
		Use: "bench-receiver", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch b.carrier {
			case "bare":
				return receiveBare(c.Context(), b, os.Stdin, c.OutOrStdout())
			case "pong":
				return pong(c.Context(), os.Stdin, c.OutOrStdout())
			case "sink":
				return receiveSink(c.Context(), os.Stdin, c.OutOrStdout())
			}
			return receiveNodes(c.Context(), b, os.Stdin, c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&b.carrier, "carrier", "link", "")
	f.StringVar(&b.cluster, "cluster", "", "")
	f.StringVar(&b.addr, "addr", "", "")
	f.IntVar(&b.nodes, "nodes", 1, "")
	return c
}

// wants reports whether a scenario is to be measured.
func (o benchOptions) wants(scenario string) bool {
	return o.scenario == "all" || o.scenario == scenario || benchWords()[o.scenario] == scenario
}

// benchWords returns the scenarios that have a name besides their letter.
func benchWords() map[string]string { return map[string]string{"calls": "C", "streams": "D"} }

// check returns a usage error for a flag out of range.
func (o benchOptions) check() error {
	switch {
	case !slices.ContainsFunc([]string{"A", "B", "C", "D", "E"}, o.wants):
		return usagef("--scenario: is %q, must be A, B, C, D, E or all", o.scenario)
	case o.size < gauge.StampMin || o.size > 1<<20:
		return usagef("--size: is %d, must be %d to %d", o.size, gauge.StampMin, 1<<20)
	case len(o.nodes) == 0 || slices.Min(o.nodes) < 1 || slices.Max(o.nodes) > 16:
		return usagef("--nodes: is %v, must be numbers from 1 to 16", o.nodes)
	case o.runs < 1 || o.runs > 100:
		return usagef("--runs: is %d, must be 1 to 100", o.runs)
	case o.duration < 100*time.Millisecond || o.duration > time.Minute:
		return usagef("--duration: is %v, must be 100ms to 1m", o.duration)
	case o.peers:
		return o.checkPeers()
	}
	return nil
}

// checkPeers is check for what --peers rules out.
func (o benchOptions) checkPeers() error {
	switch {
	case o.scenario == "E":
		return usagef("--peers: is for the scenarios A to D")
	case slices.Min(o.nodes) < 2: //nolint:mnd // one receiver is scenario A
		return usagef("--nodes: is %v, must be numbers from 2 to 16 with --peers", o.nodes)
	}
	return nil
}

// bench measures and prints.
func bench(ctx context.Context, o benchOptions, out, errs io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	var err error
	if o.peers {
		err = benchPeers(ctx, o, out, errs)
	} else {
		err = benchAlone(ctx, o, out)
	}
	if err != nil || !o.wants("E") {
		return err
	}
	results, err := benchFaults(ctx, o.runs)
	if err != nil {
		return err
	}
	o.gap(out)
	return gauge.Print(out, results, o.json, faultCells)
}

// benchAlone measures and prints the scenarios A to D without peers.
func benchAlone(ctx context.Context, o benchOptions, out io.Writer) (err error) {
	if o.wants("A") || o.wants("B") {
		err = benchRates(ctx, o, out)
	}
	if err == nil && o.wants("C") {
		o.gap(out)
		err = benchCalls(ctx, o, out)
	}
	if err == nil && o.wants("D") {
		o.gap(out)
		err = benchStreams(ctx, o, out)
	}
	return err
}

// gap parts two tables.
func (o benchOptions) gap(out io.Writer) {
	if o.scenario == "all" && !o.json {
		_, _ = fmt.Fprintln(out)
	}
}

// benchCluster returns a name for a cluster that nobody else has.
func benchCluster() string { return fmt.Sprintf("bench-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6) }

// benchRates measures and prints scenarios A and B.
func benchRates(ctx context.Context, o benchOptions, out io.Writer) error {
	type crowd struct {
		scenario string
		nodes    int
	}
	crowds := []crowd{{"A", 1}}
	for _, n := range o.nodes {
		crowds = append(crowds, crowd{"B", n})
	}
	var rows []gauge.Row
	for _, c := range crowds {
		if !o.wants(c.scenario) {
			continue
		}
		bare := 0.0
		for _, carrier := range []string{"bare", "link"} {
			r, err := benchScenario(ctx, o, benchChild{carrier: carrier, nodes: c.nodes})
			if err != nil {
				return err
			}
			r.Scenario = c.scenario
			if carrier == "bare" {
				bare = r.Rate
			} else if bare > 0 {
				r.OfBare = r.Rate / bare
			}
			rows = append(rows, r)
			if !o.json {
				continue
			}
			if err := json.NewEncoder(out).Encode(r); err != nil {
				return err
			}
		}
	}
	if o.json {
		return nil
	}
	if err := gauge.Print(out, rows, false, benchCells); err != nil || !o.buckets {
		return err
	}
	return printHistograms(out, rows)
}

// printHistograms prints how the latencies are spread.
func printHistograms(out io.Writer, rows []gauge.Row) error {
	for _, r := range rows {
		_, _ = fmt.Fprintf(out, "\nlatency of %s, %s, %d nodes: so many messages took up to\n",
			r.Scenario, r.Carrier, r.Nodes)
		if err := gauge.PrintHistogram(out, r.Histogram); err != nil {
			return err
		}
	}
	return nil
}

// benchCells returns a row of scenarios A and B, for people.
func benchCells(r gauge.Row) []gauge.Cell {
	share := ""
	if r.OfBare > 0 {
		share = fmt.Sprintf("%.2f", r.OfBare)
	}
	return []gauge.Cell{
		{"scenario", r.Scenario},
		{"carrier", r.Carrier},
		{"nodes", fmt.Sprint(r.Nodes)},
		{"size", fmt.Sprint(r.Size)},
		{"msg/s", thousands(r.Rate)},
		{"MB/s", fmt.Sprintf("%.1f", r.Bytes/1e6)},
		{"of bare", share},
		{"p50 µs", fmt.Sprintf("%.0f", r.P50)},
		{"p99 µs", fmt.Sprintf("%.0f", r.P99)},
		{"CPU ns/msg", fmt.Sprintf("%.0f", r.CPU)},
		{"allocs/msg", fmt.Sprintf("%.3f", r.Allocs)},
		{"lost", fmt.Sprint(r.Lost)},
	}
}

// thousands writes a rate with separators.
func thousands(f float64) string {
	digits := fmt.Sprintf("%.0f", f)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
