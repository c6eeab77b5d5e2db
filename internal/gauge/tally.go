package gauge

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Tally is what one receiver counts. One goroutine at a time adds messages to it, and any number
// the bytes of streams.
type Tally struct {
	count, lost atomic.Uint64
	first, last atomic.Int64 // when messages came, in ns of Unix
	timed       atomic.Bool  // messages begin with the time at which they were sent
	streams     atomic.Int64 // that are being drained

	mu        sync.Mutex // guards what follows
	latencies []time.Duration
}

// Add counts one message; one that is timed has at least [StampMin] bytes. It looks at the
// clock once in 64 messages: that costs half as much as some carriers take for a message.
func (t *Tally) Add(payload []byte) {
	timed := t.timed.Load()
	if t.count.Add(1)&63 != 1 && !timed {
		return
	}
	now := time.Now().UnixNano()
	t.first.CompareAndSwap(0, now)
	t.last.Store(now)
	if timed {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.latencies = append(t.latencies, time.Duration(now-int64(binary.BigEndian.Uint64(payload))))
	}
}

// addBytes counts bytes of a stream, but not while messages are timed, which count alone then.
func (t *Tally) addBytes(n int) {
	if n == 0 || t.timed.Load() {
		return
	}
	now := time.Now().UnixNano()
	t.first.CompareAndSwap(0, now)
	t.last.Store(now)
	t.count.Add(uint64(n))
}

// Lose counts messages of which it is known that they do not come.
func (t *Tally) Lose(messages uint64) { t.lost.Add(messages) }

// reset begins to count anew.
func (t *Tally) reset(timed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.latencies = nil
	t.count.Store(0)
	t.lost.Store(0)
	t.first.Store(0)
	t.last.Store(0)
	t.timed.Store(timed)
}

// Meter measures one process, run by run: what its receivers count, and what it costs. The
// zero value is for a process without receivers.
type Meter struct {
	Tallies []*Tally // one for each receiver

	cpu     time.Duration // at the beginning of the run, as is mallocs
	mallocs uint64
}

// NewMeter returns the meter of a process with so many receivers.
func NewMeter(receivers int) *Meter {
	m := &Meter{}
	for range receivers {
		m.Tallies = append(m.Tallies, &Tally{})
	}
	return m
}

// Begin begins a run, in which messages are timed or not.
func (m *Meter) Begin(timed bool) {
	for _, t := range m.Tallies {
		t.reset(timed)
	}
	m.cpu, m.mallocs = cpuTime(), mallocs()
}

// Report sums up the run so far.
func (m *Meter) Report() Report {
	r := Report{CPU: cpuTime() - m.cpu, Mallocs: mallocs() - m.mallocs}
	for _, t := range m.Tallies {
		t.mu.Lock()
		r.Latencies = append(r.Latencies, t.latencies...)
		t.mu.Unlock()
		r.Count += t.count.Load()
		r.Lost += t.lost.Load()
		r.Streams += t.streams.Load()
		r.Elapsed = max(r.Elapsed, time.Duration(t.last.Load()-t.first.Load()))
	}
	return r
}

// Report is what a process tells about a run.
type Report struct {
	Count     uint64          `json:"count,omitempty"`
	Lost      uint64          `json:"lost,omitempty"`
	Streams   int64           `json:"streams,omitempty"` // that have not ended
	Elapsed   time.Duration   `json:"elapsed,omitempty"` // between the first message and the last
	CPU       time.Duration   `json:"cpu"`
	Mallocs   uint64          `json:"mallocs"`
	Latencies []time.Duration `json:"latencies,omitempty"` // in no order
}

// Add adds what another process tells about the same run.
func (r *Report) Add(other Report) {
	r.Count += other.Count
	r.Lost += other.Lost
	r.Streams += other.Streams
	r.Elapsed = max(r.Elapsed, other.Elapsed)
	r.CPU += other.CPU
	r.Mallocs += other.Mallocs
	r.Latencies = append(r.Latencies, other.Latencies...)
}

// Empty reports whether too little arrived to tell how quickly it did.
func (r *Report) Empty() bool { return r.Count == 0 || r.Elapsed <= 0 }

// Sample is what one run found. CPU, in ns, and Allocs are of all processes, for a delivery.
type Sample struct {
	Rate, CPU, Allocs float64
	Lost              uint64
}

// Sample returns what a run found in which so many messages should have arrived. The report
// is that of all processes, and not empty.
func (r *Report) Sample(expected uint64) Sample {
	got := float64(r.Count)
	return Sample{
		Rate: got / r.Elapsed.Seconds(), CPU: float64(r.CPU) / got, Allocs: float64(r.Mallocs) / got,
		Lost: max(expected, r.Count) - r.Count,
	}
}

// mallocs returns how many objects this process has put on its heap.
func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}
