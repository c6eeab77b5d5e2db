package member_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/member"
)

// name returns the ID of the node that a letter names; scripts speak of letters.
func name(letter byte) ident.NodeID { return ident.NodeID{letter} }

// sign stands for a key: the raw form of a record says what is in it.
func sign(r *frame.Record) error {
	r.Raw = fmt.Appendf(nil, "%c %d v%d %v %q", r.ID[0], r.Incarnation, r.Version, r.Meta, r.Name)
	return nil
}

// rec returns a signed record of a node.
func rec(letter byte, inc ident.Incarnation, version uint64, change ...func(*frame.Record)) frame.Record {
	r := frame.Record{
		ID: name(letter), Incarnation: inc, Version: version, Name: string(letter),
		Addrs: []frame.Addr{{Scheme: "tcp", Addr: fmt.Sprintf("10.0.0.%d:1", letter)}},
	}
	for _, c := range change {
		c(&r)
	}
	_ = sign(&r)
	return r
}

func left(r *frame.Record) { r.State = frame.Left }

func meta(v string) func(*frame.Record) {
	return func(r *frame.Record) { r.Meta = map[string]string{"k": v} }
}

func join(n uint64) func(*frame.Record) { return func(r *frame.Record) { r.Join = n } }

// words returns an action as a script writes it.
func words(a member.Action) string {
	of := func(kind string, m member.Member) string {
		return fmt.Sprintf("%s %c%d", kind, m.Record.ID[0], m.Record.Incarnation)
	}
	list := func(ms []member.Member) string {
		var b strings.Builder
		for _, m := range ms {
			b.WriteByte(m.Record.ID[0])
		}
		return b.String()
	}
	switch a := a.(type) {
	case member.Added:
		return of("added", a.Member) + " " + a.Member.Source
	case member.Removed:
		return of("removed", a.Member) + " " + a.Member.State.String()
	case member.Updated:
		return of("updated", a.Member) + " " + a.Member.Record.Meta["k"]
	case member.Suspected:
		return of("suspected", a.Member)
	case member.PeerAdded:
		return of("peer+", a.Member)
	case member.PeerRemoved:
		return of("peer-", a.Member)
	case member.Connected:
		return of("connected", a.Member)
	case member.Disconnected:
		return of("disconnected", a.Member)
	case member.Split:
		return fmt.Sprintf("split %s|%s", list(a.Here), list(a.Gone))
	case member.Healed:
		return of("healed", a.Member)
	case member.Want:
		return fmt.Sprintf("want %c%d %s", a.ID[0], a.Incarnation, a.Addrs[0].Addr)
	case member.Forget:
		return fmt.Sprintf("forget %c", a.ID[0])
	case member.Refuted:
		return fmt.Sprintf("refuted %c", a.ID[0])
	case member.SelfChanged:
		return "self"
	case member.Announce:
		return fmt.Sprintf("announce %s", a.Raw)
	case member.Inform:
		return fmt.Sprintf("inform %s of %s", letterOf(a.To), a.Raw)
	case member.Accuse:
		verdict := map[bool]string{true: " refused", false: ""}[a.Refused]
		return fmt.Sprintf("accuse %c%d v%d%s to %s", a.ID[0], a.Incarnation, a.Version, verdict, letterOf(a.To))
	case member.Sync:
		return fmt.Sprintf("sync %c", a.To[0])
	case member.Digest:
		return fmt.Sprintf("digest %c", a.To[0])
	default:
		return fmt.Sprintf("%#v", a)
	}
}

func letterOf(id ident.NodeID) string {
	if id.IsZero() {
		return "all"
	}
	return string(id[0])
}

// script drives the table of node s, incarnation 1, by hand.
type script struct {
	*member.Table
	t   *testing.T
	now time.Time
}

func newScript(t *testing.T, change ...func(*member.Config)) *script {
	t.Helper()
	c := member.Config{Record: rec('s', 1, 0), Sign: sign, Rand: rand.New(rand.NewPCG(1, 2))}
	for _, f := range change {
		f(&c)
	}
	s := &script{t: t, now: time.Unix(1_000_000, 0)}
	tab, err := member.New(s.now, c)
	if err != nil {
		t.Fatal(err)
	}
	s.Table = tab
	return s
}

