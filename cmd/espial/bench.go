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
		Short: "Measure throughput and latency between two processes on this machine",
		Long: `Measure what espial carries between two real processes over loopback, beside a
bare TLS link in the same run: that is the limit, so read the ratio, not the rate.

Scenario A sends from one node to another, waiting for nothing but room. Scenario B
publishes from one node to several that share the second process. Rates are counted
at the receivers; the latency is measured apart, at 5,000 messages a second.`,
		Example: "  espial bench --scenario A --size 128 --runs 3",
		Args:    wants(),
		RunE: func(c *cobra.Command, _ []string) error {
			return bench(c.Context(), o, c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&o.scenario, "scenario", "all", "what to measure: A (one to one), B (one to --nodes) or all")
	f.IntVar(&o.size, "size", 128, "bytes of one message, 8 to 1048576")
	f.IntVar(&o.nodes, "nodes", 4, "receivers of scenario B, 1 to 16")
	f.IntVar(&o.runs, "runs", 3, "how often to measure; the median counts")
	f.DurationVar(&o.duration, "duration", 3*time.Second, "how long one measurement takes")
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

// check returns an error that names the flag that cannot be.
func (o benchOptions) check() error {
	switch {
	case !slices.Contains([]string{"A", "B", "all"}, o.scenario):
		return fmt.Errorf("--scenario is %q, must be A, B or all", o.scenario)
	case o.size < 8 || o.size > 1<<20:
		return fmt.Errorf("--size is %d, must be 8 to %d", o.size, 1<<20)
	case o.nodes < 1 || o.nodes > 16:
		return fmt.Errorf("--nodes is %d, must be 1 to 16", o.nodes)
	case o.runs < 1 || o.runs > 100:
		return fmt.Errorf("--runs is %d, must be 1 to 100", o.runs)
	case o.duration < 100*time.Millisecond || o.duration > time.Minute:
		return fmt.Errorf("--duration is %v, must be 100ms to 1m", o.duration)
	}
	return nil
}

// bench measures and prints.
func bench(ctx context.Context, o benchOptions, out io.Writer) error {
	if err := o.check(); err != nil {
		return usageError(err)
	}
	var results []benchResult
	for _, s := range []string{"A", "B"} {
		if o.scenario != "all" && o.scenario != s {
			continue
		}
		nodes := 1
		if s == "B" {
			nodes = o.nodes
		}
		for _, carrier := range []string{"bare", "link"} {
			r, err := benchScenario(ctx, o, benchChild{carrier: carrier, nodes: nodes})
			if err != nil {
				return err
			}
			r.Scenario = s
			results = append(results, r)
			if o.json {
				if err := json.NewEncoder(out).Encode(r); err != nil {
					return err
				}
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
	bare := map[string]float64{}
	for _, r := range results {
		share := ""
		if r.Carrier == "bare" {
			bare[r.Scenario] = r.Rate
		} else if b := bare[r.Scenario]; b > 0 {
			share = fmt.Sprintf("%.2f", r.Rate/b)
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
