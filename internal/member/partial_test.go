package member_test

import (
	"testing"
	"time"
)

// partial returns the table of a partial mesh with links to some members.
func partial(t *testing.T, linked string) *script {
	t.Helper()
	s := newScript(t).up(linked)
	s.Partial(s.now, true)
	s.want("")
	return s
}

func TestPartialMesh(t *testing.T) {
	t.Run("a member is listed by its record, which is passed on", func(t *testing.T) {
		s := partial(t, "ab").hear('a', rec('x', 1, 1))
		s.want("", "added x1 peer", `announce x 1 v1 map[] "x"`)
		if m, ok := s.Get(name('x')); !ok || m.Linked {
			t.Errorf("listed %+v, %t; want x without a link", m, ok)
		}
	})
	t.Run("its link makes it a peer", func(t *testing.T) {
		s := partial(t, "ab").hear('a', rec('x', 1, 1)).want("announce", "added x1 peer")
		s.linkUp(rec('x', 1, 1), "inbound").want("", "peer+ x1", "sync x")
		s.LinkDown(name('x'))
		s.want("", "peer- x1")
	})
	t.Run("news of it are passed on, once", func(t *testing.T) {
		s := partial(t, "ab").hear('a', rec('x', 1, 1)).want("announce", "added x1 peer")
		s.hear('b', rec('x', 1, 1)).want("")
		s.hear('b', rec('x', 1, 2, meta("new"))).want("", `announce x 1 v2 map[k:new] "x"`, "refuted x", "updated x1 new")
		s.hear('a', rec('x', 1, 2, meta("new"))).hear('a', rec('x', 1, 1)).want("")
		s.hear('a', rec('x', 1, 3, left)).want("", `announce x 1 v3 map[] "x"`, "removed x1 left")
	})
	t.Run("who is no linked member is not believed", func(t *testing.T) {
		s := partial(t, "a").hear('z', rec('x', 1, 1)).want("", "want x1 10.0.0.120:1")
		s.hear('a', rec('y', 1, 1)).want("announce", "added y1 peer")
		s.hear('y', rec('v', 1, 1)).want("", "want v1 10.0.0.118:1")
	})
	t.Run("candidates are listed when the mesh becomes partial", func(t *testing.T) {
		s := newScript(t).up("a").hear('a', rec('x', 1, 1)).hear('a', rec('y', 1, 1)).want("want")
		if got := s.Candidates(); len(got) != 2 || got[0].ID != name('x') {
			t.Errorf("candidates %v, want x and y", got)
		}
		s.Partial(s.now, true)
		s.want("announce", "added x1 peer", "added y1 peer")
	})
	t.Run("and stay when it is not any more", func(t *testing.T) {
		s := partial(t, "a").hear('a', rec('x', 1, 1)).want("announce", "added x1 peer")
		s.Partial(s.now, false)
		s.hear('a', rec('y', 1, 1)).want("", "want y1 10.0.0.121:1")
		if _, ok := s.Get(name('x')); !ok {
			t.Error("x is not listed any more")
		}
	})
	t.Run("another incarnation waits until the listed one is gone", func(t *testing.T) {
		s := partial(t, "a").hear('a', rec('x', 1, 1)).hear('a', rec('x', 2, 1)).want("announce want", "added x1 peer")
		s.Dead(s.now, name('x'), true)
		s.Partial(s.now, true)
		s.want("announce", "removed x1 failed", "added x2 peer")
		s.hear('a', rec('x', 1, 1)).want("", "accuse x1 v1 to a")
		s.hear('a', rec('x', 1, 2)).want("want")
		s.Dead(s.now, name('x'), true)
		s.Partial(s.now, true)
		s.want("announce", "removed x2 failed", "added x1 peer")
	})
	t.Run("a link that proves another incarnation ends the former for all", func(t *testing.T) {
		s := partial(t, "a").hear('a', rec('x', 1, 4)).want("announce", "added x1 peer")
		s.linkUp(rec('x', 2, 1), "inbound")
		s.want("announce sync", "removed x1 failed", "accuse x1 v4 refused to all", "added x2 inbound", "peer+ x2")
	})
}

