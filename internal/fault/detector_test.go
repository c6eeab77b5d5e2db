package fault_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/fault"
	"github.com/espial-go/espial/internal/ident"
)

// name returns the ID of the node that a letter names; scripts speak of letters.
func name(letter byte) ident.NodeID { return ident.NodeID{letter} }

// incOf returns the incarnation of a node in scripts and simulations.
func incOf(id ident.NodeID) ident.Incarnation { return ident.Incarnation(id[0]) }

// words returns an action as a script writes it.
func words(a fault.Action) string {
	flag := func(on bool, word string) string {
		if on {
			return " " + word
		}
		return ""
	}
	switch a := a.(type) {
	case fault.Probe:
		return fmt.Sprintf("probe %c", a.ID[0])
	case fault.Request:
		return fmt.Sprintf("request %c about %c", a.Helper[0], a.Target[0])
	case fault.Answer:
		return fmt.Sprintf("answer %c #%d%s", a.To[0], a.Number, flag(a.Alive, "alive"))
	case fault.Tell:
		return fmt.Sprintf("tell %c%s", a.ID[0], flag(a.Refused, "refused"))
	case fault.Redial:
		return fmt.Sprintf("redial %c", a.ID[0])
	case fault.Refute:
		return "refute"
	case fault.Suspect:
		return fmt.Sprintf("suspect %c", a.ID[0])
	case fault.Alive:
		return fmt.Sprintf("alive %c", a.ID[0])
	case fault.Dead:
		return fmt.Sprintf("dead %c%s", a.ID[0], flag(a.Silent, "silent"))
	case fault.Passed:
		return fmt.Sprintf("passed %c", a.ID[0])
	default:
		return fmt.Sprintf("%#v", a)
	}
}

// script drives the detector of node s by hand. Times are milliseconds since the start.
type script struct {
	t       *testing.T
	d       *fault.Detector
	start   time.Time
	now     int
	log     []string
	probes  map[byte]uint64 // number of the last probe of each member
	request uint64          // number of the last round
	alive   string          // the helpers that answer no to every request at once
}

// newScript returns a script whose node has links with all peers since 0 ms.
func newScript(t *testing.T, peers string) *script {
	s := &script{
		t:     t,
		d:     fault.New(fault.Config{Self: name('s'), Incarnation: incOf(name('s'))}, rand.New(rand.NewPCG(1, 2))),
		start: time.Unix(1_000_000, 0), probes: map[byte]uint64{},
	}
	for _, p := range []byte(peers) {
		s.d.Add(s.start, name(p), incOf(name(p)))
		s.d.LinkUp(s.start, name(p))
	}
	s.take()
	s.log = nil
	return s
}

func (s *script) at() time.Time { return s.start.Add(time.Duration(s.now) * time.Millisecond) }

func (s *script) take() {
	for _, a := range s.d.Take() {
		switch a := a.(type) {
		case fault.Probe:
			s.probes[a.ID[0]] = a.Number
		case fault.Request:
			s.request = a.Number
			if strings.IndexByte(s.alive, a.Helper[0]) >= 0 {
				s.d.Result(s.at(), a.Helper, a.Number, false)
			}
		}
		s.log = append(s.log, fmt.Sprintf("%d %s", s.now, words(a)))
	}
}

// to runs the clock to ms, with every tick on time. The members named in alive are heard
// every 50 ms and answer no to every request.
func (s *script) to(ms int, alive string) *script {
	s.alive = alive
	return s.mute(ms, alive)
}

// mute is to, but nobody answers requests.
func (s *script) mute(ms int, alive string) *script {
	for ; s.now < ms; s.now++ {
		if s.now%50 == 0 {
			for _, p := range []byte(alive) {
				s.d.Heard(s.at(), name(p), s.at())
			}
		}
		s.tick()
	}
	return s.tick()
}

// tick gives one tick at the present time.
func (s *script) tick() *script {
	s.d.Tick(s.at())
	s.take()
	return s
}

// do calls the detector at the present time.
func (s *script) do(f func(d *fault.Detector, now time.Time)) *script {
	f(s.d, s.at())
	s.take()
	return s
}

// want compares the actions since the last want, without those named in skip (by their
// first word), to a list.
func (s *script) want(skip string, want ...string) *script {
	s.t.Helper()
	got := slices.DeleteFunc(s.log, func(l string) bool {
		return slices.Contains(strings.Fields(skip), strings.Fields(l)[1])
	})
	if !slices.Equal(got, want) {
		s.t.Errorf("until %d ms:\n got %q\nwant %q", s.now, got, want)
	}
	s.log = nil
	return s
}

func refused(who byte) func(*fault.Detector, time.Time) {
	return func(d *fault.Detector, now time.Time) {
		d.LinkDown(now, name(who), true)
		d.Refused(now, name(who))
	}
}

func told(by, of byte, refusal bool) func(*fault.Detector, time.Time) {
	return func(d *fault.Detector, now time.Time) {
		d.Suspected(now, name(by), name(of), incOf(name(of)), refusal)
	}
}

