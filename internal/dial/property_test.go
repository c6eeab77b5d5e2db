package dial_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/ident"
)

// watch is what an onlooker knows of a Scheduler: the inputs it was given and the dials
// it started.
type watch struct {
	s       *dial.Scheduler
	c       dial.Config
	now     time.Time
	linked  map[ident.NodeID]bool
	flights map[uint64]dial.Start
	last    map[string][]time.Time // starts by address
	paid    []time.Time            // starts that count against the rate
	trace   []string
}

func newWatch(c dial.Config, seed uint64) *watch {
	return &watch{
		s: newScheduler(c, seed), c: c, now: start,
		linked: map[ident.NodeID]bool{}, flights: map[uint64]dial.Start{}, last: map[string][]time.Time{},
	}
}

// place draws one of few addresses, some on loopback, so that they collide.
func place(t *rapid.T) string {
	n := rapid.IntRange(0, 29).Draw(t, "addr")
	if n > 24 {
		return fmt.Sprintf("127.0.0.1:%d", n)
	}
	return addr(n)
}

// node draws one of few IDs.
func node(t *rapid.T) ident.NodeID { return id(rapid.IntRange(95, 106).Draw(t, "id")) }

func (w *watch) input(t *rapid.T) {
	switch rapid.IntRange(0, 9).Draw(t, "input") {
	case 0, 1, 2:
		c := dial.Candidate{
			Addr:   place(t),
			Source: dial.Source(rapid.IntRange(0, 6).Draw(t, "source")),
		}
		if rapid.Bool().Draw(t, "pinned") {
			c.ID = node(t)
		}
		w.s.Found(w.now, c)
	case 3:
		n := node(t)
		w.linked[n] = true
		w.s.Linked(w.now, n, place(t), rapid.Bool().Draw(t, "dialed"))
	case 4:
		n := node(t)
		delete(w.linked, n)
		w.s.Unlinked(w.now, n, rapid.SliceOfN(rapid.Custom(place), 0, 4).Draw(t, "addrs"))
	case 5:
		w.s.Remember(w.now, node(t), rapid.SliceOfN(rapid.Custom(place), 0, 4).Draw(t, "addrs"))
	case 6:
		w.s.Want(w.now, node(t))
	case 7:
		n := node(t)
		delete(w.linked, n)
		w.s.Forget(w.now, n)
	case 8:
		w.s.Rejected(w.now, node(t))
	default:
		w.end(t)
	}
}

// end ends one of the dials in flight.
func (w *watch) end(t *rapid.T) {
	if len(w.flights) == 0 {
		return
	}
	numbers := make([]uint64, 0, len(w.flights))
	for n := range w.flights {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	n := rapid.SampledFrom(numbers).Draw(t, "number")
	o := dial.Outcome{Kind: dial.Kind(rapid.IntRange(0, 10).Draw(t, "kind"))}
	if rapid.Bool().Draw(t, "answered") {
		o.ID = node(t)
	}
	delete(w.flights, n)
	w.s.Done(w.now, n, o)
}

// wait lets time pass: to what Next says, to just before it, or further.
func (w *watch) wait(t *rapid.T) {
	at, ok := w.s.Next()
	early := ok && at.After(w.now)
	if early && rapid.Bool().Draw(t, "early") {
		if got := w.s.Tick(at.Add(-1)); len(got) != 0 {
			t.Fatalf("Tick a nanosecond before Next (%v) started %+v", at.Sub(start), got)
		}
	}
	if early {
		w.now = at
	} else {
		w.now = w.now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
	}
	got := w.s.Tick(w.now)
	if ok && len(got) == 0 {
		t.Fatalf("Next said %v, Tick at %v started nothing", at.Sub(start), w.now.Sub(start))
	}
	if !ok && len(got) != 0 {
		t.Fatalf("Next said never, Tick at %v started %+v", w.now.Sub(start), got)
	}
	for _, d := range got {
		w.check(t, d)
	}
	if again := w.s.Tick(w.now); len(again) != 0 {
		t.Fatalf("a second Tick at %v started %+v", w.now.Sub(start), again)
	}
	if at, ok := w.s.Next(); ok && !at.After(w.now) {
		t.Fatalf("Next after Tick at %v says %v", w.now.Sub(start), at.Sub(start))
	}
}

// check holds one dial against the promises of the package.
func (w *watch) check(t *rapid.T, d dial.Start) {
	for _, f := range w.flights {
		if f.Addr == d.Addr || f.ID == d.ID && !d.ID.IsZero() {
			t.Fatalf("%+v started while %+v is in flight", d, f)
		}
	}
	w.flights[d.Number] = d
	if len(w.flights) > w.c.AtOnceMax {
		t.Fatalf("%d dials in flight, limit %d", len(w.flights), w.c.AtOnceMax)
	}
	if w.linked[d.ID] {
		t.Fatalf("%+v started, but its node is linked", d)
	}
	at := append(w.last[d.Addr], w.now)
	w.last[d.Addr] = at
	if n := len(at); n > 2 && at[n-1].Sub(at[n-3]) < dial.Spacing {
		t.Fatalf("%s was dialled three times within %v", d.Addr, dial.Spacing)
	}
	if d.Addr[:4] != "127." {
		w.paid = append(w.paid, w.now)
		if n := len(w.paid); n > w.c.RateMax && w.paid[n-1].Sub(w.paid[n-1-w.c.RateMax]) < time.Second {
			t.Fatalf("more than %d dials started in the second before %v", w.c.RateMax, w.now.Sub(start))
		}
	}
	w.trace = append(w.trace, fmt.Sprintf("%v %+v", w.now.Sub(start), d))
}

// TestPromises draws inputs and holds every dial against what the package promises.
func TestPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWatch(dial.Config{
			RateMax:   rapid.IntRange(1, 12).Draw(t, "rate"),
			AtOnceMax: rapid.IntRange(1, 6).Draw(t, "at once"),
		}, 1)
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "wait") {
				w.wait(t)
			} else {
				w.input(t)
			}
		}
		if st := w.s.Stats(); st.Dialing != len(w.flights) || st.Started != uint64(len(w.trace)) {
			t.Fatalf("stats %+v, want %d dialing and %d started", st, len(w.flights), len(w.trace))
		}
	})
}

