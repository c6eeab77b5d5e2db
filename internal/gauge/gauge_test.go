package gauge_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/gauge"
)

// TestRow: whoever reads espial bench --json reads it with --peers, too, which says link_over_it
// besides.
func TestRow(t *testing.T) {
	const of = "scenario carrier size nodes runs rate_per_s bytes_per_s %p50_us p99_us " +
		"cpu_ns_per_msg allocs_per_msg lost"
	for name, tt := range map[string]struct {
		row  gauge.Row
		want string
	}{
		"of the bare link":      {gauge.Row{}, strings.ReplaceAll(of, "%", "")},
		"beside the bare link":  {gauge.Row{OfBare: 1}, strings.ReplaceAll(of, "%", "of_bare ")},
		"beside the peers, too": {gauge.Row{OfBare: 1, Link: 1}, strings.ReplaceAll(of, "%", "of_bare link_over_it ")},
		"with latencies": {
			gauge.Row{Histogram: []gauge.Bucket{{UpTo: 1, Count: 1}}},
			strings.ReplaceAll(of, "%", "") + " histogram up_to_us count",
		},
	} {
		b, err := json.Marshal(tt.row)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(string(b), -1) {
			got = append(got, m[1])
		}
		if want := strings.Fields(tt.want); !slices.Equal(got, want) {
			t.Errorf("%s: %+v has the fields %q, want %q", name, tt.row, got, want)
		}
	}
}

func TestQuantile(t *testing.T) {
	upTo := func(n int) (all []float64) {
		for i := range n {
			all = append(all, float64(n-i))
		}
		return all
	}
	for name, tt := range map[string]struct {
		of   []float64
		q    float64
		want float64
	}{
		"of nothing":                          {nil, 0.5, 0},
		"one value is every quantile":         {upTo(1), 0.99, 1},
		"the lower one of two is the median":  {upTo(2), 0.5, 1},
		"the middle of three is the median":   {upTo(3), 0.5, 2},
		"the 99th percentile of 5 is the max": {upTo(5), 0.99, 5},
		"and that of 200 leaves out two":      {upTo(200), 0.99, 198},
		"the whole is the max":                {upTo(20), 1, 20},
	} {
		if got := gauge.Quantile(tt.of, tt.q); got != tt.want {
			t.Errorf("%s: Quantile(%v, %v) = %v, want %v", name, tt.of, tt.q, got, tt.want)
		}
	}
}

// TestSpread is in µs, whatever the order of the latencies.
func TestSpread(t *testing.T) {
	us := func(all ...float64) (ds []time.Duration) {
		for _, f := range all {
			ds = append(ds, time.Duration(f*float64(time.Microsecond)))
		}
		return ds
	}
	for name, tt := range map[string]struct {
		in       []time.Duration
		p50, p99 float64
		want     []gauge.Bucket
	}{
		"of nothing":               {nil, 0, 0, nil},
		"a limit is its bucket's":  {us(8), 8, 8, []gauge.Bucket{{UpTo: 8, Count: 1}}},
		"above it is the next's":   {us(8.5, 8), 8, 8.5, []gauge.Bucket{{UpTo: 8, Count: 1}, {UpTo: 16, Count: 1}}},
		"what took no time at all": {us(0), 0, 0, []gauge.Bucket{{UpTo: 1, Count: 1}}},
		"gaps are shown": {us(3, 20, 3.5), 3.5, 20, []gauge.Bucket{
			{UpTo: 4, Count: 2}, {UpTo: 8}, {UpTo: 16}, {UpTo: 32, Count: 1},
		}},
	} {
		var got gauge.Row
		got.Spread(tt.in)
		if got.P50 != tt.p50 || got.P99 != tt.p99 || !slices.Equal(got.Histogram, tt.want) {
			t.Errorf("%s: Spread(%v) = %v, %v, %v, want %v, %v, %v",
				name, tt.in, got.P50, got.P99, got.Histogram, tt.p50, tt.p99, tt.want)
		}
	}
}
