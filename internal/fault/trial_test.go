package fault_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/fault"
)

// try begins the trial of a member.
func try(who byte) func(*fault.Detector, time.Time) {
	return func(d *fault.Detector, now time.Time) { d.Try(now, name(who)) }
}

// answer lets the last probe of a member be answered after so many milliseconds each.
func (s *script) answer(who byte, after ...int) *script {
	for _, ms := range after {
		s.mute(s.now+ms, "")
		s.do(func(d *fault.Detector, now time.Time) { d.Acked(now, name(who), s.probes[who]) })
	}
	return s
}

func TestTrial(t *testing.T) {
	t.Run("eight answers in a row pass", func(t *testing.T) {
		s := newScript(t, "").do(try('x')).answer('x', 1, 1, 1, 1, 1, 1, 1)
		s.want("probe").answer('x', 1).want("probe", "8 passed x")
		if at, ok := s.d.Next(); ok {
			t.Errorf("Next = %v after the trial, want none", at)
		}
	})
	t.Run("each probe follows the answer to the last one", func(t *testing.T) {
		newScript(t, "").do(try('x')).answer('x', 30, 40).want("", "0 probe x", "30 probe x", "70 probe x")
	})
	t.Run("a way that is always long is none that loses", func(t *testing.T) {
		s := newScript(t, "").do(try('x')).answer('x', 300, 310, 350, 300, 300, 420, 300, 300)
		s.want("probe", "2580 passed x")
	})
	t.Run("an answer that a lost packet delayed begins the count anew", func(t *testing.T) {
		s := newScript(t, "").do(try('x')).answer('x', 1, 1, 1, 1, 1, 1, 1, 205)
		s.want("probe").answer('x', 1, 1, 1, 1, 1, 1, 1).want("probe").answer('x', 1).want("probe", "220 passed x")
	})
	t.Run("answers that were all delayed are no measure for quick ones", func(t *testing.T) {
		s := newScript(t, "").do(try('x')).answer('x', 205, 205, 205, 205, 205, 205, 205, 1)
		s.want("probe").answer('x', 1, 1, 1, 1, 1, 1).want("probe").answer('x', 1).want("probe", "1443 passed x")
	})
	t.Run("a probe without an answer is repeated, and its answer comes too late", func(t *testing.T) {
		s := newScript(t, "").do(try('x')).answer('x', 1, 1, 1, 1, 1, 1, 1).want("probe")
		late := s.probes['x']
		s.mute(2706, "").want("").mute(2707, "").want("", "2707 probe x")
		s.do(func(d *fault.Detector, now time.Time) { d.Acked(now, name('x'), late) }).want("")
		s.answer('x', 1, 1, 1, 1, 1, 1, 1).want("probe").answer('x', 1).want("probe", "2715 passed x")
	})
	t.Run("another trial of the same member begins anew", func(t *testing.T) {
		s := newScript(t, "").do(try('x')).answer('x', 1, 1, 1, 1, 1, 1, 1).do(try('x'))
		s.answer('x', 1).want("probe")
	})
	for why, end := range map[string]func(d *fault.Detector, now time.Time){
		"its link is down":  func(d *fault.Detector, now time.Time) { d.LinkDown(now, name('x'), true) },
		"it is listed":      func(d *fault.Detector, now time.Time) { d.Add(now, name('x'), incOf(name('x'))) },
		"nobody wants it":   func(d *fault.Detector, _ time.Time) { d.Remove(name('x')) },
		"the next one does": func(d *fault.Detector, now time.Time) { d.Add(now, name('x'), 99) },
	} {
		t.Run("a trial is over when "+why, func(t *testing.T) {
			s := newScript(t, "").do(try('x')).answer('x', 1, 1, 1, 1, 1, 1, 1).want("probe")
			s.do(end).answer('x', 1, 1).want("probe")
		})
	}
	t.Run("who is on trial is watched by nobody and asks nobody", func(t *testing.T) {
		s := newScript(t, "ab").do(try('x')).do(asked('x', 'a', 1)).do(asked('a', 'x', 2)).do(told('x', 'a', true))
		s.to(4000, "ab").want("probe", "0 answer x #1", "0 answer a #2")
	})
}
