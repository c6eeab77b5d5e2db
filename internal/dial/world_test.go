package dial_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/ident"
)

// start is when every test begins.
var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// self is the node under test: lower than id(x) for x > 100, higher for x < 100.
var self = id(100)

// id returns an ID that sorts by n.
func id(n int) ident.NodeID { return ident.NodeID{byte(n >> 8), byte(n), 1} }

// addr returns an address that is not on loopback.
func addr(n int) string { return fmt.Sprintf("10.0.%d.%d:27272", n>>8, n&0xff) }

// answer is how the network of a world treats a dial, and after how long.
type answer struct {
	outcome dial.Outcome
	after   time.Duration
}

// refused is what a host says on whose port nobody listens; hole is one that is gone.
var (
	refused = answer{dial.Outcome{Kind: dial.Refused}, 200 * time.Microsecond}
	hole    = answer{dial.Outcome{Kind: dial.TimedOut}, time.Second}
)

// dialed is a dial that a world started, with its time since the beginning.
type dialed struct {
	at time.Duration
	dial.Start
}

// world runs a Scheduler in virtual time against a network that answers.
type world struct {
	t       failer
	s       *dial.Scheduler
	now     time.Time
	answer  func(dial.Start) answer
	pending []pending // sorted by time only as far as next looks
	log     []dialed
}

// failer is what testing and rapid have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// pending is the outcome of a dial that the network has yet to deliver.
type pending struct {
	at      time.Time
	number  uint64
	outcome dial.Outcome
}

func newWorld(t failer, answer func(dial.Start) answer) *world {
	t.Helper()
	return &world{t: t, s: newScheduler(dial.Config{}, 1), now: start, answer: answer}
}

func newScheduler(c dial.Config, seed uint64) *dial.Scheduler {
	c.Self = self
	return dial.New(c, rand.New(rand.NewPCG(seed, 0)))
}

// always answers every dial alike.
func always(a answer) func(dial.Start) answer { return func(dial.Start) answer { return a } }

// run lets d pass and returns the dials that started in it. A dial that is due at the
// very end has started.
func (w *world) run(d time.Duration) []dialed {
	w.t.Helper()
	from, end := len(w.log), w.now.Add(d)
	for range 1_000_000 {
		i := -1 // index of the next pending outcome
		for k, p := range w.pending {
			if i < 0 || p.at.Before(w.pending[i].at) {
				i = k
			}
		}
		at, ok := w.s.Next()
		if i >= 0 && (!ok || !w.pending[i].at.After(at)) {
			if w.pending[i].at.After(end) {
				break
			}
			p := w.pending[i]
			w.pending = append(w.pending[:i], w.pending[i+1:]...)
			w.advance(p.at)
			w.s.Done(w.now, p.number, p.outcome)
			continue
		}
		if !ok || at.After(end) {
			break
		}
		w.advance(at)
		starts := w.s.Tick(w.now)
		if len(starts) == 0 {
			w.t.Fatalf("at %v Next said %v, but Tick started nothing", w.now.Sub(start), at.Sub(start))
		}
		for _, d := range starts {
			w.log = append(w.log, dialed{w.now.Sub(start), d})
			a := w.answer(d)
			w.pending = append(w.pending, pending{w.now.Add(a.after), d.Number, a.outcome})
		}
	}
	w.advance(end)
	return w.log[from:]
}

// advance moves the clock to at, never back.
func (w *world) advance(at time.Time) {
	if at.After(w.now) {
		w.now = at
	}
}

// found adds an address that source named, pinned to id(n) unless n is zero.
func (w *world) found(addr string, source dial.Source, n int) {
	c := dial.Candidate{Addr: addr, Source: source}
	if n != 0 {
		c.ID = id(n)
	}
	w.s.Found(w.now, c)
}

// times returns when addr was dialled; all dials if addr is empty.
func times(log []dialed, addr string) (at []time.Duration) {
	for _, d := range log {
		if addr == "" || d.Addr == addr {
			at = append(at, d.at)
		}
	}
	return at
}

// addrs returns what was dialled, in order.
func addrs(log []dialed) (out []string) {
	for _, d := range log {
		out = append(out, d.Addr)
	}
	return out
}

// most returns the largest number of times that fall into any window of length d.
func most(at []time.Duration, d time.Duration) int {
	n, from := 0, 0
	for i := range at {
		for at[i]-at[from] >= d {
			from++
		}
		n = max(n, i-from+1)
	}
	return n
}

// gaps returns the shortest and the longest time between two neighbours of at.
func gaps(at []time.Duration) (shortest, longest time.Duration) {
	shortest = 1 << 62
	for i := 1; i < len(at); i++ {
		shortest, longest = min(shortest, at[i]-at[i-1]), max(longest, at[i]-at[i-1])
	}
	return shortest, longest
}
