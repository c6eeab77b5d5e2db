package fault_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/fault"
)

func TestRefused(t *testing.T) {
	t.Run("a closed link alone is a hint and no more", func(t *testing.T) {
		s := newScript(t, "abc").to(100, "abc")
		s.do(func(d *fault.Detector, now time.Time) { d.LinkDown(now, name('c'), true) })
		s.to(899, "ab").want("request")
		s.to(3000, "ab").want("request probe", "950 suspect c", "950 tell c", "2750 dead c")
	})
	t.Run("a refused redial makes suspect at once, a second observer dead", func(t *testing.T) {
		s := newScript(t, "abc").to(100, "abc").do(refused('c'))
		s.want("", "100 suspect c", "100 tell c refused", "100 request a about c", "100 request b about c")
		s.do(told('a', 'c', true)).want("", "100 dead c")
	})
	t.Run("the second observer may come first", func(t *testing.T) {
		s := newScript(t, "abc").to(100, "abc").do(told('a', 'c', true)).want("", "100 probe c")
		s.do(refused('c')).want("", "100 suspect c", "100 tell c refused", "100 dead c")
	})
	t.Run("the only observer decides alone", func(t *testing.T) {
		newScript(t, "a").to(100, "a").do(refused('a')).
			want("", "100 suspect a", "100 tell a refused", "100 dead a")
	})
	t.Run("two of three that die together leave one observer", func(t *testing.T) {
		newScript(t, "ab").to(100, "ab").do(refused('a')).do(refused('b')).want("request",
			"100 suspect a", "100 tell a refused", "100 suspect b", "100 tell b refused", "100 dead a", "100 dead b")
	})
	t.Run("others who look and do not agree leave it to silence", func(t *testing.T) {
		s := newScript(t, "abc").to(100, "abc").do(refused('c'))
		s.to(3000, "ab").want("request", "100 suspect c", "100 tell c refused", "2750 dead c")
	})
	t.Run("a helper's yes that is newer than the refusal clears it", func(t *testing.T) {
		s := newScript(t, "abc").to(100, "abc").do(refused('c')).to(700, "ab")
		s.do(func(d *fault.Detector, now time.Time) { d.Result(now, name('b'), s.request, true) })
		s.do(told('a', 'c', true))
		s.want("request", "100 suspect c", "100 tell c refused", "700 alive c", "700 redial c")
	})
	t.Run("what was heard before the refusal does not speak against it", func(t *testing.T) {
		s := newScript(t, "abc").to(120, "abc").do(refused('c'))
		s.do(func(d *fault.Detector, now time.Time) { d.Heard(now, name('c'), now.Add(-10*time.Millisecond)) })
		s.do(told('b', 'c', true))
		s.want("request", "120 suspect c", "120 tell c refused", "120 dead c")
	})
	t.Run("what was heard before another's refusal does not speak against that either", func(t *testing.T) {
		s := newScript(t, "abc").to(120, "abc").do(told('a', 'c', true))
		s.do(func(d *fault.Detector, now time.Time) { d.Heard(now, name('c'), now.Add(-10*time.Millisecond)) })
		s.do(refused('c')).want("probe", "120 suspect c", "120 tell c refused", "120 dead c")
	})
	t.Run("what was heard after another's refusal does", func(t *testing.T) {
		s := newScript(t, "abc").to(120, "abc").do(told('a', 'c', true)).to(160, "abc")
		s.do(refused('c')).want("probe request", "160 suspect c", "160 tell c refused")
	})
	t.Run("a refusal while a link is up is stale", func(t *testing.T) {
		s := newScript(t, "ab").to(100, "ab")
		s.do(func(d *fault.Detector, now time.Time) { d.Refused(now, name('a')) }).want("")
	})
	t.Run("a new link clears everything", func(t *testing.T) {
		s := newScript(t, "abc").to(100, "abc").do(refused('c')).to(150, "ab")
		s.do(func(d *fault.Detector, now time.Time) { d.LinkUp(now, name('c')) })
		s.do(told('a', 'c', true)).to(3000, "abc").want("request probe",
			"100 suspect c", "100 tell c refused", "150 alive c")
	})
}

func TestWordsOfOthers(t *testing.T) {
	t.Run("a liar every second changes nothing", func(t *testing.T) {
		s := newScript(t, "abc")
		for range 60 {
			s.to(s.now+1000, "abc").do(told('a', 'c', true)).do(told('a', 'c', false))
		}
		s.want("probe")
	})
	t.Run("an observer without a link redials, seldom", func(t *testing.T) {
		s := newScript(t, "abc").to(100, "abc")
		s.do(func(d *fault.Detector, now time.Time) { d.LinkDown(now, name('c'), true) })
		for range 100 {
			s.do(told('a', 'c', true))
		}
		s.want("", "100 redial c")
	})
	t.Run("an observer without a link asks helpers about a plain suspicion, seldom", func(t *testing.T) {
		s := newScript(t, "ac").to(100, "ac")
		s.do(func(d *fault.Detector, now time.Time) { d.LinkDown(now, name('c'), false) })
		for range 100 {
			s.do(told('a', 'c', false))
		}
		s.want("", "100 request a about c")
	})
	t.Run("another incarnation, a stranger's word and a self-accusation count nothing", func(t *testing.T) {
		s := newScript(t, "abc").to(100, "abc")
		s.do(func(d *fault.Detector, now time.Time) { d.Suspected(now, name('a'), name('c'), 1, true) })
		s.do(told('x', 'c', true)).do(told('c', 'c', true)).do(told('a', 'x', true)).want("")
		s.do(refused('c')).want("request", "100 suspect c", "100 tell c refused")
	})
	t.Run("who hears itself suspected refutes, not more than twice a SuspectAfter", func(t *testing.T) {
		s := newScript(t, "ab").to(10, "ab")
		s.do(func(d *fault.Detector, now time.Time) { d.Suspected(now, name('a'), name('s'), 99, false) })
		for range 100 {
			s.do(told('a', 's', false)).do(told('b', 's', true))
		}
		s.want("probe", "10 refute").to(510, "ab").do(told('a', 's', false)).want("probe", "510 refute")
		if got := s.d.Score(); got != 1 {
			t.Errorf("score after suspicions within one SuspectAfter = %d, want 1", got)
		}
	})
	t.Run("a newer record is a sign of life", func(t *testing.T) {
		s := newScript(t, "abc").to(1000, "ab")
		s.do(func(d *fault.Detector, now time.Time) { d.Refuted(now, name('c')) })
		s.to(1500, "ab").want("probe request", "900 suspect c", "900 tell c", "1000 alive c")
	})
}

