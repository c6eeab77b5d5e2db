// Package gauge is what espial bench and the module bench measure with and print by, so that a
// line of the one can be laid beside a line of the other: messages sent at a pace ([Load]),
// counted by each receiver ([Tally]) in processes of their own ([Child]), over the bare links
// that all others are held against ([Bare], [Ping]), and the rows that come of it ([Row]).
//
// It knows no carrier but the bare links, and belongs to programs: nothing that a node links
// imports it.
package gauge

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Row is a line of scenarios A and B: what one carrier carried.
type Row struct {
	Scenario string  `json:"scenario"`
	Carrier  string  `json:"carrier"`
	Size     int     `json:"size"`  // of a message, in bytes
	Nodes    int     `json:"nodes"` // the receivers and the sender
	Runs     int     `json:"runs"`
	Rate     float64 `json:"rate_per_s"` // the median of all runs, as are the others
	Bytes    float64 `json:"bytes_per_s"`
	OfBare   float64 `json:"of_bare,omitempty"`      // this rate divided by that of the bare link
	Link     float64 `json:"link_over_it,omitempty"` // the rate of espial divided by this one
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	CPU      float64 `json:"cpu_ns_per_msg"`
	Allocs   float64 `json:"allocs_per_msg"`
	Lost     uint64  `json:"lost"` // of all runs

	Histogram []Bucket `json:"histogram,omitempty"` // of the latencies
}

// Spread enters how long the messages took.
func (r *Row) Spread(took []time.Duration) {
	r.P50, r.P99, r.Histogram = Micros(took, 0.5), Micros(took, 0.99), Histogram(took)
}

// Bucket counts the latencies up to a limit, in µs, and above the one before it.
type Bucket struct {
	UpTo  int `json:"up_to_us"`
	Count int `json:"count"`
}

// Histogram sorts latencies into buckets that double. The first one and the last one have
// latencies in them; of none there is no bucket.
func Histogram(took []time.Duration) (buckets []Bucket) {
	limit := 1
	for _, d := range slices.Sorted(slices.Values(took)) {
		for d > time.Duration(limit)*time.Microsecond {
			if limit *= 2; len(buckets) > 0 {
				buckets = append(buckets, Bucket{UpTo: limit})
			}
		}
		if len(buckets) == 0 {
			buckets = []Bucket{{UpTo: limit}}
		}
		buckets[len(buckets)-1].Count++
	}
	return buckets
}

// Quantile returns the q-th quantile by the nearest rank: of fewer than 100 values the 99th
// percentile is the largest one. Of none it is 0.
func Quantile[T cmp.Ordered](of []T, q float64) (value T) {
	if len(of) == 0 {
		return value
	}
	sorted := slices.Sorted(slices.Values(of))
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// Micros returns the q-th quantile of times, in µs.
func Micros(took []time.Duration, q float64) float64 {
	return float64(Quantile(took, q)) / float64(time.Microsecond)
}
