package gauge

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Callers returns how many calls scenario C has under way at a time.
func Callers() []int { return []int{1, 64} }

// Caller makes one call and returns when its answer came. One goroutine uses it.
type Caller func(payload []byte) error

// Call lets each caller make one call after the other, and returns how many were made, and how
// long each took.
func (l Load) Call(all []Caller) (Report, error) {
	times, errs := make([][]time.Duration, len(all)), make([]error, len(all))
	began := time.Now()
	var wg sync.WaitGroup
	for i, call := range all {
		wg.Go(func() {
			payload := make([]byte, l.Size)
			for at := began; at.Sub(began) < l.For && errs[i] == nil; {
				errs[i] = call(payload)
				now := time.Now()
				times[i] = append(times[i], now.Sub(at))
				at = now
			}
		})
	}
	wg.Wait()
	r := Report{Elapsed: time.Since(began), Latencies: slices.Concat(times...)}
	r.Count = uint64(len(r.Latencies))
	return r, errors.Join(errs...)
}

// CallRun is what one run of scenario C found. The times are in µs.
type CallRun struct {
	Sample
	P50, P99 float64
}

// CallRun returns what a run of calls found. The report is that of both ends, and not empty.
func (r *Report) CallRun() CallRun {
	return CallRun{r.Sample(r.Count), Micros(r.Latencies, 0.5), Micros(r.Latencies, 0.99)}
}

// CallRow is a line of scenario C: what one carrier brings to a callee and back.
type CallRow struct {
	Scenario  string  `json:"scenario"`
	Carrier   string  `json:"carrier"`
	Size      int     `json:"size"`
	Nodes     int     `json:"nodes"`
	Callers   int     `json:"callers"` // how many calls are under way at a time
	Runs      int     `json:"runs"`
	Rate      float64 `json:"rate_per_s"`        // the median of all runs, as are the others
	OfBare    float64 `json:"of_bare,omitempty"` // this rate divided by that of bare ping-pong
	P50       float64 `json:"p50_us"`
	P50OfBare float64 `json:"p50_of_bare,omitempty"` // likewise
	P99       float64 `json:"p99_us"`
	CPU       float64 `json:"cpu_ns_per_msg"`
	Allocs    float64 `json:"allocs_per_msg"`
}

// Sum enters what the runs of a carrier found, and how that compares with those of the bare one
// in the same turns.
func (r *CallRow) Sum(runs, bare []CallRun) {
	rate := func(r CallRun) float64 { return r.Rate }
	p50 := func(r CallRun) float64 { return r.P50 }
	r.Scenario, r.Nodes, r.Runs = "C", 2, len(runs)
	r.Rate, r.OfBare = Median(runs, rate), Ratio(runs, bare, rate)
	r.P50, r.P50OfBare = Median(runs, p50), Ratio(runs, bare, p50)
	r.P99 = Median(runs, func(r CallRun) float64 { return r.P99 })
	r.CPU = Median(runs, func(r CallRun) float64 { return r.CPU })
	r.Allocs = Median(runs, func(r CallRun) float64 { return r.Allocs })
}

// Cells returns the row for people.
func (r CallRow) Cells() []Cell {
	return []Cell{
		{"scenario", r.Scenario},
		{"carrier", r.Carrier},
		{"callers", fmt.Sprint(r.Callers)},
		{"size", fmt.Sprint(r.Size)},
		{"k calls/s", fmt.Sprintf("%.1f", r.Rate/1e3)},
		{"of bare", share(r.OfBare)},
		{"p50 µs", fmt.Sprintf("%.0f", r.P50)},
		{"of bare", share(r.P50OfBare)},
		{"p99 µs", fmt.Sprintf("%.0f", r.P99)},
		{"CPU ns/call", fmt.Sprintf("%.0f", r.CPU)},
		{"allocs/call", fmt.Sprintf("%.1f", r.Allocs)},
	}
}