func TestHealth(t *testing.T) {
	t.Run("a tick that comes late accuses nobody and starts every silence again", func(t *testing.T) {
		s := newScript(t, "ab").to(300, "ab")
		s.now = 5300
		s.tick().want("probe request")
		if s.d.Score() != 1 {
			t.Errorf("score = %d after a pause, want 1", s.d.Score())
		}
		// Cut off since: the score does not delay it.
		s.to(9000, "").want("probe request",
			"6200 suspect a", "6200 tell a", "6200 suspect b", "6200 tell b", "8000 dead a silent", "8000 dead b silent")
	})
	t.Run("a tick that is a little late accuses as usual", func(t *testing.T) {
		s := newScript(t, "ab").to(899, "a").want("probe request")
		s.now = 1100
		s.tick().want("probe request", "1100 suspect b", "1100 tell b")
	})
	t.Run("the score multiplies the time-outs while others are heard", func(t *testing.T) {
		s := newScript(t, "ab").to(10, "ab").do(told('a', 's', false))
		s.to(6000, "a").want("probe request refute",
			"1800 suspect b", "1800 tell b", "5400 dead b silent")
	})
	t.Run("answered probes lower the score, one step for each round", func(t *testing.T) {
		s := newScript(t, "ab").to(10, "ab").do(told('a', 's', false))
		s.do(func(d *fault.Detector, now time.Time) { d.LinkUp(now, name('a')); d.LinkUp(now, name('b')) })
		s.now += 5000
		s.tick().do(func(d *fault.Detector, now time.Time) { d.LinkUp(now, name('a')); d.LinkUp(now, name('b')) })
		if s.d.Score() != 2 {
			t.Fatalf("score = %d after a suspicion and a pause, want 2", s.d.Score())
		}
		s.do(func(d *fault.Detector, now time.Time) {
			d.Acked(now, name('a'), s.probes['a'])
			d.Acked(now, name('b'), s.probes['b'])
		})
		if s.d.Score() != 1 {
			t.Errorf("score = %d after a round of answered probes, want 1", s.d.Score())
		}
	})
	t.Run("helpers that are heard and do not answer raise it", func(t *testing.T) {
		s := newScript(t, "abc").mute(1700, "ab")
		if s.d.Score() != 1 {
			t.Errorf("score = %d after rounds without an answer, want 1", s.d.Score())
		}
	})
	t.Run("a round that the member itself answered is not held against anybody", func(t *testing.T) {
		s := newScript(t, "abc").mute(700, "ab")
		s.do(func(d *fault.Detector, now time.Time) { d.Heard(now, name('c'), now) }).to(2000, "ab")
		if s.d.Score() != 0 {
			t.Errorf("score = %d, want 0", s.d.Score())
		}
	})
	t.Run("helpers that are silent too do not", func(t *testing.T) {
		s := newScript(t, "abc").to(2600, "")
		if s.d.Score() != 0 {
			t.Errorf("score = %d when cut off, want 0", s.d.Score())
		}
	})
}

func TestAddAndRemove(t *testing.T) {
	s := newScript(t, "ab").to(100, "ab")
	s.do(func(d *fault.Detector, now time.Time) { d.Add(now, name('b'), incOf(name('b'))) }).to(899, "a")
	s.want("probe request")
	s.do(func(d *fault.Detector, now time.Time) { d.Add(now, name('b'), 99) })
	s.to(1700, "a").want("probe request")
	s.to(1799, "a").want("probe request", "1799 suspect b", "1799 tell b")
	s.do(func(d *fault.Detector, now time.Time) {
		d.Remove(name('a'))
		d.Remove(name('b'))
		d.Remove(name('b'))
		d.Add(now, name('s'), 1)
	})
	if at, ok := s.d.Next(); ok {
		t.Errorf("Next = %v when nobody is watched, want none", at)
	}
	s.do(func(d *fault.Detector, now time.Time) {
		d.Heard(now, name('a'), now)
		d.LinkUp(now, name('a'))
		d.LinkDown(now, name('a'), true)
		d.Refused(now, name('a'))
		d.Refuted(now, name('a'))
		d.Acked(now, name('a'), 1)
		d.Tick(now)
	}).want("")
}
