package gauge_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/gauge"
)

// TestSink counts every byte of every stream, in the time in which they came, and tells how many
// streams have not ended.
func TestSink(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	m := gauge.NewMeter(1)
	m.Begin(false)
	addr, err := gauge.Sink(ctx, &g, m.Tallies[0])
	if err != nil {
		t.Fatal(err)
	}
	open, err := gauge.DialSink(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	sent, err := gauge.Load{For: time.Millisecond}.Flow(open, 3)
	if err != nil || sent < 3*64*gauge.StreamBlock || sent%gauge.StreamBlock != 0 {
		t.Errorf("Flow over 3 streams = %d, %v; want 64 blocks each at least", sent, err)
	}
	opened, err := gauge.Load{For: time.Millisecond}.Open(open, 2)
	if err != nil || opened.Count < 2 || opened.Elapsed < time.Millisecond {
		t.Errorf("Open = %+v, %v; want 2 streams at least, and the time", opened, err)
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Errorf("the other end: %v", err)
	}
	if r := m.Report(); r.Count != sent || r.Streams != 0 || r.Elapsed <= 0 {
		t.Errorf("the other end counted %+v, want %d bytes, and no stream that has not ended", r, sent)
	}
}

// TestDrain counts nothing while messages are timed, and closes what it drained.
func TestDrain(t *testing.T) {
	for name, tt := range map[string]struct {
		timed bool
		want  uint64
	}{
		"bytes count":                    {false, 5},
		"not while messages are counted": {true, 0},
	} {
		m := gauge.NewMeter(1)
		m.Begin(tt.timed)
		var c closer
		c.Reader = strings.NewReader("bytes")
		err := gauge.Drain(&c, m.Tallies[0])
		if r := m.Report(); err != nil || r.Count != tt.want || !c.closed {
			t.Errorf("%s: Drain = %v, closed %v, counted %d, want %d", name, err, c.closed, r.Count, tt.want)
		}
	}
	broken := errors.New("broken")
	m := gauge.NewMeter(1)
	r, w := io.Pipe()
	w.CloseWithError(broken)
	if err := gauge.Drain(r, m.Tallies[0]); !errors.Is(err, broken) || m.Report().Streams != 0 {
		t.Errorf("Drain of a broken stream = %v, want %v, and %+v without a stream", err, broken, m.Report())
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error {
	c.closed = true
	return nil
}

// TestKeep writes until it is told to stop, and says what went wrong.
func TestKeep(t *testing.T) {
	broken := errors.New("broken")
	for name, want := range map[string]error{"it was stopped": nil, "it broke": broken} {
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe()
			var g errgroup.Group
			stop, err := gauge.Keep(func() (io.WriteCloser, error) { return w, nil })
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, r, 2*gauge.StreamBlock); err != nil {
				t.Error(err)
			}
			if want != nil {
				r.CloseWithError(want)
				synctest.Wait() // until the next block failed
			}
			g.Go(func() error {
				_, err := io.Copy(io.Discard, r)
				return err
			})
			if err := stop(); !errors.Is(err, want) {
				t.Errorf("%s: stop = %v, want %v", name, err, want)
			}
			g.Wait()
		})
	}
	if _, err := gauge.Keep(func() (io.WriteCloser, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("Keep = %v where nothing can be opened, want %v", err, broken)
	}
}

// TestCall makes calls one after the other for each caller, until one fails.
func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		all := []gauge.Caller{
			func([]byte) error { time.Sleep(2 * time.Millisecond); return nil },
			func([]byte) error { time.Sleep(5 * time.Millisecond); return nil },
		}
		r, err := gauge.Load{For: 10 * time.Millisecond}.Call(all)
		run := r.CallRun()
		if err != nil || r.Count != 7 || r.Elapsed != 10*time.Millisecond || run.P50 != 2000 || run.P99 != 5000 {
			t.Errorf("Call = %+v, %v; want 7 in 10 ms, of which half took 2 ms and the longest 5", r, err)
		}
		broken := errors.New("broken")
		_, err = gauge.Load{For: time.Second}.Call([]gauge.Caller{func([]byte) error { calls++; return broken }})
		if !errors.Is(err, broken) || calls != 1 {
			t.Errorf("Call = %v after %d calls, want %v after one", err, calls, broken)
		}
	})
}

// TestRows: every figure is the median of the runs, every ratio that of the turns, since the
// machine may be twice as quick in the next one.
func TestRows(t *testing.T) {
	call := func(rate, p50 float64) gauge.CallRun {
		return gauge.CallRun{Sample: gauge.Sample{Rate: rate}, P50: p50}
	}
	calls := []gauge.CallRun{call(8, 10), call(16, 5), call(5, 20)}
	c := gauge.CallRow{Carrier: "link", Callers: 64}
	c.Sum(calls, []gauge.CallRun{call(4, 5), call(8, 2.5), call(5, 20)})
	if c.Rate != 8 || c.OfBare != 2 || c.P50 != 10 || c.P50OfBare != 2 || c.Runs != 3 {
		t.Errorf("%v: %+v, want 8, twice the other's, and 10, twice the other's", calls, c)
	}
	flow := func(rate float64) gauge.StreamRun {
		return gauge.StreamRun{
			One: gauge.Sample{Rate: rate, CPU: 0.5}, Many: gauge.Sample{Rate: 3 * rate}, Opens: gauge.Sample{Rate: 20e3},
			Idle: gauge.Wait{P50: 40, P99: 100}, Busy: gauge.Wait{P50: 50, P99: 250},
		}
	}
	d := gauge.StreamRow{Carrier: "link"}
	d.Sum([]gauge.StreamRun{flow(1e9), flow(2e9)}, []gauge.StreamRun{flow(2e9), flow(4e9)})
	if d.One != 1e9 || d.OneOfBare != 0.5 || d.ManyOfBare != 0.5 || d.Slower != 2.5 {
		t.Errorf("%+v, want 1e9, half of the other's, and 2.5 times as slow beside a stream", d)
	}
	var out bytes.Buffer
	if err := gauge.Print(&out, []gauge.StreamRow{d}, false, gauge.StreamRow.Cells); err != nil {
		t.Fatal(err)
	}
	want := strings.Fields("D link 1000 0.50 500 3000 0.50 20.0 0.0 40 100 50 250 2.5 x")
	got := strings.Fields(strings.SplitAfter(out.String(), "\n")[1])
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the row is %q, want %q", got, want)
	}
	if got := gauge.Ratio(calls, nil, func(r gauge.CallRun) float64 { return r.Rate }); got != 0 {
		t.Errorf("Ratio without another = %v, want 0", got)
	}
}
