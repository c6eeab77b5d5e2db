package dial_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/dial"
)

// TestSixteenAtOnce: whatever the rate, so many dials are under way and no more.
func TestSixteenAtOnce(t *testing.T) {
	w := newWorld(t, always(answer{dial.Outcome{Kind: dial.TimedOut}, 10 * time.Second}))
	w.s = newScheduler(dial.Config{RateMax: 10_000}, 1)
	for n := range 100 {
		w.found(addr(n), dial.Seed, 0)
	}
	if got := len(w.run(9 * time.Second)); got != 16 {
		t.Errorf("%d dials before the first one ended, want 16", got)
	}
}

func TestLimits(t *testing.T) {
	s := newScheduler(dial.Config{RateMax: 10_000, AtOnceMax: 10_000}, 1)
	for n := range 300 {
		s.Found(start, dial.Candidate{Addr: addr(n), Source: dial.Seed})
	}
	for n := range 300 {
		now := start.Add(time.Duration(n) * time.Millisecond)
		for _, source := range []dial.Source{dial.Multicast, dial.Peer, dial.Inbound} {
			s.Found(now, dial.Candidate{Addr: addr(n + 2000*int(source)), Source: source, ID: id(n + 1)})
		}
		s.Remember(now, id(n+5000), []string{addr(n + 20000)})
		if c := s.Stats().Candidates; c > 1024 {
			t.Fatalf("%d candidates after %d of each source, want at most 1024", c, n+1)
		}
	}
	// All 256 seeds are there still.
	w := &world{t: t, s: s, now: start.Add(time.Hour), answer: always(hole)}
	seeds := map[string]bool{}
	for _, d := range w.run(time.Second) {
		if d.Source == dial.Seed {
			seeds[d.Addr] = true
		}
	}
	if len(seeds) != 256 {
		t.Errorf("%d seeds left, want 256", len(seeds))
	}
	if st := s.Stats(); st.Ignored != 300-256 || st.Evicted == 0 {
		t.Errorf("stats %+v, want %d ignored and some evicted", st, 300-256)
	}
}

// TestShareOfASource: beacons alone fill a quarter of the table, and the newest stay.
func TestShareOfASource(t *testing.T) {
	w := newWorld(t, always(hole))
	w.found(addr(0), dial.Peer, 200)
	for n := range 1000 {
		w.now = w.now.Add(time.Millisecond)
		w.found(addr(1+n), dial.Multicast, 200+n)
	}
	if n := w.s.Stats().Candidates; n != 1+256 {
		t.Errorf("%d candidates, want one of a peer and 256 of beacons", n)
	}
	w.run(time.Minute)
	for _, a := range []string{addr(0), addr(1000), addr(1000 - 255)} {
		if len(times(w.log, a)) == 0 {
			t.Errorf("%s was dropped, want the oldest beacons dropped", a)
		}
	}
	if at := times(w.log, addr(1000-256)); len(at) != 0 {
		t.Errorf("%s was kept, although 256 newer ones are known", addr(1000-256))
	}
}
