package main

import (
	"fmt"
	"io"

	"github.com/espial-go/espial/internal/gauge"
)

// rateCells returns a row of scenarios A and B.
func rateCells(r gauge.Row) []gauge.Cell {
	return []gauge.Cell{
		{"scenario", r.Scenario},
		{"carrier", r.Carrier},
		{"nodes", fmt.Sprint(r.Nodes)},
		{"size", fmt.Sprint(r.Size)},
		{"M msg/s", fmt.Sprintf("%.2f", r.Rate/1e6)},
		{"MB/s", fmt.Sprintf("%.0f", r.Bytes/1e6)},
		{"of bare", fmt.Sprintf("%.2f", r.OfBare)},
		{"link is", fmt.Sprintf("%.2f x", r.Link)},
		{"p50 µs", fmt.Sprintf("%.0f", r.P50)},
		{"p99 µs", fmt.Sprintf("%.0f", r.P99)},
		{"CPU ns/msg", fmt.Sprintf("%.0f", r.CPU)},
		{"allocs/msg", fmt.Sprintf("%.3f", r.Allocs)},
		{"lost", fmt.Sprint(r.Lost)},
	}
}

// reignCells returns a row of scenario E.
func reignCells(r reign) []gauge.Cell {
	rest := func(f *float64) string {
		if f == nil {
			return "?"
		}
		return fmt.Sprintf("%.1f", *f)
	}
	return []gauge.Cell{
		{"scenario", r.Scenario},
		{"contender", r.Contender},
		{"killed: p50 ms", fmt.Sprintf("%.0f", r.Killed/1e3)},
		{"max", fmt.Sprintf("%.0f", r.KilledMax/1e3)},
		{"resigned: p50 ms", fmt.Sprintf("%.1f", r.Resigned/1e3)},
		{"max", fmt.Sprintf("%.1f", r.ResignedMax/1e3)},
		{"at rest: msg/s per node", rest(r.Mean)},
		{"busiest", rest(r.Busiest)},
	}
}

// printHistograms prints how the latencies are spread.
func printHistograms(out io.Writer, rates []gauge.Row) error {
	for _, r := range rates {
		_, _ = fmt.Fprintf(out, "\nlatency of %s, %s, %d nodes, %d bytes: so many messages took up to\n",
			r.Scenario, r.Carrier, r.Nodes, r.Size)
		if err := gauge.PrintHistogram(out, r.Histogram); err != nil {
			return err
		}
	}
	return nil
}
