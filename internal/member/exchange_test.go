package member_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/member"
)

func TestDigests(t *testing.T) {
	t.Run("a newcomer asks a second and two seconds later, then about every five", func(t *testing.T) {
		s := newScript(t)
		start := s.now
		s.FixJoin(1)
		s.up("abc")
		var at []time.Duration
		for s.now.Sub(start) < 30*time.Second {
			s.after(100 * time.Millisecond)
			for _, a := range s.Take() {
				if _, ok := a.(member.Digest); ok {
					at = append(at, s.now.Sub(start))
				}
			}
		}
		if len(at) < 6 || at[0] != time.Second || at[1] != 2*time.Second {
			t.Fatalf("digests after %v, want 1 s, 2 s and some more", at)
		}
		for i, d := range at[2:] {
			if gap := d - at[i+1]; gap < 4*time.Second || gap > 6100*time.Millisecond {
				t.Errorf("digests after %v: %v between two, want 4 to 6 s", at, gap)
			}
		}
	})
	t.Run("nobody is asked by a node without peers", func(t *testing.T) {
		s := newScript(t).up("a")
		s.FixJoin(1)
		s.LinkDown(name('a'))
		s.after(time.Minute).want("self peer- disconnected")
		if at, ok := s.Next(); ok {
			t.Errorf("Next = %v without peers, want none", at)
		}
	})
	t.Run("a hash that differs is answered with the records and, once, the own hash", func(t *testing.T) {
		s := newScript(t).up("ab").after(3500 * time.Millisecond).want("digest self")
		s.Digested(s.now, name('a'), s.Hash()+1)
		s.want("", "sync a", "digest a")
		s.Digested(s.now, name('a'), s.Hash()+2)
		s.want("").Digested(s.now, name('b'), s.Hash())
		s.Digested(s.now, name('b'), 0)
		s.Digested(s.now, name('x'), 1)
		s.want("")
	})
	t.Run("a flood of hashes costs no walk over the members", func(t *testing.T) {
		s := newScript(t).up("abcdef").after(3500 * time.Millisecond)
		s.Digested(s.now, name('a'), 1)
		if n := testing.AllocsPerRun(100, func() { s.Digested(s.now, name('a'), 2) }); n != 0 {
			t.Errorf("a hash too soon after the last costs %v allocations, want none", n)
		}
	})
	t.Run("records that just went out with a new link are not sent again", func(t *testing.T) {
		s := newScript(t).up("a")
		s.Digested(s.now, name('a'), s.Hash()+1)
		s.want("", "digest a")
	})
	t.Run("two tables that differ exchange their records and fall silent", func(t *testing.T) {
		a, b := newScript(t), newScript(t, func(c *member.Config) { c.Record = rec('a', 1, 0) })
		if err := b.LinkUp(b.now, rec('s', 1, 1), "seed"); err != nil {
			t.Fatal(err)
		}
		a.up("a").up("x")
		b.up("y")
		a.after(10 * time.Second)
		b.after(10 * time.Second)
		a.Take()
		b.Take()
		var log []string
		a.Digested(a.now, name('a'), b.Hash())
		for range 10 {
			for _, end := range []struct {
				from, to *script
				id       byte
			}{{a, b, 's'}, {b, a, 'a'}} {
				for _, act := range end.from.Take() {
					log = append(log, words(act))
					if d, ok := act.(member.Digest); ok {
						end.to.Digested(end.to.now, name(end.id), d.Hash)
					}
				}
			}
		}
		if want := []string{"sync a", "digest a", "sync s", "digest s"}; !slices.Equal(log, want) {
			t.Errorf("exchange %q, want %q", log, want)
		}
	})
}