// TestLostNodeIsAlwaysTried: whatever happened before, a remembered node that is neither
// linked nor resting is dialled within a second, if all dials end within it.
func TestLostNodeIsAlwaysTried(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWatch(dial.Config{RateMax: 10, AtOnceMax: 16}, 1)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.input(t)
			if rapid.Bool().Draw(t, "wait") {
				w.wait(t)
			}
		}
		lost := id(500)
		w.s.Remember(w.now, lost, []string{addr(500)})
		tb := &world{t: t, s: w.s, now: w.now, answer: always(refused)}
		for n := range w.flights {
			tb.pending = append(tb.pending, pending{w.now.Add(time.Second), n, refused.outcome})
		}
		tb.run(time.Minute)
		var duties []time.Duration
		for _, d := range tb.log {
			if d.Source == dial.Seed || d.Source == dial.Remembered {
				duties = append(duties, d.at)
			}
		}
		if _, longest := gaps(duties); len(duties) == 0 || longest > time.Second {
			t.Fatalf("no seed or lost node was dialled for %v: %v", longest, duties)
		}
	})
}

// TestReplay: the same inputs and the same seed give the same dials.
func TestReplay(t *testing.T) {
	run := func(seed uint64) []dialed {
		w := &world{t: t, s: newScheduler(dial.Config{}, seed), now: start, answer: always(hole)}
		for n := range 40 {
			w.found(addr(n), dial.Source(1+n%5), 101+n)
			w.s.Remember(w.now, id(200+n), []string{addr(200 + n), addr(300 + n)})
			w.run(100 * time.Millisecond)
		}
		w.run(time.Minute)
		return w.log
	}
	a, b, c := run(1), run(1), run(2)
	if !slices.Equal(a, b) {
		t.Errorf("two runs with one seed differ:\n%v\n%v", a, b)
	}
	if slices.Equal(a, c) {
		t.Error("two seeds give the same dials: no jitter")
	}
}

// TestNextAllocatesNothing: the owner asks after every input.
func TestNextAllocatesNothing(t *testing.T) {
	w := newWorld(t, always(hole))
	for n := range 200 {
		w.found(addr(n), dial.Multicast, 200+n)
	}
	w.run(time.Second)
	if n := testing.AllocsPerRun(100, func() {
		w.s.Want(w.now, id(200))
		w.s.Next()
	}); n != 0 {
		t.Errorf("Want and Next allocate %v times, want 0", n)
	}
}

func BenchmarkTick(b *testing.B) {
	w := newWorld(b, always(hole))
	for n := range 1024 {
		w.found(addr(n), dial.Source(1+n%5), 200+n)
	}
	w.run(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		w.s.Want(w.now, id(9999)) // makes Next compute again
		w.s.Next()
		w.s.Tick(w.now)
	}
}
