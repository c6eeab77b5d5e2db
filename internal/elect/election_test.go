package elect_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/elect"
	"github.com/espial-go/espial/internal/ident"
)

func name(c byte) ident.NodeID { return ident.NodeID{c} }

// script drives the election of node m by hand. Time is in milliseconds since it began.
type script struct {
	t     *testing.T
	e     *elect.Election
	start time.Time
	now   int
	log   []string
}

// newScript returns a script at 0 ms with the given view, in which each member is a
// letter and its join number; a capital is not eligible, and one with a minus is far.
func newScript(t *testing.T, view string) *script {
	s := &script{t: t, start: time.Unix(1_000_000, 0)}
	s.e = elect.New(s.start, elect.Config{Self: name('m'), Incarnation: incOf('m')})
	return s.view(view)
}

func incOf(c byte) ident.Incarnation { return ident.Incarnation(c) }

func (s *script) at() time.Time { return s.start.Add(time.Duration(s.now) * time.Millisecond) }

func (s *script) take() {
	for _, a := range s.e.Take() {
		s.log = append(s.log, fmt.Sprintf("%d %s", s.now, words(a)))
	}
}

func (s *script) do(f func(e *elect.Election, now time.Time)) *script {
	s.t.Helper()
	f(s.e, s.at())
	s.take()
	return s
}

func (s *script) view(view string) *script {
	var list []elect.Voter
	for f := range strings.FieldsSeq(view) {
		id := strings.ToLower(f)[0]
		list = append(list, elect.Voter{
			ID: name(id), Incarnation: incOf(id), Join: uint64(f[1] - '0'), Eligible: f[0] == id, Far: len(f) > 2,
		})
	}
	return s.do(func(e *elect.Election, now time.Time) { e.View(now, list) })
}

// reign returns the one of a leader that was elected.
func reign(leader byte, join uint64, term ident.Term) elect.Reign {
	return elect.Reign{
		Leader: name(leader), Incarnation: incOf(leader), Seat: elect.Seat{Join: join, ID: name(leader)}, Term: term,
	}
}

// says passes the claim of a member that follows a leader.
func (s *script) says(from, leader byte, join uint64, term ident.Term) *script {
	return s.claims(from, elect.Claim{Reign: reign(leader, join, term), Last: term})
}

func (s *script) claims(from byte, c elect.Claim) *script {
	return s.do(func(e *elect.Election, now time.Time) { e.Receive(now, name(from), c) })
}

// to runs the clock to ms, with every tick on time.
func (s *script) to(ms int) *script {
	for ; s.now <= ms; s.now++ {
		if at, ok := s.e.Next(); ok && !s.at().Before(at) {
			s.do(func(e *elect.Election, now time.Time) { e.Tick(now) })
		}
	}
	s.now = ms
	return s
}

// want compares the actions since the last want, without those named in skip (by their
// first word), to a list.
func (s *script) want(skip string, want ...string) *script {
	s.t.Helper()
	got := slices.DeleteFunc(s.log, func(l string) bool {
		return slices.Contains(strings.Fields(skip), strings.Fields(l)[1])
	})
	if !slices.Equal(got, want) {
		s.t.Errorf("until %d ms:\n got %q\nwant %q", s.now, got, want)
	}
	s.log = nil
	return s
}

func words(a elect.Action) string {
	who := func(id ident.NodeID) string {
		if id.IsZero() {
			return "nobody"
		}
		return string(id[:1])
	}
	switch a := a.(type) {
	case elect.Send:
		to := "all"
		if !a.To.IsZero() {
			to = who(a.To)
		}
		text := fmt.Sprintf("say to %s: %s %d", to, who(a.Claim.Reign.Leader), a.Claim.Last)
		for _, flag := range []struct {
			set  bool
			word string
		}{
			{a.Claim.Waiting, " waiting"},
			{a.Claim.Unfit, " unfit"},
			{a.Claim.Resigned, " resigned"},
			{a.Claim.Calling, " calling"},
			{a.Claim.Again, " again"},
			{a.Claim.Over, " over"},
		} {
			if flag.set {
				text += flag.word
			}
		}
		return text
	case elect.Ask:
		return fmt.Sprintf("ask %s for %s", who(a.To), who(a.Target))
	case elect.Leader:
		return fmt.Sprintf("leader %s %d %v", who(a.ID), a.Term, a.Cause)
	case elect.Promoted:
		return fmt.Sprintf("promoted %d", a.Token)
	case elect.Demoted:
		return fmt.Sprintf("demoted %d %v", a.Term, a.Cause)
	case elect.Renewed:
		return fmt.Sprintf("renewed %d %d", a.Old, a.New)
	default:
		return fmt.Sprintf("%T", a)
	}
}

