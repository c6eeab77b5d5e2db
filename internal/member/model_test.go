package member_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/member"
)

// book checks what must hold of the changes of any table, whatever it is told.
type book struct {
	t         *rapid.T
	tab       *member.Table
	now       time.Time
	proven    ident.NodeID // whose link comes up in this call
	partial   bool
	listed    map[ident.NodeID]member.Member
	over      map[string]bool // incarnations that must not return
	connected bool
	own       frame.Record
}

func life(r frame.Record) string { return fmt.Sprintf("%c%d", r.ID[0], r.Incarnation) }

// check takes the changes of one call and compares the table with what they tell.
func (b *book) check() {
	for _, a := range b.tab.Take() {
		switch a := a.(type) {
		case member.Added:
			_, listed := b.listed[a.Member.Record.ID]
			told := b.partial && !a.Member.Linked
			b.must(!listed && (a.Member.Record.ID == b.proven || told) && !b.over[life(a.Member.Record)], a)
			b.listed[a.Member.Record.ID] = a.Member
		case member.Removed:
			m := b.is(a.Member, a)
			b.must(!m.Linked && a.Member.State > member.Suspect, a)
			delete(b.listed, m.Record.ID)
			if a.Member.State != member.Failed {
				b.over[life(m.Record)] = true
			}
		case member.Updated:
			m := b.is(a.Member, a)
			b.must(a.Member.Record.Version > m.Record.Version, a)
			b.set(a.Member)
		case member.Suspected:
			b.is(a.Member, a)
			b.set(a.Member)
		case member.PeerAdded:
			b.must(!b.is(a.Member, a).Linked, a)
			b.set(a.Member)
		case member.PeerRemoved:
			b.must(b.is(a.Member, a).Linked, a)
			b.set(a.Member)
		case member.Connected:
			b.must(!b.connected, a)
			b.connected = true
		case member.Disconnected:
			b.must(b.connected, a)
			b.connected = false
		case member.Split:
			b.must(len(a.Here) == len(b.listed) && (len(a.Gone) > 1 || len(a.Here) == 0), a)
		case member.Healed:
			b.is(a.Member, a)
		}
	}
	b.compare()
}

func (b *book) compare() {
	members, peers := b.tab.Members(), 0
	for _, m := range members {
		was, ok := b.listed[m.Record.ID]
		if !ok || life(was.Record) != life(m.Record) || was.Linked != m.Linked || m.Record.Version < was.Record.Version {
			b.t.Fatalf("listed %+v, told %+v", m, was)
		}
		if m.Linked {
			peers++
		}
	}
	if len(members) != len(b.listed) || b.connected != (peers > 0) {
		b.t.Fatalf("%d members with %d peers, told %d members, connected %t",
			len(members), peers, len(b.listed), b.connected)
	}
	own := b.tab.Self()
	if own.Version < b.own.Version || b.own.State == frame.Left && own.Version != b.own.Version {
		b.t.Fatalf("own record went from %s to %s", b.own.Raw, own.Raw)
	}
	b.own = own
	if at, ok := b.tab.Next(); ok && at.Before(b.now.Add(-time.Hour)) {
		b.t.Fatalf("Next = %v at %v", at, b.now)
	}
}

func (b *book) must(ok bool, a member.Action) {
	b.t.Helper()
	if !ok {
		b.t.Fatalf("%s must not be", words(a))
	}
}

// is returns the listed member that m must be.
func (b *book) is(m member.Member, a member.Action) member.Member {
	b.t.Helper()
	was, ok := b.listed[m.Record.ID]
	b.must(ok && life(was.Record) == life(m.Record), a)
	return was
}

func (b *book) set(m member.Member) { b.listed[m.Record.ID] = m }

// TestAnyOrder tells a table anything in any order.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		b := &book{t: t, now: time.Unix(1_000_000, 0), listed: map[ident.NodeID]member.Member{}, over: map[string]bool{}}
		var err error
		b.tab, err = member.New(b.now, member.Config{
			Record: rec('s', 1, 0), Sign: sign, Rand: rand.New(rand.NewPCG(seed, 1)),
		})
		if err != nil {
			t.Fatal(err)
		}
		someone := rapid.SampledFrom([]byte("abcds"))
		draw := func(of byte) frame.Record {
			r := rec(of, ident.Incarnation(rapid.IntRange(1, 3).Draw(t, "inc")), rapid.Uint64Range(1, 5).Draw(t, "version"))
			if rapid.IntRange(0, 9).Draw(t, "left") == 0 {
				r.State = frame.Left
			}
			return r
		}
		step := func(f func(letter byte, id ident.NodeID)) func(*rapid.T) {
			return func(t *rapid.T) {
				letter := someone.Draw(t, "id")
				f(letter, name(letter))
				b.check()
				b.proven = ident.NodeID{}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"link up": step(func(l byte, id ident.NodeID) {
				b.proven = id
				r := draw(l)
				was, listed := b.listed[id]
				err := b.tab.LinkUp(b.now, r, "seed")
				if m, ok := b.tab.Get(id); err == nil && (!ok || life(m.Record) != life(r) || !m.Linked) {
					t.Fatalf("after LinkUp(%s) listed %+v", r.Raw, m)
				}
				if listed && life(was.Record) != life(r) && err == nil {
					b.over[life(was.Record)] = true
				}
			}),
			"link down": step(func(_ byte, id ident.NodeID) { b.tab.LinkDown(id) }),
			"merge": step(func(l byte, _ ident.NodeID) {
				b.tab.Merge(b.now, name(someone.Draw(t, "from")), draw(l))
			}),
			"partial": step(func(l byte, _ ident.NodeID) {
				b.partial = l > 'b'
				b.tab.Partial(b.now, b.partial)
				if b.partial && len(b.tab.Candidates()) > 0 {
					t.Fatalf("in a partial mesh there are the candidates %v", b.tab.Candidates())
				}
			}),
			"refuse":  step(func(l byte, id ident.NodeID) { b.tab.Refuse(id, draw(l).Incarnation) }),
			"suspect": step(func(_ byte, id ident.NodeID) { b.tab.Suspect(id) }),
			"alive":   step(func(_ byte, id ident.NodeID) { b.tab.Alive(id) }),
			"dead":    step(func(_ byte, id ident.NodeID) { b.tab.Dead(b.now, id, rapid.Bool().Draw(t, "silent")) }),
			"goodbye": step(func(_ byte, id ident.NodeID) { b.tab.Goodbye(id) }),
			"expel":   step(func(_ byte, id ident.NodeID) { b.tab.Expel(id) }),
			"digest":  step(func(_ byte, id ident.NodeID) { b.tab.Digested(b.now, id, 1) }),
			"refute":  step(func(byte, ident.NodeID) { b.tab.Refute() }),
			"time passes": func(t *rapid.T) {
				b.now = b.now.Add(time.Duration(rapid.IntRange(1, 4000).Draw(t, "ms")) * time.Millisecond)
				b.tab.Tick(b.now)
				b.check()
				if at, ok := b.tab.Next(); ok && !at.After(b.now) {
					t.Fatalf("after Tick at %v Next = %v", b.now, at)
				}
			},
		})
	})
}
