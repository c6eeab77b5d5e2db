package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// row is one line of a table: an object in JSON, and cells for people.
type row interface{ cells() []cell }

// cell is a cell of a row, and what stands above its column.
type cell struct{ head, text string }

// write writes rows of one kind, as JSON lines or as a table.
func write[R row](out io.Writer, rows []R, asJSON bool) error {
	if asJSON {
		for _, r := range rows {
			if err := json.NewEncoder(out).Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i, r := range rows {
		cells := r.cells()
		if i == 0 {
			for _, c := range cells {
				_, _ = fmt.Fprint(w, c.head, "\t")
			}
			_, _ = fmt.Fprintln(w)
		}
		for _, c := range cells {
			_, _ = fmt.Fprint(w, c.text, "\t")
		}
		_, _ = fmt.Fprintln(w)
	}
	return w.Flush()
}

// cells returns a row of scenarios A and B.
func (r rate) cells() []cell {
	return []cell{
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

// cells returns a row of scenario E.
func (r reign) cells() []cell {
	rest := func(f *float64) string {
		if f == nil {
			return "?"
		}
		return fmt.Sprintf("%.1f", *f)
	}
	return []cell{
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

// quantile returns the q-th quantile by the nearest rank: of fewer than 100 values the 99th
// percentile is the largest one. Of none it is 0.
func quantile[T ~int64 | ~float64](of []T, q float64) float64 {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	rank := int(math.Ceil(q * float64(len(sorted))))
	return float64(sorted[max(rank, 1)-1])
}
