package fault_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/fault"
)

func asked(by, about byte, number uint64) func(*fault.Detector, time.Time) {
	return func(d *fault.Detector, now time.Time) {
		d.Asked(now, name(by), fault.Ask{Number: number, Target: name(about), Incarnation: incOf(name(about))})
	}
}

func TestAsked(t *testing.T) {
	t.Run("a request makes a probe, and the target's next frame the answer", func(t *testing.T) {
		s := newScript(t, "ab").to(100, "ab").do(asked('a', 'b', 7)).want("", "100 probe b")
		s.do(func(d *fault.Detector, now time.Time) { d.Heard(now, name('b'), now.Add(-time.Millisecond)) })
		s.want("") // read before the request came
		s.to(110, "").do(func(d *fault.Detector, now time.Time) { d.Heard(now, name('b'), now) })
		s.want("", "110 answer a #7 alive")
		s.to(900, "ab").want("")
	})
	t.Run("a target that stays silent is answered no after two fifths of SuspectAfter", func(t *testing.T) {
		newScript(t, "ab").to(99, "ab").do(asked('a', 'b', 7)).to(1000, "a").want("probe request suspect tell",
			"499 answer a #7")
	})
	t.Run("no link, another incarnation and a stranger are answered no at once", func(t *testing.T) {
		s := newScript(t, "ab").to(10, "ab")
		s.do(func(d *fault.Detector, now time.Time) { d.LinkDown(now, name('b'), true) })
		s.do(asked('a', 'b', 1)).do(asked('a', 'x', 2)).do(asked('x', 'a', 3))
		s.do(func(d *fault.Detector, now time.Time) {
			d.Asked(now, name('a'), fault.Ask{Number: 4, Target: name('a'), Incarnation: 99})
		})
		s.want("", "10 answer a #1", "10 answer a #2", "10 answer x #3", "10 answer a #4")
	})
	t.Run("a request about this node itself is answered by its incarnation", func(t *testing.T) {
		s := newScript(t, "a").do(asked('a', 's', 1)).do(func(d *fault.Detector, now time.Time) {
			d.Asked(now, name('a'), fault.Ask{Number: 2, Target: name('s'), Incarnation: 99})
		})
		s.want("", "0 answer a #1 alive", "0 answer a #2")
	})
	t.Run("a link that closes, a member that is removed: whoever waits is answered no", func(t *testing.T) {
		s := newScript(t, "abc").to(60, "abc").do(asked('a', 'b', 1)).do(asked('c', 'b', 2))
		s.do(func(d *fault.Detector, now time.Time) { d.LinkDown(now, name('b'), true) })
		s.want("probe", "60 answer a #1", "60 answer c #2")
		s.do(asked('b', 'a', 3)).do(func(d *fault.Detector, _ time.Time) { d.Remove(name('a')) })
		s.want("probe", "60 answer b #3")
	})
	t.Run("a member that asks all the time has one request open and causes few probes", func(t *testing.T) {
		s := newScript(t, "ab").to(60, "ab").want("")
		s.do(asked('a', 'b', 1)).do(asked('a', 'b', 2)).want("", "60 probe b", "60 answer a #1")
		for n := range 10_000 {
			s.do(asked('a', 'b', uint64(n)))
		}
		s.want("answer")
		s.to(101, "ab")
		s.want("", "70 probe b", "100 answer a #9999 alive")
	})
}

func TestRoundTrip(t *testing.T) {
	s := newScript(t, "a")
	if rtt, ok := s.d.RTT(name('a')); ok {
		t.Errorf("RTT before any ack = %v, want none", rtt)
	}
	s.now = 8
	number := uint64(1) // of the probe that LinkUp sent
	if rtt, ok := s.d.Acked(s.at(), name('a'), number+1); ok {
		t.Errorf("Acked of a number that was never sent = %v, want none", rtt)
	}
	if rtt, ok := s.d.Acked(s.at(), name('a'), number); !ok || rtt != 8*time.Millisecond {
		t.Errorf("Acked 8 ms after the probe = %v, %v", rtt, ok)
	}
	if _, ok := s.d.Acked(s.at(), name('a'), number); ok {
		t.Error("Acked took the same number twice")
	}
	s.to(420, "a").to(1100, "")
	s.do(func(d *fault.Detector, now time.Time) { d.Heard(now, name('a'), now) })
	s.do(func(d *fault.Detector, now time.Time) { d.Acked(now, name('a'), s.probes['a']) })
	if rtt, ok := s.d.RTT(name('a')); !ok || rtt <= 8*time.Millisecond || rtt > 100*time.Millisecond {
		t.Errorf("RTT after a slow ack = %v, %v, want one eighth of the way to it", rtt, ok)
	}
}

func TestHeardAllocatesNothing(t *testing.T) {
	s := newScript(t, "abcdefghijkl")
	now := s.at()
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(time.Millisecond)
		s.d.Heard(now, name('g'), now)
	}); n != 0 {
		t.Errorf("Heard allocates %v times, want 0", n)
	}
}

func BenchmarkHeard(b *testing.B) {
	d, now := mesh(64)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Microsecond)
		d.Heard(now, name(40), now)
	}
}