func TestFounding(t *testing.T) {
	t.Run("a node alone leads after 2 s", func(t *testing.T) {
		newScript(t, "m0").to(1900).view("m1").to(9000).
			want("", "2000 leader m 1 elected", "2000 promoted 1", "2000 say to all: m 1")
	})
	t.Run("who comes behind calls and waits 100 ms for each", func(t *testing.T) {
		newScript(t, "a1 b1 m2").to(3000).
			want("", "2000 say to all: nobody 0 calling", "2200 leader m 1 elected", "2200 promoted 1", "2200 say to all: m 1")
	})
	t.Run("a member without a join number comes behind", func(t *testing.T) {
		newScript(t, "a0 m2").to(3000).want("say", "2000 leader m 1 elected", "2000 promoted 1")
	})
	t.Run("a member that is not eligible is not waited for", func(t *testing.T) {
		newScript(t, "A1 m2").to(3000).want("say", "2000 leader m 1 elected", "2000 promoted 1")
	})
	t.Run("a node that is not eligible does not lead", func(t *testing.T) {
		newScript(t, "M1").to(9000).want("", "0 say to all: nobody 0 unfit")
	})
	t.Run("a call ends the window", func(t *testing.T) {
		newScript(t, "m1 z2").to(500).claims('z', elect.Claim{Calling: true}).to(501).
			want("say", "500 leader m 1 elected", "500 promoted 1")
	})
	t.Run("terms go on from those that were kept", func(t *testing.T) {
		s := newScript(t, "m1")
		s.e = elect.New(s.start, elect.Config{Self: name('m'), Incarnation: incOf('m'), Kept: elect.Reign{Term: 41}})
		s.to(2000).want("say", "2000 leader m 42 elected", "2000 promoted 42")
	})
	t.Run("a newcomer follows who is there, also if it has the lowest ID", func(t *testing.T) {
		newScript(t, "m3 z1").to(10).says('z', 'z', 1, 5).to(9000).want("", "10 leader z 5 joined", "10 say to all: z 5")
	})
}

func TestFailover(t *testing.T) {
	t.Run("the next in rank leads when the view is stable", func(t *testing.T) {
		s := newScript(t, "a1 m2 z3").says('a', 'a', 1, 5).to(1000)
		s.view("m2 z3").to(1020).view("m2").to(2000).want("say",
			"0 leader a 5 joined", "1000 leader nobody 5 gone", "1070 leader m 6 elected", "1070 promoted 6")
	})
	t.Run("a view that keeps changing delays it by 150 ms at most", func(t *testing.T) {
		s := newScript(t, "a1 m2").says('a', 'a', 1, 5).to(1000)
		for i := range 10 {
			s.view([]string{"m2", "m2 z3"}[i%2]).to(1000 + 40*(i+1))
		}
		s.want("say", "0 leader a 5 joined", "1000 leader nobody 5 gone", "1150 leader m 6 elected", "1150 promoted 6")
	})
	t.Run("the second waits for the first, which leads", func(t *testing.T) {
		s := newScript(t, "a1 b2 m3").says('a', 'a', 1, 5).to(1000).view("b2 m3").to(1100).says('b', 'b', 2, 6).to(3000)
		s.want("", "0 leader a 5 joined", "0 say to all: a 5", "1000 leader nobody 5 gone", "1000 say to all: nobody 5",
			"1050 say to all: nobody 5 calling", "1100 leader b 6 elected", "1100 say to all: b 6")
	})
	t.Run("a claim for one that is not a member changes nothing but delays a choice by 3 s", func(t *testing.T) {
		s := newScript(t, "a1 m2 z3").says('a', 'a', 1, 5).says('z', 'x', 1, 9).to(1000).view("m2 z3").to(9000)
		s.want("say", "0 leader a 5 joined", "1000 leader nobody 5 gone", "3000 leader m 10 elected", "3000 promoted 10")
	})
	t.Run("who expects a leader says so, and who hears it waits as well", func(t *testing.T) {
		s := newScript(t, "a1 m2 z3").says('a', 'a', 1, 5).says('z', 'x', 1, 4).to(900).view("m2 z3")
		s.want("leader", "0 say to all: a 5", "900 say to all: nobody 5 waiting")
		s = newScript(t, "a1 m2 z3").says('a', 'a', 1, 5).claims('z', elect.Claim{Last: 5, Waiting: true}).to(1000).view("m2 z3")
		s.to(2000).claims('z', elect.Claim{Last: 5, Calling: true}).to(2001).
			want("say", "0 leader a 5 joined", "1000 leader nobody 5 gone", "2000 leader m 6 elected", "2000 promoted 6")
	})
	t.Run("a member that still follows the dead leader does not delay it", func(t *testing.T) {
		s := newScript(t, "a1 m2 z3").says('a', 'a', 1, 5).says('z', 'a', 1, 5).to(1000).view("m2 z3").to(1050)
		s.want("say", "0 leader a 5 joined", "1000 leader nobody 5 gone", "1050 leader m 6 elected", "1050 promoted 6")
	})
	t.Run("a leader that has restarted is not the leader", func(t *testing.T) {
		s := newScript(t, "a1 m2").says('a', 'a', 1, 5)
		s.do(func(e *elect.Election, now time.Time) {
			e.View(now, []elect.Voter{
				{ID: name('m'), Incarnation: incOf('m'), Join: 2, Eligible: true},
				{ID: name('a'), Incarnation: 99, Join: 3, Eligible: true},
			})
		}).to(50)
		s.want("say", "0 leader a 5 joined", "0 leader nobody 5 gone", "50 leader m 6 elected", "50 promoted 6")
	})
	t.Run("one that finds out late leaves the moment to who is about to lead", func(t *testing.T) {
		s := newScript(t, "a1 m2 z3").says('a', 'a', 1, 5).to(1000).claims('z', elect.Claim{Last: 5, Calling: true})
		s.to(1090).view("m2 z3").to(1114).want("say", "0 leader a 5 joined", "1090 leader nobody 5 gone")
		s.to(1200).want("say", "1125 leader m 6 elected", "1125 promoted 6")
	})
}

