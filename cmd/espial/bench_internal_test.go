package main

import (
	"testing"
	"time"
)

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
