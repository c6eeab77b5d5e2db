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
	nodes    int
	runs     int
	duration time.Duration
	json     bool
}

// benchChild is what a receiver process is told.
type benchChild struct {
	carrier string // "link" or "bare"
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
process. Each is measured over two carriers: "link" is espial at work, "bare"
a TLS connection with nothing on it. The bare one is the limit of the same
minute, so read the ratio ("of bare"), not the rate. Rates are counted at the
receivers; the latency is measured apart, at 5,000 messages a second. The
column "nodes" counts the receivers and the sender.

Scenario E runs 5 nodes in a process each and measures, as each of the others
saw it, how long it takes until a new node is met (from the start of its
process), a killed and a frozen one are suspected and removed, and a killed
leader is replaced (without a quorum). Of fewer than 100 values the p99 is the
longest. Splits and heals are not measured: they need hosts of their own.
--size, --nodes and --duration are for A and B.`,
		Example: "  espial bench --scenario A --size 128 --runs 3",
		Args:    wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			return bench(c.Context(), o, c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&o.scenario, "scenario", "all", "`SCENARIO` to measure: A (one to one),\n"+
		"B (one to --nodes), E (failures) or all")
	f.IntVar(&o.size, "size", 128, "`BYTES` of one message, 8 to 1048576")
	f.IntVar(&o.nodes, "nodes", 4, "how many `NODES` receive in scenario B, 1 to 16")
	f.IntVar(&o.runs, "runs", 3, "measure so many `TIMES`; the median counts")
	f.DurationVar(&o.duration, "duration", 3*time.Second, "`TIME` of one measurement of A or B")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
	return c
}

// newBenchReceiverCommand returns the hidden command that bench runs as its child.
func newBenchReceiverCommand() *cobra.Command {
	var b benchChild
	c := &cobra.Command{
		Use: "bench-receiver", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if b.carrier == "bare" {
				return receiveBare(c.Context(), b, os.Stdin, c.OutOrStdout())
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

// check returns a usage error for a flag out of range.
func (o benchOptions) check() error {
	switch {
	case !slices.Contains([]string{"A", "B", "E", "all"}, o.scenario):
		return usagef("--scenario: is %q, must be A, B, E or all", o.scenario)
	case o.size < 8 || o.size > 1<<20:
		return usagef("--size: is %d, must be 8 to %d", o.size, 1<<20)
	case o.nodes < 1 || o.nodes > 16:
		return usagef("--nodes: is %d, must be 1 to 16", o.nodes)
	case o.runs < 1 || o.runs > 100:
		return usagef("--runs: is %d, must be 1 to 100", o.runs)
	case o.duration < 100*time.Millisecond || o.duration > time.Minute:
		return usagef("--duration: is %v, must be 100ms to 1m", o.duration)
	}
	return nil
}

// bench measures and prints.
func bench(ctx context.Context, o benchOptions, out io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	wants := func(scenario string) bool { return o.scenario == "all" || o.scenario == scenario }
	if wants("A") || wants("B") {
		if err := benchRates(ctx, o, out, wants); err != nil {
			return err
		}
	}
	if !wants("E") {
		return nil
	}
	results, err := benchFaults(ctx, o.runs)
	if err != nil {
		return err
	}
	if o.scenario == "all" && !o.json {
		_, _ = fmt.Fprintln(out)
	}
	return printFaults(out, results, o.json)
}

// benchCluster returns a name for a cluster that nobody else has.
func benchCluster() string { return fmt.Sprintf("bench-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6) }

// benchRates measures and prints scenarios A and B.
func benchRates(ctx context.Context, o benchOptions, out io.Writer, wants func(string) bool) error {
	var results []benchResult
	for _, s := range []string{"A", "B"} {
		if !wants(s) {
			continue
		}
		nodes := 1
		if s == "B" {
			nodes = o.nodes
		}
		bare := 0.0
		for _, carrier := range []string{"bare", "link"} {
			r, err := benchScenario(ctx, o, benchChild{carrier: carrier, nodes: nodes})
			if err != nil {
				return err
			}
			r.Scenario = s
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
	return printBench(out, results)
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