func TestTwoLeadersMeet(t *testing.T) {
	lead := func(t *testing.T) *script {
		return newScript(t, "m2").to(2000).want("say", "2000 leader m 1 elected", "2000 promoted 1")
	}
	t.Run("the higher seat steps down at once and follows when the term has risen", func(t *testing.T) {
		s := lead(t).view("a1 m2").says('a', 'a', 1, 1).want("", "2000 demoted 1 merged", "2000 leader nobody 1 merged",
			"2000 say to all: a 1 waiting")
		s.says('a', 'a', 1, 2).want("", "2000 leader a 2 merged", "2000 say to all: a 2")
	})
	t.Run("whatever the terms", func(t *testing.T) {
		lead(t).view("a1 m2").says('a', 'a', 1, 9).says('a', 'a', 1, 10).
			want("say", "2000 demoted 1 merged", "2000 leader nobody 1 merged", "2000 leader a 10 merged")
	})
	t.Run("the lower seat goes on under a term above all", func(t *testing.T) {
		s := lead(t).view("m2 z3").says('z', 'z', 3, 7).want("")
		s.claims('z', elect.Claim{Reign: reign('m', 2, 1), Last: 7, Waiting: true}).
			want("", "2000 leader m 8 merged", "2000 renewed 1 8", "2000 say to all: m 8")
	})
	t.Run("who is waited for may hear it from a third", func(t *testing.T) {
		s := newScript(t, "a1 m2 z3").says('a', 'a', 1, 5).want("", "0 leader a 5 joined", "0 say to all: a 5")
		s.claims('z', elect.Claim{Reign: reign('a', 1, 5), Last: 9, Waiting: true}).want("", "0 say to all: a 9 waiting")
		s.says('a', 'a', 1, 10).want("", "0 leader a 10 merged", "0 say to all: a 10")
	})
	t.Run("who says something else is told every second until it agrees", func(t *testing.T) {
		lead(t).view("m2 z3").says('z', 'z', 3, 7).to(4000).says('z', 'm', 2, 1).to(9000).
			want("", "3000 say to z: m 1 again", "4000 say to z: m 1 again")
	})
	t.Run("who does not know that this node agrees is answered", func(t *testing.T) {
		again := elect.Claim{Reign: reign('m', 2, 1), Last: 1, Again: true}
		lead(t).view("m2 z3").claims('z', again).to(9000).want("", "2000 say to z: m 1")
	})
	t.Run("a leader that is no member is no rival", func(t *testing.T) {
		lead(t).view("m2 z3").says('z', 'a', 1, 7).want("")
	})
	t.Run("a claim that the leader itself has overtaken is over", func(t *testing.T) {
		s := lead(t).view("a1 m2 z3").claims('a', elect.Claim{Reign: reign('z', 3, 6), Last: 6})
		s.says('z', 'a', 1, 6).want("")
	})
	t.Run("a term above 2^53 is ignored", func(t *testing.T) {
		lead(t).view("a1 m2").says('a', 'a', 1, elect.TermMax+1).
			claims('a', elect.Claim{Last: elect.TermMax + 1}).want("")
	})
	t.Run("what a stranger says is ignored", func(t *testing.T) {
		lead(t).says('a', 'a', 1, 5).says('m', 'a', 1, 5).want("")
	})
	t.Run("the join number of the leader becomes known without a change", func(t *testing.T) {
		s := newScript(t, "m0").to(2000).view("m4").view("m4 z0").says('z', 'z', 0, 1)
		s.want("", "2000 leader m 1 elected", "2000 promoted 1", "2000 say to all: m 1", "2000 say to all: m 1")
		newScript(t, "a0 m2").says('a', 'a', 0, 1).says('a', 'a', 1, 1).
			want("", "0 leader a 1 joined", "0 say to all: a 1", "0 say to all: a 1")
	})
}