func TestRefusedOnesAreKeptOff(t *testing.T) {
	t.Run("whatever others tell", func(t *testing.T) {
		s := partial(t, "a")
		s.Refuse(name('x'), 1)
		s.hear('a', rec('x', 1, 1)).want("")
		s.hear('a', rec('x', 2, 1)).want("announce", "added x2 peer")
	})
	t.Run("as candidates, too", func(t *testing.T) {
		s := newScript(t).up("a").hear('a', rec('x', 1, 1)).want("want")
		s.Refuse(name('x'), 1)
		s.Partial(s.now, true)
		s.want("")
	})
	t.Run("and off the list, unless there is a link", func(t *testing.T) {
		s := partial(t, "a").hear('a', rec('x', 1, 1)).want("announce", "added x1 peer")
		s.Refuse(name('x'), 2)
		s.Refuse(name('a'), 1)
		s.want("")
		s.Refuse(name('x'), 1)
		s.want("", "removed x1 failed")
	})
	t.Run("until a link is accepted after all", func(t *testing.T) {
		s := partial(t, "a")
		s.Refuse(name('x'), 1)
		s.linkUp(rec('x', 1, 1), "inbound").want("announce sync", "added x1 inbound", "peer+ x1")
		s.Dead(s.now, name('x'), true)
		s.hear('a', rec('x', 1, 2)).want("announce", "peer- x1", "removed x1 failed", "added x1 inbound")
	})
}

// TestGhosts: who passes on what is over hears so.
func TestGhosts(t *testing.T) {
	t.Run("one that was lost is listed again at a higher version", func(t *testing.T) {
		s := partial(t, "ab").hear('a', rec('x', 1, 3)).want("announce", "added x1 peer")
		s.Dead(s.now, name('x'), true)
		s.hear('a', rec('x', 1, 3)).want("", "removed x1 failed", "accuse x1 v3 to a")
		s.hear('a', rec('x', 1, 4)).want("announce", "added x1 peer")
	})
	t.Run("one whose end was certain is said to be", func(t *testing.T) {
		s := partial(t, "ab").hear('a', rec('x', 1, 3)).want("announce", "added x1 peer")
		s.Dead(s.now, name('x'), false)
		s.hear('a', rec('x', 1, 2)).want("", "removed x1 failed", "accuse x1 v2 refused to a")
	})
	t.Run("once a second", func(t *testing.T) {
		s := partial(t, "ab").hear('a', rec('x', 1, 3)).hear('a', rec('y', 1, 1)).want("announce added")
		s.Dead(s.now, name('x'), true)
		s.Dead(s.now, name('y'), true)
		s.hear('a', rec('x', 1, 3)).hear('b', rec('x', 1, 3)).hear('a', rec('y', 1, 1))
		s.want("removed", "accuse x1 v3 to a", "accuse y1 v1 to a")
		s.after(time.Second).hear('b', rec('x', 1, 3)).want("digest split", "accuse x1 v3 to b")
	})
	t.Run("by the goodbye, where there was one", func(t *testing.T) {
		s := partial(t, "ab").hear('a', rec('x', 1, 3)).hear('a', rec('x', 1, 4, left))
		s.want("announce", "added x1 peer", "removed x1 left")
		s.hear('b', rec('x', 1, 3)).want("", `inform b of x 1 v4 map[] "x"`)
		s.hear('b', rec('x', 1, 4, left)).want("")
	})
	t.Run("a goodbye on the link alone is told to all", func(t *testing.T) {
		s := partial(t, "ab")
		s.Goodbye(name('a'))
		s.want("", "peer- a1", "removed a1 left", "accuse a1 v1 refused to all")
	})
	t.Run("a lost one that proves itself by its link is asked for a new record", func(t *testing.T) {
		s := partial(t, "ab")
		s.Dead(s.now, name('b'), true)
		s.linkUp(rec('b', 1, 1), "seed")
		s.want("sync announce", "peer- b1", "removed b1 failed", "added b1 seed", "peer+ b1", "accuse b1 v1 to b")
		s.Dead(s.now, name('b'), true)
		s.linkUp(rec('b', 1, 2), "seed").want("sync announce", "peer- b1", "removed b1 failed", "added b1 seed", "peer+ b1")
	})
	t.Run("in a complete mesh nobody answers", func(t *testing.T) {
		s := newScript(t).up("ab")
		s.Goodbye(name('b'))
		s.hear('a', rec('b', 1, 1)).want("", "peer- b1", "removed b1 left")
	})
}
