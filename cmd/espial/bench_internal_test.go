package main

import (
	"slices"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	us := func(all ...float64) (ds []time.Duration) {
		for _, f := range all {
			ds = append(ds, time.Duration(f*float64(time.Microsecond)))
		}
		return ds
	}
	for name, tt := range map[string]struct {
		in   []time.Duration
		want []benchBucket
	}{
		"of nothing":               {nil, nil},
		"a limit is its bucket's":  {us(8), []benchBucket{{8, 1}}},
		"above it is the next's":   {us(8, 8.5), []benchBucket{{8, 1}, {16, 1}}},
		"gaps are shown":           {us(3, 3.5, 20), []benchBucket{{4, 2}, {8, 0}, {16, 0}, {32, 1}}},
		"what took no time at all": {us(0), []benchBucket{{1, 1}}},
	} {
		if got := histogram(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("%s: histogram(%v) = %v, want %v", name, tt.in, got, tt.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	upTo := func(n int) (ms []time.Duration) {
		for i := range n {
			ms = append(ms, time.Duration(i+1)*time.Millisecond)
		}
		return ms
	}
	for name, tc := range map[string]struct {
		of   []time.Duration
		q    float64
		want float64 // in microseconds
	}{
		"one value is every quantile":         {upTo(1), 0.99, 1e3},
		"the lower one of two is the median":  {upTo(2), 0.5, 1e3},
		"the middle of five is the median":    {upTo(5), 0.5, 3e3},
		"the 99th percentile of 5 is the max": {upTo(5), 0.99, 5e3},
		"and that of 200 leaves out two":      {upTo(200), 0.99, 198e3},
	} {
		if got := quantile(tc.of, tc.q); got != tc.want {
			t.Errorf("%s: quantile(%v, %v) = %v, want %v", name, tc.of, tc.q, got, tc.want)
		}
	}
}