// up brings links up with nodes in incarnation 1, and forgets the actions.
func (s *script) up(letters string) *script {
	s.t.Helper()
	for _, l := range []byte(letters) {
		if err := s.LinkUp(s.now, rec(l, 1, 1), "seed"); err != nil {
			s.t.Fatal(err)
		}
	}
	s.Take()
	return s
}

// Merge gives the table a record over a link whose peer does not matter.
func (s *script) Merge(r frame.Record) { s.hear('z', r) }

// hear gives the table a record over the link of a member.
func (s *script) hear(from byte, r frame.Record) *script {
	s.Table.Merge(s.now, name(from), r)
	return s
}

// linkUp brings a link up and returns the script for want.
func (s *script) linkUp(r frame.Record, source string) *script {
	s.t.Helper()
	if err := s.LinkUp(s.now, r, source); err != nil {
		s.t.Errorf("LinkUp(%s) = %v", r.Raw, err)
	}
	return s
}

// after lets time pass with every tick on time.
func (s *script) after(d time.Duration) *script {
	end := s.now.Add(d)
	for range 1000 {
		at, ok := s.Next()
		if !ok || at.After(end) {
			s.now = end
			return s
		}
		s.now = at
		s.Tick(at)
	}
	s.t.Fatalf("a thousand ticks until %v", s.now)
	return s
}

// want compares the actions since the last want, without those of the kinds in skip.
func (s *script) want(skip string, want ...string) *script {
	s.t.Helper()
	var got []string
	for _, a := range s.Take() {
		if w := words(a); !slices.Contains(strings.Fields(skip), strings.Fields(w)[0]) {
			got = append(got, w)
		}
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("actions\n got %q\nwant %q", got, want)
	}
	return s
}

// wantError checks that r cannot be linked.
func (s *script) wantError(r frame.Record, want error) *script {
	s.t.Helper()
	if err := s.LinkUp(s.now, r, "seed"); !errors.Is(err, want) {
		s.t.Errorf("LinkUp(%s) = %v, want %v", r.Raw, err, want)
	}
	return s
}