func TestHash(t *testing.T) {
	build := func(letters string, change func(*script)) uint64 {
		s := newScript(t).up(letters)
		change(s)
		return s.Hash()
	}
	same := build("abc", func(*script) {})
	for name, c := range map[string]struct {
		got   uint64
		equal bool
	}{
		"another order":           {build("cab", func(*script) {}), true},
		"a suspicion":             {build("abc", func(s *script) { s.Suspect(name('a')) }), true},
		"a link down":             {build("abc", func(s *script) { s.LinkDown(name('a')) }), true},
		"a pending record":        {build("abc", func(s *script) { s.Merge(rec('d', 1, 1)) }), true},
		"a member less":           {build("ab", func(*script) {}), false},
		"another version":         {build("abc", func(s *script) { s.Merge(rec('a', 1, 2)) }), false},
		"another incarnation":     {build("abc", func(s *script) { s.linkUp(rec('a', 2, 1), "") }), false},
		"another own version":     {build("abc", func(s *script) { s.Refute() }), false},
		"a member that is failed": {build("abc", func(s *script) { s.dead("a", true) }), false},
	} {
		if (c.got == same) != c.equal {
			t.Errorf("%s: hash %x against %x, want equal: %t", name, c.got, same, c.equal)
		}
	}
}

func TestViews(t *testing.T) {
	s := newScript(t)
	for _, r := range []frame.Record{
		rec('d', 1, 1), rec('c', 1, 1, join(2)), rec('b', 1, 1, join(3)), rec('z', 1, 1, join(2)), rec('a', 1, 1),
	} {
		s.linkUp(r, "seed")
	}
	s.LinkDown(name('b'))
	var order []byte
	for _, m := range s.Members() {
		order = append(order, m.Record.ID[0])
		if m.Linked != (m.Record.ID != name('b')) || !m.Since.Equal(s.now) {
			t.Errorf("%c linked %t since %v, want all but b, since %v", m.Record.ID[0], m.Linked, m.Since, s.now)
		}
	}
	if string(order) != "czbad" {
		t.Errorf("members %s, want by join number, those without last: czbad", order)
	}
	var raws []byte
	for _, raw := range s.Records() {
		raws = append(raws, raw[0])
	}
	if string(raws) != "abcdsz" {
		t.Errorf("records %s, want this node and all members by ID: abcdsz", raws)
	}
	if _, ok := s.Get(name('x')); ok {
		t.Error("Get found a member that is not listed")
	}
	s.dead("cb", false)
	var gone []ident.NodeID
	for _, m := range s.Lost() {
		gone = append(gone, m.Record.ID)
	}
	if diff := cmp.Diff([]ident.NodeID{name('c'), name('b')}, gone); diff != "" {
		t.Errorf("lost (-want +got)\n%s", diff)
	}
}

// wide returns a record of one of many nodes.
func wide(n int, inc ident.Incarnation) frame.Record {
	r := rec('w', inc, 1)
	r.ID[1], r.ID[2] = byte(n>>8), byte(n)
	return r
}

func TestLimits(t *testing.T) {
	t.Run("the member that was lost first is forgotten first", func(t *testing.T) {
		s := newScript(t).up("a")
		for n := range 1024 + 1 {
			s.linkUp(wide(n, 1), "seed")
			s.Dead(s.now, wide(n, 1).ID, false)
			if n < 1024 {
				s.Take()
			}
		}
		s.want(noise, "forget w")
		if got := s.Lost(); len(got) != 1024 || got[0].Record.ID != wide(1, 1).ID {
			t.Errorf("%d lost members, want 1,024 from the second on", len(got))
		}
	})
	t.Run("pending records are bounded", func(t *testing.T) {
		s := newScript(t).up("a")
		for n := range member.PendingMax + 1 {
			r := wide(n, 1)
			r.Version = 9
			s.Merge(r)
		}
		for n, version := range map[int]uint64{0: 1, 1: 9} {
			s.linkUp(wide(n, 1), "seed")
			if m, _ := s.Get(wide(n, 1).ID); m.Record.Version != version {
				t.Errorf("node %d is listed with version %d, want %d", n, m.Record.Version, version)
			}
		}
	})
	t.Run("buried incarnations are bounded", func(t *testing.T) {
		s := newScript(t).up("a")
		for inc := range ident.Incarnation(4096 + 2) {
			s.linkUp(rec('b', inc+1, 1), "seed")
		}
		s.wantError(rec('b', 2, 1), member.ErrOver).linkUp(rec('b', 1, 1), "seed")
	})
}

func TestState(t *testing.T) {
	for s, want := range map[member.State]string{
		member.Alive: "alive", member.Suspect: "suspect", member.Left: "left",
		member.Failed: "failed", member.Expelled: "expelled", 9: "State(9)",
	} {
		if got := fmt.Sprint(s); got != want {
			t.Errorf("State %d = %q, want %q", uint8(s), got, want)
		}
	}
}
