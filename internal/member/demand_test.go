package member_test

import (
	"testing"

	"github.com/espial-go/espial/internal/frame"
)

// TestMeet: a link on demand proves who is at its other end, and makes no peer of it.
func TestMeet(t *testing.T) {
	t.Run("who is not listed is listed, without a link, and passed on to all", func(t *testing.T) {
		s := partial(t, "ab")
		s.meets(rec('x', 1, 1), true).want("", "added x1 peer", `announce x 1 v1 map[] "x"`)
		if m, ok := s.Get(name('x')); !ok || m.Linked {
			t.Errorf("listed %+v, %t; want x without a link", m, ok)
		}
	})
	t.Run("of a member it is news", func(t *testing.T) {
		s := partial(t, "a").hear('a', rec('x', 1, 1)).want("announce", "added x1 peer")
		s.meets(rec('x', 1, 1), true).want("")
		s.meets(rec('x', 1, 2, meta("new")), true).want("announce", "refuted x", "updated x1 new")
		s.meets(rec('x', 1, 3, left), false).want("announce", "removed x1 left")
		s.meets(rec('x', 1, 2), false).want("")
	})
	t.Run("another incarnation takes the place of the one that only records tell of", func(t *testing.T) {
		s := partial(t, "a").hear('a', rec('x', 1, 4)).want("announce", "added x1 peer")
		s.meets(rec('x', 2, 1), true).want("announce", "removed x1 failed", "accuse x1 v4 refused to all", "added x2 peer")
	})
	t.Run("but not of one that is linked", func(t *testing.T) {
		s := partial(t, "ax")
		s.meets(rec('x', 2, 1), false).want("")
	})
	t.Run("one that is lost here hears so, and proves that it is there", func(t *testing.T) {
		s := partial(t, "a").hear('a', rec('x', 1, 1)).want("announce", "added x1 peer")
		s.Dead(s.now, name('x'), true)
		s.want("", "removed x1 failed")
		s.meets(rec('x', 1, 1), false).want("", "accuse x1 v1 to x")
		s.meets(rec('x', 1, 2), true).want("announce", "added x1 peer")
	})
	t.Run("one that this node's policy refused before is admitted now", func(t *testing.T) {
		s := partial(t, "a")
		s.Refuse(name('x'), 1)
		s.meets(rec('x', 1, 1), true).want("announce", "added x1 peer")
	})
	t.Run("in a complete mesh it is a candidate", func(t *testing.T) {
		newScript(t).up("a").meets(rec('x', 1, 1), false).want("", "want x1 10.0.0.120:1")
	})
}

// meets gives the table the record of a node at the other end of a link on demand.
func (s *script) meets(r frame.Record, want bool) *script {
	s.t.Helper()
	if got := s.Meet(s.now, r); got != want {
		s.t.Errorf("Meet(%s %d) reports %t, want %t", r.ID.Short(), r.Incarnation, got, want)
	}
	return s
}
