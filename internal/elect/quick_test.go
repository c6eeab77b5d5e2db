package elect_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/elect"
	"github.com/espial-go/espial/internal/ident"
)

// book checks what must hold of the actions of any election, whatever it is told.
type book struct {
	t      *rapid.T
	e      *elect.Election
	now    time.Time
	shown  elect.Leader
	last   elect.Leader // followed
	leads  ident.Term
	member map[byte]bool
}

func (b *book) must(ok bool, a elect.Action) {
	b.t.Helper()
	if !ok {
		b.t.Fatalf("%T %+v must not be; shown %+v, leads %d", a, a, b.shown, b.leads)
	}
}

// check takes the actions of one call.
func (b *book) check() {
	for _, a := range b.e.Take() {
		switch a := a.(type) {
		case elect.Leader:
			b.must(a.Cause >= elect.Elected && a.Cause <= elect.Unfit, a)
			b.must(a.ID.IsZero() || b.member[a.ID[0]], a)
			b.shown = a
			if !a.ID.IsZero() {
				b.must(a.Term > b.last.Term && a.Term <= elect.TermMax || a.Term == b.last.Term && a.ID == b.last.ID, a)
				b.last = a
			}
		case elect.Promoted:
			b.must(b.leads == 0 && b.shown.ID == name('m') && b.shown.Term == a.Term && a.Token == a.Term, a)
			b.leads = a.Term
		case elect.Renewed:
			b.must(b.leads == a.Old && b.shown.ID == name('m') && b.shown.Term == a.New && a.New > a.Old, a)
			b.leads = a.New
		case elect.Demoted:
			b.must(b.leads == a.Term && b.leads != 0, a)
			b.leads = 0
		case elect.Send:
			b.must(a.Claim.Reign.Term <= elect.TermMax && a.Claim.Last <= elect.TermMax, a)
			b.must(a.Claim.Reign.Leader.IsZero() == (a.Claim.Reign == elect.Reign{}), a)
		case elect.Ask:
			b.must(b.leads == 0 && a.To == b.shown.ID, a)
		}
	}
	if b.e.Leading() != (b.leads != 0) {
		b.t.Fatalf("Leading = %t, and leads %d", b.e.Leading(), b.leads)
	}
	if id, term, ok := b.e.Leader(); ok == b.shown.ID.IsZero() || ok && (id != b.shown.ID || term != b.shown.Term) {
		b.t.Fatalf("Leader = %v, %d, %t, shown %+v", id, term, ok, b.shown)
	}
}

// TestAnyOrder tells an election anything in any order.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1_000_000, 0)
		b := &book{
			t: t, now: start, member: map[byte]bool{'m': true},
			e: elect.New(start, elect.Config{Self: name('m'), Incarnation: incOf('m')}),
		}
		someone := rapid.SampledFrom([]byte("abmxz"))
		term := rapid.OneOf(rapid.Uint64Range(0, 20), rapid.Uint64Range(1<<53-2, 1<<53+1), rapid.Just(uint64(math.MaxUint64)))
		flag := func(label string) bool { return rapid.IntRange(0, 4).Draw(t, label) == 0 }
		step := func(f func(who byte)) func(*rapid.T) {
			return func(t *rapid.T) {
				f(someone.Draw(t, "who"))
				b.check()
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"view": step(func(byte) {
				b.member = map[byte]bool{}
				var list []elect.Voter
				for _, c := range []byte("abmxz") {
					if c == 'm' || flag("listed") {
						b.member[c] = true
						list = append(list, elect.Voter{
							ID: name(c), Incarnation: incOf(c), Join: rapid.Uint64Range(0, 4).Draw(t, "join"), Eligible: !flag("ineligible"),
						})
					}
				}
				b.e.View(b.now, list)
			}),
			"receive": step(func(from byte) {
				c := elect.Claim{
					Last: ident.Term(term.Draw(t, "last")), Waiting: flag("waiting"), Unfit: flag("unfit"),
					Resigned: flag("resigned"), Calling: flag("calling"), Again: flag("again"),
				}
				if !flag("nobody") {
					c.Reign = reign(someone.Draw(t, "leader"), rapid.Uint64Range(0, 4).Draw(t, "join"), ident.Term(term.Draw(t, "term")))
					c.Reign.Seat.ID = name(someone.Draw(t, "seat"))
				}
				b.e.Receive(b.now, name(from), c)
			}),
			"linked":  step(func(who byte) { b.e.Linked(b.now, name(who)) }),
			"promote": step(func(who byte) { _ = b.e.Promote(b.now, name(who)) }),
			"asked": step(func(who byte) {
				b.e.Asked(b.now, name(who), elect.Ask{Target: name(someone.Draw(t, "target")), Incarnation: incOf('a')})
			}),
			"resign":   step(func(byte) { _ = b.e.Resign(b.now) }),
			"fit":      step(func(byte) { b.e.SetFit(b.now, !flag("unfit")) }),
			"eligible": step(func(byte) { b.e.SetEligible(b.now, !flag("ineligible")) }),
			"time passes": func(t *rapid.T) {
				end := b.now.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
				for range 200 {
					at, ok := b.e.Next()
					if !ok || at.After(end) {
						b.now = end
						return
					}
					if at.After(b.now) {
						b.now = at
					}
					b.e.Tick(b.now)
					b.check()
				}
				t.Fatalf("ticks without end at %v", b.now.Sub(start))
			},
		})
	})
}

// A claim of a member that repeats itself costs no memory.
func TestReceiveAllocatesNothing(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	e := elect.New(start, elect.Config{Self: name('m'), Incarnation: incOf('m')})
	e.View(start, []elect.Voter{
		{ID: name('m'), Incarnation: incOf('m'), Join: 2, Eligible: true},
		{ID: name('a'), Incarnation: incOf('a'), Join: 1, Eligible: true},
	})
	c := elect.Claim{Reign: reign('a', 1, 5), Last: 5}
	e.Receive(start, name('a'), c)
	e.Take()
	if n := testing.AllocsPerRun(100, func() { e.Receive(start, name('a'), c) }); n != 0 {
		t.Errorf("Receive allocates %v times, want 0", n)
	}
}
