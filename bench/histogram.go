package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// bucket counts the latencies up to a limit and above the one before it.
type bucket struct {
	UpTo  int `json:"up_to_us"`
	Count int `json:"count"`
}

// histogram sorts latencies into buckets that double.
func histogram(all []time.Duration) (buckets []bucket) {
	limit := 1
	for _, d := range slices.Sorted(slices.Values(all)) {
		for d > time.Duration(limit)*time.Microsecond {
			if limit *= 2; len(buckets) > 0 {
				buckets = append(buckets, bucket{UpTo: limit})
			}
		}
		if len(buckets) == 0 {
			buckets = []bucket{{UpTo: limit}}
		}
		buckets[len(buckets)-1].Count++
	}
	return buckets
}

// barMax is the length of the longest bar of a histogram, in characters.
const barMax = 50

// writeHistograms prints how the latencies are spread, a bar for each bucket.
func writeHistograms(out io.Writer, rates []rate) {
	for _, r := range rates {
		_, _ = fmt.Fprintf(out, "\nlatency of %s, %s, %d nodes, %d bytes: so many messages took up to\n",
			r.Scenario, r.Carrier, r.Nodes, r.Size)
		most := 1
		for _, b := range r.Histogram {
			most = max(most, b.Count)
		}
		for _, b := range r.Histogram {
			bar := strings.Repeat("#", (b.Count*barMax+most-1)/most)
			_, _ = fmt.Fprintf(out, "%9d µs  %7d  %s\n", b.UpTo, b.Count, bar)
		}
	}
}
