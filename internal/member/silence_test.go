package member_test

import (
	"testing"
	"time"
)

// dead takes members off by silence, or by a closed link.
func (s *script) dead(letters string, silent bool) *script {
	for _, l := range []byte(letters) {
		s.Dead(s.now, name(l), silent)
	}
	return s
}

const noise = "peer+ peer- added removed sync announce digest self connected disconnected"

func TestSplit(t *testing.T) {
	t.Run("two that fall silent together are a split, told when it is quiet", func(t *testing.T) {
		s := newScript(t).up("abcd").dead("b", true).after(500*time.Millisecond).dead("a", true)
		s.after(999*time.Millisecond).want(noise).after(time.Millisecond).want(noise, "split cd|ab")
		s.after(time.Minute).want(noise)
	})
	t.Run("one of many is an accident of its own", func(t *testing.T) {
		newScript(t).up("abc").dead("b", true).after(time.Minute).want(noise)
	})
	t.Run("two at different times are two accidents", func(t *testing.T) {
		newScript(t).up("abc").dead("a", true).after(3100*time.Millisecond).dead("b", true).
			after(time.Minute).want(noise)
	})
	t.Run("two within one RemoveAfter of one another are a split, however late", func(t *testing.T) {
		newScript(t).up("abc").dead("a", true).after(2900*time.Millisecond).dead("b", true).
			after(time.Minute).want(noise, "split c|ab")
	})
	t.Run("the last one is a split, told at once", func(t *testing.T) {
		newScript(t).up("a").dead("a", true).want(noise, "split |a")
	})
	t.Run("whoever hears nobody any more is told of one split", func(t *testing.T) {
		newScript(t).up("abc").dead("bca", true).want(noise, "split |abc").after(time.Minute).want(noise)
	})
	t.Run("crashes are none", func(t *testing.T) {
		newScript(t).up("ab").dead("ab", false).after(time.Minute).want(noise)
	})
	t.Run("who returns before it is told was not gone", func(t *testing.T) {
		s := newScript(t).up("abc").dead("ab", true)
		s.linkUp(rec('a', 1, 1), "inbound").after(time.Minute).want(noise)
	})
}

func TestHealed(t *testing.T) {
	split := func(t *testing.T) *script {
		return newScript(t).up("abcd").dead("abc", true).after(5*time.Second).want(noise, "split d|abc")
	}
	t.Run("one heal is told when several return together, after the first is listed", func(t *testing.T) {
		s := split(t).linkUp(rec('b', 1, 1), "inbound").want("sync announce", "added b1 seed", "peer+ b1", "healed b1")
		s.after(time.Second).linkUp(rec('a', 1, 1), "inbound").want(noise)
	})
	t.Run("another side that returns later is another heal", func(t *testing.T) {
		s := split(t).linkUp(rec('b', 1, 1), "inbound").want(noise, "healed b1")
		s.after(time.Minute).linkUp(rec('a', 1, 1), "inbound").want(noise, "healed a1")
	})
	t.Run("another incarnation was not cut off but down", func(t *testing.T) {
		split(t).linkUp(rec('b', 2, 1), "inbound").want(noise)
	})
	t.Run("a member that only failed does not heal anything", func(t *testing.T) {
		s := newScript(t).up("abc").dead("a", true).after(5 * time.Second)
		s.linkUp(rec('a', 1, 1), "inbound").want(noise)
	})
	t.Run("who fell silent again is missing again", func(t *testing.T) {
		s := split(t).linkUp(rec('b', 1, 1), "inbound").want(noise, "healed b1").after(time.Minute)
		s.dead("bd", true).after(time.Minute).want(noise, "split |bd")
		s.linkUp(rec('d', 1, 1), "inbound").want(noise, "healed d1")
	})
}