func TestSilence(t *testing.T) {
	t.Run("a member that is heard is left alone but for a measuring probe every 5 s", func(t *testing.T) {
		newScript(t, "ab").to(11_000, "ab").want("", "5000 probe a", "5000 probe b", "10000 probe a", "10000 probe b")
	})
	t.Run("a silent member is suspect at 0.9 SuspectAfter and dead at 0.9 RemoveAfter", func(t *testing.T) {
		newScript(t, "abc").to(5000, "ab").want("probe request",
			"900 suspect c", "900 tell c", "2700 dead c silent")
	})
	t.Run("a probe goes out before half a SuspectAfter and is repeated", func(t *testing.T) {
		s := newScript(t, "abc").to(500, "ab")
		if s.probes['c'] == 0 {
			t.Error("c was silent for 500 ms and got no probe")
		}
		first := s.probes['c']
		if s.to(1000, "ab"); s.probes['c'] == first {
			t.Error("c was silent for 1 s and got one probe only")
		}
	})
	t.Run("helpers are asked from 0.6 SuspectAfter on, every half of it", func(t *testing.T) {
		newScript(t, "ac").to(2700, "a").want("probe suspect tell dead", "600 request a about c",
			"1100 request a about c", "1600 request a about c", "2100 request a about c", "2600 request a about c")
	})
	t.Run("a member that speaks again is alive", func(t *testing.T) {
		newScript(t, "abc").to(1000, "ab").to(3000, "abc").want("probe request",
			"900 suspect c", "900 tell c", "1000 alive c")
	})
	t.Run("a node that hears nobody removes all", func(t *testing.T) {
		newScript(t, "ab").to(4000, "").want("probe request",
			"900 suspect a", "900 tell a", "900 suspect b", "900 tell b", "2700 dead a silent", "2700 dead b silent")
	})
	t.Run("what was heard long ago postpones the end but does not clear", func(t *testing.T) {
		s := newScript(t, "ab").to(2000, "a")
		s.do(func(d *fault.Detector, now time.Time) { d.Heard(now, name('b'), now.Add(-time.Second)) })
		s.to(5000, "a").want("probe request", "900 suspect b", "900 tell b", "3700 dead b silent")
	})
	t.Run("a time in the future counts as now", func(t *testing.T) {
		s := newScript(t, "ab").to(100, "a")
		s.do(func(d *fault.Detector, now time.Time) { d.Heard(now, name('b'), now.Add(time.Hour)) })
		s.to(5000, "a").want("probe request", "1000 suspect b", "1000 tell b", "2800 dead b silent")
	})
}

func TestHelpersDecide(t *testing.T) {
	t.Run("a helper's yes is evidence of the time of the request", func(t *testing.T) {
		s := newScript(t, "abc").to(700, "ab")
		s.do(func(d *fault.Detector, now time.Time) { d.Result(now, name('a'), s.request, true) })
		s.to(1499, "ab").want("probe request")
		s.to(3400, "ab").want("probe request", "1500 suspect c", "1500 tell c", "3300 dead c silent")
	})
	t.Run("a member without a link lives by helpers alone", func(t *testing.T) {
		s := newScript(t, "abc")
		s.do(func(d *fault.Detector, now time.Time) { d.LinkDown(now, name('c'), false) })
		for range 100 {
			s.to(s.now+100, "ab").do(func(d *fault.Detector, now time.Time) { d.Result(now, name('b'), s.request, true) })
		}
		s.want("probe request")
	})
	t.Run("a helper's no is not evidence of death", func(t *testing.T) {
		s := newScript(t, "abc").to(600, "ab")
		s.do(func(d *fault.Detector, now time.Time) { d.Result(now, name('a'), s.request, false) })
		s.to(3000, "ab").want("probe request", "900 suspect c", "900 tell c", "2700 dead c silent")
	})
	t.Run("the word of a node that was not asked counts nothing", func(t *testing.T) {
		s := newScript(t, "abc").to(600, "ab")
		s.do(func(d *fault.Detector, now time.Time) { d.Result(now, name('x'), s.request, true) })
		s.do(func(d *fault.Detector, now time.Time) { d.Result(now, name('a'), s.request+1, true) })
		s.to(900, "ab").want("probe request", "900 suspect c", "900 tell c")
	})
	t.Run("the next round asks others", func(t *testing.T) {
		s := newScript(t, "abcdefx").to(1100, "abcdef")
		seen := map[string]int{}
		for _, l := range s.log {
			if f := strings.Fields(l); f[1] == "request" {
				seen[f[2]]++
			}
		}
		if len(seen) != 6 {
			t.Errorf("two rounds with six helpers at hand asked %v, want each once", seen)
		}
	})
	t.Run("helpers that were not heard lately come last", func(t *testing.T) {
		s := newScript(t, "abcdefghijklx").to(600, "abc")
		for _, l := range s.log {
			if f := strings.Fields(l); f[1] == "request" && f[4] == "x" && !strings.Contains("abc", f[2]) {
				t.Errorf("with a, b and c heard lately: %s", l)
			}
		}
	})
}

// mesh returns a detector that has links with n members.
func mesh(n int) (*fault.Detector, time.Time) {
	now := time.Unix(1_000_000, 0)
	d := fault.New(fault.Config{Self: name(255), Incarnation: 1}, rand.New(rand.NewPCG(1, 2)))
	for i := range n {
		d.Add(now, name(byte(i+1)), 1)
		d.LinkUp(now, name(byte(i+1)))
	}
	d.Take()
	return d, now
}