// lead returns a script in which m leads y and z since 2,000 ms.
func lead(t *testing.T) *script {
	return newScript(t, "m1").to(2000).view("m1 y2 z3").want("say", "2000 leader m 1 elected", "2000 promoted 1")
}

// promote asks for a leader on purpose.
func (s *script) promote(c byte, want error) *script {
	s.t.Helper()
	return s.do(func(e *elect.Election, now time.Time) {
		if err := e.Promote(now, name(c)); !errors.Is(err, want) {
			s.t.Errorf("Promote(%c) = %v, want %v", c, err, want)
		}
	})
}

// resign gives up leading.
func (s *script) resign(want error) *script {
	s.t.Helper()
	return s.do(func(e *elect.Election, now time.Time) {
		if err := e.Resign(now); !errors.Is(err, want) {
			s.t.Errorf("Resign = %v, want %v", err, want)
		}
	})
}

func TestHandingOver(t *testing.T) {
	t.Run("the leader hands over on the same seat", func(t *testing.T) {
		s := lead(t).promote('z', nil)
		s.want("", "2000 demoted 1 handed", "2000 leader z 2 handed", "2000 say to all: z 2")
		s.says('y', 'y', 2, 1).to(2100).want("") // a seat that is higher than the one of m
	})
	t.Run("any other node asks the leader", func(t *testing.T) {
		newScript(t, "a1 m2 z3").promote('z', elect.ErrNoLeader).says('a', 'a', 1, 5).promote('z', nil).
			want("say", "0 leader a 5 joined", "0 ask a for z")
	})
	t.Run("the leader does what a member asks", func(t *testing.T) {
		ask := func(from, target byte, inc ident.Incarnation) func(e *elect.Election, now time.Time) {
			return func(e *elect.Election, now time.Time) {
				e.Asked(now, name(from), elect.Ask{Target: name(target), Incarnation: inc})
			}
		}
		s := lead(t).do(ask('x', 'z', incOf('z'))).do(ask('y', 'x', incOf('x'))).do(ask('y', 'z', 99)).do(ask('y', 'm', incOf('m')))
		s.want("").do(ask('y', 'z', incOf('z'))).want("say", "2000 demoted 1 handed", "2000 leader z 2 handed")
		s.do(ask('y', 'z', incOf('z'))).want("")
		for range 10 {
			s.do(ask('y', 'y', incOf('y'))) // somebody has not heard of z
		}
		s.want("", "2000 ask z for y")
	})
	t.Run("who cannot lead is refused", func(t *testing.T) {
		s := lead(t).view("m1 Y2 z3").claims('z', elect.Claim{Unfit: true})
		s.promote('x', elect.ErrNotMember).promote('y', elect.ErrNotEligible).promote('z', elect.ErrNotEligible)
		s.promote('m', nil).want("say").resign(elect.ErrNoSuccessor).want("say")
	})
	t.Run("who is named leads", func(t *testing.T) {
		s := newScript(t, "a1 m2 z3").says('a', 'a', 1, 5).claims('a', elect.Claim{
			Reign: elect.Reign{Leader: name('m'), Incarnation: incOf('m'), Seat: elect.Seat{Join: 1, ID: name('a')}, Term: 6}, Last: 6,
		})
		s.want("say", "0 leader a 5 joined", "0 leader m 6 handed", "0 promoted 6")
	})
	t.Run("its term is above all that it has heard of", func(t *testing.T) {
		s := newScript(t, "a1 m2 z3").says('a', 'a', 1, 5).says('z', 'x', 1, 9).claims('a', elect.Claim{
			Reign: elect.Reign{Leader: name('m'), Incarnation: incOf('m'), Seat: elect.Seat{Join: 1, ID: name('a')}, Term: 6}, Last: 6,
		})
		s.want("say", "0 leader a 5 joined", "0 leader m 10 handed", "0 promoted 10")
	})
	t.Run("who is named and cannot lead passes it on", func(t *testing.T) {
		s := newScript(t, "a1 m2 z3").says('a', 'a', 1, 5).do(func(e *elect.Election, now time.Time) { e.SetFit(now, false) })
		s.claims('a', elect.Claim{
			Reign: elect.Reign{Leader: name('m'), Incarnation: incOf('m'), Seat: elect.Seat{Join: 1, ID: name('a')}, Term: 6}, Last: 6,
			Resigned: true,
		})
		s.want("say", "0 leader a 5 joined", "0 leader z 7 handed")
	})
	t.Run("who resigned leads again only if nobody else can", func(t *testing.T) {
		s := lead(t).resign(nil).want("say", "2000 demoted 1 handed", "2000 leader y 2 handed")
		s.resign(elect.ErrNotLeader).to(3000).view("m1 z3").to(3060)
		s.want("say", "3000 leader nobody 2 gone").to(3100).says('z', 'z', 3, 3).want("say", "3100 leader z 3 elected")
		s.to(4000).view("m1").to(5000).want("say", "4000 leader nobody 3 gone", "4050 leader m 4 elected", "4050 promoted 4")
	})
	t.Run("a leader that is unfit hands over, one without a successor just ends", func(t *testing.T) {
		unfit := func(e *elect.Election, now time.Time) { e.SetFit(now, false) }
		lead(t).do(unfit).want("say", "2000 demoted 1 unfit", "2000 leader y 2 handed")
		s := newScript(t, "m1").to(2000).want("say", "2000 leader m 1 elected", "2000 promoted 1").do(unfit)
		s.want("", "2000 demoted 1 unfit", "2000 leader nobody 1 unfit", "2000 say to all: nobody 1 unfit").to(9000).want("")
		s.do(func(e *elect.Election, now time.Time) { e.SetFit(now, true) }).to(9000).
			want("say", "9000 leader m 2 elected", "9000 promoted 2")
	})
	t.Run("so does one that is not eligible any more, by its word or its record", func(t *testing.T) {
		lead(t).do(func(e *elect.Election, now time.Time) { e.SetEligible(now, false) }).
			want("say", "2000 demoted 1 unfit", "2000 leader y 2 handed")
		lead(t).view("M1 y2 z3").want("say", "2000 demoted 1 unfit", "2000 leader y 2 handed")
	})
}