func TestLinkUp(t *testing.T) {
	t.Run("the first link lists a node, exchanges records and passes its record on", func(t *testing.T) {
		s := newScript(t).linkUp(rec('a', 1, 1), "multicast").want("",
			"added a1 multicast", "peer+ a1", "connected a1", "sync a", `announce a 1 v1 map[] "a"`)
		s.linkUp(rec('b', 1, 1), "seed").want("sync announce", "added b1 seed", "peer+ b1")
	})
	t.Run("a second link of a listed member is no news", func(t *testing.T) {
		newScript(t).up("a").linkUp(rec('a', 1, 1), "seed").want("", "sync a")
	})
	t.Run("another incarnation replaces the listed one, which never returns", func(t *testing.T) {
		s := newScript(t).up("ab").linkUp(rec('a', 2, 1), "inbound").want("sync announce",
			"peer- a1", "removed a1 failed", "added a2 inbound", "peer+ a2")
		s.wantError(rec('a', 1, 9), member.ErrOver).Merge(rec('a', 1, 9))
		s.want("")
	})
	t.Run("a member that failed is added again in the same incarnation", func(t *testing.T) {
		s := newScript(t).up("ab")
		s.Dead(s.now, name('a'), false)
		s.want("", "peer- a1", "removed a1 failed").linkUp(rec('a', 1, 1), "inbound")
		s.want("sync announce", "added a1 seed", "peer+ a1")
	})
	t.Run("what was known of a lost member is not rolled back by an old record", func(t *testing.T) {
		s := newScript(t).up("b").linkUp(rec('a', 1, 5, meta("new")), "seed")
		s.Dead(s.now, name('a'), true)
		s.linkUp(rec('a', 1, 4, meta("old")), "inbound")
		if m, _ := s.Get(name('a')); m.Record.Version != 5 {
			t.Errorf("listed version %d, want 5", m.Record.Version)
		}
	})
	t.Run("a member that failed and comes back as another buries the old", func(t *testing.T) {
		s := newScript(t).up("ab")
		s.Dead(s.now, name('a'), true)
		s.linkUp(rec('a', 2, 1), "inbound").wantError(rec('a', 1, 2), member.ErrOver)
		s.want("sync announce", "peer- a1", "removed a1 failed", "added a2 inbound", "peer+ a2")
	})
	t.Run("a record that others had newer is kept", func(t *testing.T) {
		s := newScript(t).up("b")
		s.Merge(rec('a', 1, 5, meta("new")))
		s.linkUp(rec('a', 1, 4, meta("old")), "seed")
		if m, _ := s.Get(name('a')); m.Record.Version != 5 {
			t.Errorf("listed version %d, want 5", m.Record.Version)
		}
	})
	t.Run("no honest node signs the highest numbers, none, or this node's ID", func(t *testing.T) {
		s := newScript(t).up("a")
		for _, r := range []frame.Record{
			rec('b', math.MaxUint64, 1), rec('b', 0, 1), rec('b', 1, math.MaxUint64), rec('s', 2, 1),
		} {
			s.wantError(r, member.ErrRecord).Merge(r)
		}
		s.Merge(rec('a', 1, math.MaxUint64, left))
		s.want("")
	})
	t.Run("a record that says left on its own link ends the member", func(t *testing.T) {
		newScript(t).up("ab").wantError(rec('a', 1, 2, left), member.ErrOver).want("",
			"peer- a1", "removed a1 left").wantError(rec('a', 1, 1), member.ErrOver)
	})
	t.Run("the check of the configuration refuses", func(t *testing.T) {
		no := errors.New("bad name")
		s := newScript(t, func(c *member.Config) {
			c.Check = func(r frame.Record) error {
				if r.Name == "x" {
					return no
				}
				return nil
			}
		}).up("a")
		s.wantError(rec('x', 1, 1), no).wantError(rec('x', 1, 1), member.ErrRecord)
		s.Merge(rec('x', 1, 1))
		s.Merge(rec('a', 1, 2, func(r *frame.Record) { r.Name = "x" }))
		s.want("")
	})
}

