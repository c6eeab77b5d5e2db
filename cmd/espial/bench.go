package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
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
	carrier string // "link", "bare" or "pong"
	cluster string
	addr    string
	nodes   int
}

// benchResult is one line of espial bench --json.
type benchResult struct {
	Scenario string  `json:"scenario"`
	Carrier  string  `json:"carrier"`
	Size     int     `json:"size"`
	Nodes    int     `json:"nodes"`
	Runs     int     `json:"runs"`
	Rate     float64 `json:"rate_per_s"`
	Bytes    float64 `json:"bytes_per_s"`
	OfBare   float64 `json:"of_bare,omitempty"` // this rate divided by that of the bare link
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	CPU      float64 `json:"cpu_ns_per_msg"`
	Allocs   float64 `json:"allocs_per_msg"`
	Lost     uint64  `json:"lost"`

	Histogram []benchBucket `json:"histogram,omitempty"` // of the latencies
}

// benchBucket counts the latencies up to a limit and above the one before it.
type benchBucket struct {
	UpTo  int `json:"up_to_us"`
	Count int `json:"count"`
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

With --peers a third carrier stands in the same table: "nats", a NATS server
over TLS. The program espial-bench measures all of A and B then, because
espial does not depend on its peers; in a checkout of espial, make peers
builds it beside espial in bin.

Scenario C calls a method that returns its argument, one call after the other
and 64 at a time. There the bare carrier is ping-pong: a TLS connection for
each caller, on which a message comes back before the next one leaves.

Scenario E runs 5 nodes in a process each and measures, as each of the others
saw it, how long it takes until a new node is met (from the start of its
process), a killed and a frozen one are suspected and removed, and a killed
leader is replaced (without a quorum). Of fewer than 100 values the p99 is the
longest. Splits and heals are not measured: they need hosts of their own.
--size and --duration are for A, B and C, --nodes for B.`,
		Example: "  espial bench --scenario A --size 128 --runs 3\n" +
			"  espial bench --peers --histogram",
		Args: wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			return bench(c.Context(), o, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&o.scenario, "scenario", "all", "`SCENARIO` to measure: A (one to one),\n"+
		"B (one to --nodes), C (calls), E (failures) or all")
	f.IntVar(&o.size, "size", 128, "`BYTES` of one message, 8 to 1048576")
	f.IntSliceVar(&o.nodes, "nodes", []int{4, 16}, "how many `NODES` receive in scenario B, 1 to 16;\n"+
		"one measurement for each number given")
	f.IntVar(&o.runs, "runs", 3, "measure so many `TIMES`; the median counts")
	f.DurationVar(&o.duration, "duration", 3*time.Second, "`TIME` of one measurement of A, B or C")
	f.BoolVar(&o.peers, "peers", false, "measure NATS as well, with the program espial-bench")
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
	return o.scenario == "all" || o.scenario == scenario
}

// check returns a usage error for a flag out of range.
func (o benchOptions) check() error {
	switch {
	case !slices.Contains([]string{"A", "B", "C", "E", "all"}, o.scenario):
		return usagef("--scenario: is %q, must be A, B, C, E or all", o.scenario)
	case o.size < 8 || o.size > 1<<20:
		return usagef("--size: is %d, must be 8 to %d", o.size, 1<<20)
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
	case o.scenario == "C" || o.scenario == "E":
		return usagef("--peers: is for the scenarios A and B")
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
	switch {
	case o.peers:
		err = benchPeers(ctx, o, out, errs)
	case o.wants("A") || o.wants("B"):
		err = benchRates(ctx, o, out)
	}
	if err == nil && o.wants("C") {
		o.gap(out)
		err = benchCalls(ctx, o, out)
	}
	if err != nil || !o.wants("E") {
		return err
	}
	results, err := benchFaults(ctx, o.runs)
	if err != nil {
		return err
	}
	o.gap(out)
	return printFaults(out, results, o.json)
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
	var results []benchResult
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
			results = append(results, r)
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
	if err := printBench(out, results); err != nil || !o.buckets {
		return err
	}
	return printHistograms(out, results)
}

// histogram sorts latencies, which are sorted, into buckets that double.
func histogram(sorted []time.Duration) (buckets []benchBucket) {
	for _, d := range sorted {
		for len(buckets) == 0 || d > time.Duration(buckets[len(buckets)-1].UpTo)*time.Microsecond {
			limit := 1
			if n := len(buckets); n > 0 {
				limit = 2 * buckets[n-1].UpTo //nolint:mnd // they double
			}
			buckets = append(buckets, benchBucket{UpTo: limit})
		}
		buckets[len(buckets)-1].Count++
	}
	for len(buckets) > 0 && buckets[0].Count == 0 {
		buckets = buckets[1:]
	}
	return buckets
}

// barMax is the length of the longest bar of a histogram, in characters.
const barMax = 50

// printHistograms prints how the latencies are spread, a bar for each bucket.
func printHistograms(out io.Writer, results []benchResult) error {
	for _, r := range results {
		_, _ = fmt.Fprintf(out, "\nlatency of %s, %s, %d nodes: so many messages took up to\n",
			r.Scenario, r.Carrier, r.Nodes)
		most := 1
		for _, b := range r.Histogram {
			most = max(most, b.Count)
		}
		for _, b := range r.Histogram {
			bar := strings.Repeat("#", (b.Count*barMax+most-1)/most)
			if _, err := fmt.Fprintf(out, "%9d µs  %7d  %s\n", b.UpTo, b.Count, bar); err != nil {
				return err
			}
		}
	}
	return nil
}

// printBench prints the table for people.
func printBench(out io.Writer, results []benchResult) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "scenario\tcarrier\tnodes\tsize\tmsg/s\tMB/s\tof bare\t"+
		"p50 µs\tp99 µs\tCPU ns/msg\tallocs/msg\tlost\t")
	for _, r := range results {
		share := ""
		if r.OfBare > 0 {
			share = fmt.Sprintf("%.2f", r.OfBare)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%.1f\t%s\t", r.Scenario, r.Carrier,
			r.Nodes, r.Size, thousands(r.Rate), r.Bytes/1e6, share)
		_, _ = fmt.Fprintf(w, "%.0f\t%.0f\t%.0f\t%.3f\t%d\t\n", r.P50, r.P99, r.CPU, r.Allocs, r.Lost)
	}
	return w.Flush()
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