func TestUsedUpTerms(t *testing.T) {
	s := newScript(t, "a1 m2 z3").says('a', 'a', 1, elect.TermMax).to(1000).view("m2 z3").to(9000)
	s.want("say", "0 leader a 9007199254740992 joined", "1000 leader nobody 9007199254740992 gone")
	if at, ok := s.e.Next(); ok {
		t.Errorf("Next = %v, want none", at)
	}
}

func TestViewPanics(t *testing.T) {
	me := elect.Voter{ID: name('m'), Incarnation: incOf('m')}
	for what, list := range map[string][]elect.Voter{
		"without this node":   {{ID: name('a')}},
		"with a member twice": {me, {ID: name('a')}, {ID: name('a')}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a view %s was taken", what)
				}
			}()
			elect.New(time.Unix(0, 0), elect.Config{Self: name('m'), Incarnation: incOf('m')}).View(time.Unix(1, 0), list)
		}()
	}
}

func TestCauses(t *testing.T) {
	var got []string
	for c := range elect.Cause(8) {
		got = append(got, c.String())
	}
	if want := "cause 0 elected handed merged joined gone unfit cause 7"; strings.Join(got, " ") != want {
		t.Errorf("causes are %q, want %q", got, want)
	}
}

func TestLinkedSaysWhatThereIsToSay(t *testing.T) {
	newScript(t, "a1 m2").says('a', 'a', 1, 5).want("", "0 leader a 5 joined", "0 say to all: a 5").
		do(func(e *elect.Election, now time.Time) { e.Linked(now, name('a')) }).want("", "0 say to a: a 5")
}

func TestLeaderIsWhoIsFollowed(t *testing.T) {
	s := newScript(t, "a1 m2")
	if id, term, ok := s.e.Leader(); ok {
		t.Errorf("Leader = %v, %d, want none", id, term)
	}
	s.says('a', 'a', 1, 5)
	if id, term, ok := s.e.Leader(); id != name('a') || term != 5 || !ok || s.e.Leading() {
		t.Errorf("Leader = %v, %d, %t, Leading = %t; want %v, 5, true, false", id, term, ok, s.e.Leading(), name('a'))
	}
}