func TestMerge(t *testing.T) {
	t.Run("an unknown node is wanted each time and never listed on the word of others", func(t *testing.T) {
		s := newScript(t).up("a")
		s.Merge(rec('b', 1, 2))
		s.Merge(rec('b', 1, 2))
		s.want("", "want b1 10.0.0.98:1", "want b1 10.0.0.98:1")
		s.Merge(rec('b', 1, 1))
		s.want("").Merge(rec('b', 2, 1))
		s.want("", "want b2 10.0.0.98:1")
		if got := s.Members(); len(got) != 1 {
			t.Errorf("members %v, want a alone", got)
		}
	})
	t.Run("another incarnation of a listed member is wanted and changes nothing yet", func(t *testing.T) {
		s := newScript(t).up("a")
		s.Merge(rec('a', 2, 7))
		s.Merge(rec('a', 2, 8, left))
		s.want("", "want a2 10.0.0.97:1")
	})
	t.Run("the higher version wins, the same or a lower one is ignored", func(t *testing.T) {
		s := newScript(t).up("a")
		s.Merge(rec('a', 1, 3, meta("x")))
		s.Merge(rec('a', 1, 2, meta("y")))
		s.Merge(rec('a', 1, 3, meta("x")))
		s.want("", "updated a1 x")
		if n := s.Conflicts(); n != 0 {
			t.Errorf("conflicts = %d, want 0", n)
		}
		s.Merge(rec('a', 1, 3, meta("y")))
		s.want("")
		if n := s.Conflicts(); n != 1 {
			t.Errorf("conflicts = %d after two records of one version, want 1", n)
		}
	})
	t.Run("a version without visible news is taken in silence", func(t *testing.T) {
		s := newScript(t).up("a")
		s.Merge(rec('a', 1, 2, join(4)))
		s.want("")
		if m, _ := s.Get(name('a')); m.Record.Join != 4 {
			t.Errorf("join = %d, want 4", m.Record.Join)
		}
	})
	t.Run("a newer record of a suspect is its refutation", func(t *testing.T) {
		s := newScript(t).up("a")
		s.Suspect(name('a'))
		s.Suspect(name('a'))
		s.want("", "suspected a1").Merge(rec('a', 1, 2))
		s.want("", "refuted a").Suspect(name('a'))
		s.Alive(name('a'))
		s.want("", "suspected a1")
		if m, _ := s.Get(name('a')); m.State != member.Alive {
			t.Errorf("state = %v, want alive", m.State)
		}
	})
	t.Run("goodbye in a record is final", func(t *testing.T) {
		s := newScript(t).up("ab")
		s.Merge(rec('a', 1, 2, left))
		s.Merge(rec('a', 1, 3))
		if !s.Over(name('a'), 1) || s.Over(name('a'), 2) || s.Over(name('b'), 1) {
			t.Error("Over does not say that incarnation 1 of a, and no other, is over")
		}
		s.want("", "peer- a1", "removed a1 left").wantError(rec('a', 1, 3), member.ErrOver)
	})
	t.Run("goodbye of a lost member ends the looking for it", func(t *testing.T) {
		s := newScript(t).up("ab")
		s.Dead(s.now, name('a'), true)
		s.Take()
		s.Merge(rec('a', 1, 2, left))
		s.want("", "forget a").wantError(rec('a', 1, 1), member.ErrOver)
		if got := s.Lost(); len(got) != 0 {
			t.Errorf("lost %v, want none", got)
		}
	})
	t.Run("goodbye of a pending node buries it, of a stranger does not", func(t *testing.T) {
		s := newScript(t).up("a")
		s.Merge(rec('b', 1, 1))
		s.Merge(rec('b', 1, 2, left))
		s.wantError(rec('b', 1, 1), member.ErrOver)
		s.Merge(rec('c', 1, 2, left))
		s.linkUp(rec('c', 1, 1), "seed")
	})
	t.Run("a lost member learns new addresses from others", func(t *testing.T) {
		s := newScript(t).up("ab")
		s.Dead(s.now, name('a'), true)
		s.Take()
		s.Merge(rec('a', 1, 2, func(r *frame.Record) { r.Addrs[0].Addr = "10.9.9.9:1" }))
		s.want("", "want a1 10.9.9.9:1")
		if got := s.Lost()[0].Record.Addrs[0].Addr; got != "10.9.9.9:1" {
			t.Errorf("lost member at %s, want the newer address", got)
		}
	})
}

func TestGoing(t *testing.T) {
	t.Run("the last peer that goes disconnects", func(t *testing.T) {
		s := newScript(t).up("ab")
		s.LinkDown(name('a'))
		s.LinkDown(name('a'))
		s.LinkDown(name('b'))
		s.want("", "peer- a1", "peer- b1", "disconnected b1").linkUp(rec('a', 1, 1), "seed")
		s.want("sync", "peer+ a1", "connected a1")
	})
	t.Run("left, failed and expelled are told apart", func(t *testing.T) {
		s := newScript(t).up("abcd")
		s.Goodbye(name('a'))
		s.Expel(name('b'))
		s.Dead(s.now, name('c'), false)
		s.want("peer-", "removed a1 left", "removed b1 expelled", "removed c1 failed")
		s.wantError(rec('a', 1, 2), member.ErrOver).wantError(rec('b', 1, 2), member.ErrOver)
		s.linkUp(rec('c', 1, 2), "seed")
	})
	t.Run("what is not listed cannot go", func(t *testing.T) {
		s := newScript(t)
		s.LinkDown(name('a'))
		s.Goodbye(name('a'))
		s.Expel(name('a'))
		s.Suspect(name('a'))
		s.Alive(name('a'))
		s.Dead(s.now, name('a'), true)
		s.want("")
	})
}
