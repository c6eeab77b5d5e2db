package gauge

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// What scenario D measures with.
const (
	// StreamBlock is what a stream is written and read by, in bytes.
	StreamBlock = 64 << 10

	// StreamsMany is how many streams share the way in one part.
	StreamsMany = 4

	// OpensAtOnce is how many streams are opened at once in another part.
	OpensAtOnce = 16
)

// Opener opens a stream to where its bytes are counted, and returns when the other end has it.
type Opener func() (io.WriteCloser, error)

// Flow writes to so many streams at once as quickly as they take it, and returns how many bytes
// it wrote.
func (l Load) Flow(open Opener, streams int) (sent uint64, err error) {
	sents, errs := make([]uint64, streams), make([]error, streams)
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() {
			w, err := open()
			if err != nil {
				errs[i] = err
				return
			}
			blocks, err := Load{Size: StreamBlock, For: l.For}.Send(func(block []byte) error {
				_, err := w.Write(block)
				return err
			})
			sents[i], errs[i] = blocks*StreamBlock, errors.Join(err, w.Close())
		})
	}
	wg.Wait()
	for _, n := range sents {
		sent += n
	}
	return sent, errors.Join(errs...)
}

// Open opens streams and closes them, so many at once, and returns how many there were.
func (l Load) Open(open Opener, atOnce int) (Report, error) {
	var count atomic.Uint64
	errs := make([]error, atOnce)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range atOnce {
		wg.Go(func() {
			for errs[i] == nil && time.Since(began) < l.For {
				var w io.WriteCloser
				if w, errs[i] = open(); errs[i] == nil {
					errs[i] = w.Close()
					count.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return Report{Count: count.Load(), Elapsed: time.Since(began)}, errors.Join(errs...)
}

// Keep writes to one stream until stop is called, which returns the first error.
func Keep(open Opener) (stop func() error, err error) {
	w, err := open()
	if err != nil {
		return nil, err
	}
	var done atomic.Bool
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() {
		for block := make([]byte, StreamBlock); failed == nil && !done.Load(); {
			_, failed = w.Write(block)
		}
	})
	return func() error {
		done.Store(true)
		wg.Wait()
		return errors.Join(failed, w.Close())
	}, nil
}

// StreamRun is what one run of scenario D found: of bytes over one stream and over several, of
// streams that are opened and closed, and how long messages beside them took, in µs.
type StreamRun struct {
	One, Many, Opens Sample
	Idle, Busy       Wait
}

// Wait is how long messages took, in µs.
type Wait struct {
	P50 float64 `json:"p50_us"`
	P99 float64 `json:"p99_us"`
}

// NewWait sums up how long messages took.
func NewWait(took []time.Duration) Wait { return Wait{Micros(took, 0.5), Micros(took, 0.99)} }

// StreamRow is a line of scenario D: what one carrier does with streams. What it says of
// messages is 0 for one that brings none.
type StreamRow struct {
	Scenario   string  `json:"scenario"`
	Carrier    string  `json:"carrier"`
	Runs       int     `json:"runs"`
	One        float64 `json:"bytes_per_s"`       // the median of all runs, as are the others
	OneOfBare  float64 `json:"of_bare,omitempty"` // this rate divided by that of the bare connection
	Many       float64 `json:"many_bytes_per_s"`  // over [StreamsMany] streams together
	ManyOfBare float64 `json:"many_of_bare,omitempty"`
	CPU        float64 `json:"cpu_ns_per_byte"` // over one stream
	Opens      float64 `json:"opens_per_s"`     // [OpensAtOnce] at once
	OpenCPU    float64 `json:"cpu_ns_per_open"`
	OpenAllocs float64 `json:"allocs_per_open"`
	Idle       Wait    `json:"idle,omitzero"`           // of messages alone
	Busy       Wait    `json:"busy,omitzero"`           // beside a stream that takes what it can
	Slower     float64 `json:"busy_over_idle,omitzero"` // of the 99th percentiles
}

// Sum enters what the runs of a carrier found, and how that compares with those of the bare one
// in the same turns.
func (r *StreamRow) Sum(runs, bare []StreamRun) {
	one := func(r StreamRun) float64 { return r.One.Rate }
	many := func(r StreamRun) float64 { return r.Many.Rate }
	r.Scenario, r.Runs = "D", len(runs)
	r.One, r.OneOfBare = Median(runs, one), Ratio(runs, bare, one)
	r.Many, r.ManyOfBare = Median(runs, many), Ratio(runs, bare, many)
	r.CPU = Median(runs, func(r StreamRun) float64 { return r.One.CPU })
	r.Opens = Median(runs, func(r StreamRun) float64 { return r.Opens.Rate })
	r.OpenCPU = Median(runs, func(r StreamRun) float64 { return r.Opens.CPU })
	r.OpenAllocs = Median(runs, func(r StreamRun) float64 { return r.Opens.Allocs })
	r.Idle.P50 = Median(runs, func(r StreamRun) float64 { return r.Idle.P50 })
	r.Idle.P99 = Median(runs, func(r StreamRun) float64 { return r.Idle.P99 })
	r.Busy.P50 = Median(runs, func(r StreamRun) float64 { return r.Busy.P50 })
	r.Busy.P99 = Median(runs, func(r StreamRun) float64 { return r.Busy.P99 })
	r.Slower = 0
	if r.Idle.P99 > 0 {
		r.Slower = r.Busy.P99 / r.Idle.P99
	}
}

// Cells returns the row for people.
func (r StreamRow) Cells() []Cell {
	return []Cell{
		{"scenario", r.Scenario},
		{"carrier", r.Carrier},
		{"MB/s", fmt.Sprintf("%.0f", r.One/1e6)},
		{"of bare", share(r.OneOfBare)},
		{"CPU ns/KB", fmt.Sprintf("%.0f", r.CPU*1e3)},
		{"4: MB/s", fmt.Sprintf("%.0f", r.Many/1e6)},
		{"of bare", share(r.ManyOfBare)},
		{"k opens/s", fmt.Sprintf("%.1f", r.Opens/1e3)},
		{"CPU µs", fmt.Sprintf("%.1f", r.OpenCPU/1e3)},
		{"event: p50 µs", unlessZero("%.0f", r.Idle.P50)},
		{"p99", unlessZero("%.0f", r.Idle.P99)},
		{"busy: p50", unlessZero("%.0f", r.Busy.P50)},
		{"p99", unlessZero("%.0f", r.Busy.P99)},
		{"is", unlessZero("%.1f x", r.Slower)},
	}
}

// unlessZero writes what was measured, and nothing for what was not.
func unlessZero(format string, f float64) string {
	if f == 0 {
		return ""
	}
	return fmt.Sprintf(format, f)
}
