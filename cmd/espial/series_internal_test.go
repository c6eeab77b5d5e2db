package main

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPace says when events pass whose readiness is given in milliseconds.
func TestPace(t *testing.T) {
	for name, tt := range map[string]struct {
		rate  float64
		ready []float64 // ms, each at the earliest when the one before has passed
		want  []float64 // ms
	}{
		"what is ready at once is spaced evenly":   {10, []float64{0, 0, 0, 0}, []float64{0, 100, 200, 300}},
		"less than one a second":                   {0.5, []float64{0, 0, 0}, []float64{0, 2000, 4000}},
		"what comes seldom never waits":            {10, []float64{0, 150, 400}, []float64{0, 150, 400}},
		"no burst makes up for a pause":            {10, []float64{0, 950, 0, 0}, []float64{0, 950, 1050, 1150}},
		"a moment too late does not lower a rate":  {10, []float64{0, 100.5, 0, 0}, []float64{0, 100.5, 200, 300}},
		"without a rate nothing waits":             {math.Inf(1), []float64{0, 0, 7}, []float64{0, 0, 7}},
		"more than the clock can tell is no limit": {1e300, []float64{0, 0, 7}, []float64{0, 0, 7}},
	} {
		start := time.Unix(1, 0)
		now, p := start, pacerOf(tt.rate)
		var got []float64
		for _, ms := range tt.ready {
			if at := start.Add(time.Duration(ms * 1e6)); at.After(now) {
				now = at
			}
			now = now.Add(p.delay(now))
			got = append(got, float64(now.Sub(start))/1e6)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v a second, ready at %v ms: passed at %v ms, want %v", name, tt.rate, tt.ready, got, tt.want)
		}
	}
}

// TestTheSlowestPaceLastsForYears, so that no rate above zero turns into none.
func TestTheSlowestPaceLastsForYears(t *testing.T) {
	p, now := pacerOf(math.SmallestNonzeroFloat64), time.Unix(1, 0)
	if got := p.delay(now); got != 0 {
		t.Errorf("the first event waits for %v, want 0s", got)
	}
	if got := p.delay(now); got < 100*365*24*time.Hour {
		t.Errorf("the second event waits for %v, want a century", got)
	}
}

// TestSeries publishes lines as they come, in virtual time.
func TestSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		s := &series{lines: true, count: 1, rate: 4, sent: func(event) error { return nil }}
		if err := errors.Join(s.check(), s.open(t.Context(), r)); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		start := time.Now()
		var got bytes.Buffer
		go func() {
			done <- s.each(t.Context(), func(e event) error {
				_, err := got.WriteString(time.Since(start).String() + " " + string(e.data) + "\n")
				return err
			})
		}()
		_, _ = io.WriteString(w, "a\nb\nc\n")
		time.Sleep(2 * time.Second)
		_, _ = io.WriteString(w, "d\nlast")
		_ = w.Close()
		want := "0s a\n250ms b\n500ms c\n2s d\n2.25s last\n"
		if err := <-done; err != nil || got.String() != want {
			t.Errorf("published, with error %v:\n%swant:\n%s", err, got.String(), want)
		}
	})
}

// TestALineTooLong is refused, after what came before it.
func TestALineTooLong(t *testing.T) {
	s := &series{lines: true, count: 1, rate: math.Inf(1), sent: func(event) error { return nil }}
	in := strings.NewReader("short\n" + strings.Repeat("x", stdinMax+1))
	if err := s.open(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := s.each(t.Context(), func(e event) error {
		got = append(got, string(e.data))
		return nil
	})
	const want = "event 2: it has more than 67108864 bytes"
	if !slices.Equal(got, []string{"short"}) || err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("published %.20q, with error %v, want short and an error that begins with %q", got, err, want)
	}
}
