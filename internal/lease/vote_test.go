package lease_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// What a voter grants, in one line each: what was said before, what is asked now.
func TestVotes(t *testing.T) {
	const second = time.Second
	other := func(a lease.Ask) lease.Ask { a.Incarnation = 10; return a }
	elsewhere := func(a lease.Ask) lease.Ask { a.Electorate = 5; return a }
	after := func(a lease.Ask, t ident.Term) lease.Ask { a.After = t; return a }
	type said struct {
		at   time.Duration // since the one before
		from int
		m    lease.Message
	}
	for _, tt := range []struct {
		name string
		said []said // the last one is judged
		want bool
		wait time.Duration
	}{
		{"a free vote", []said{{0, 1, ask(lease.Claim, 7)}}, true, 0},
		{"a poll", []said{{0, 1, ask(lease.Poll, 0)}}, true, 0},
		{"a poll binds nobody", []said{{0, 1, ask(lease.Poll, 0)}, {0, 2, ask(lease.Claim, 7)}}, true, 0},
		{"a vote that is given", []said{{0, 1, ask(lease.Claim, 7)}, {0, 2, ask(lease.Claim, 8)}}, false, 1025e6},
		{"a poll about it", []said{{0, 1, ask(lease.Claim, 7)}, {second, 2, ask(lease.Poll, 0)}}, false, 25e6},
		{"the last nanosecond", []said{{0, 1, ask(lease.Claim, 7)}, {1025e6 - 1, 2, ask(lease.Claim, 8)}}, false, 1},
		{"free again", []said{{0, 1, ask(lease.Claim, 7)}, {1025e6, 2, ask(lease.Claim, 8)}}, true, 0},
		{"the same term for another", []said{{0, 1, ask(lease.Claim, 7)}, {2 * second, 2, ask(lease.Claim, 7)}}, false, 0},
		{"the same, again", []said{{0, 1, ask(lease.Claim, 7)}, {0, 1, ask(lease.Claim, 8)}}, true, 0},
		{"the same under a lower term", []said{{0, 1, ask(lease.Claim, 7)}, {0, 1, ask(lease.Claim, 6)}}, false, 0},
		{
			"another incarnation of the same",
			[]said{{0, 1, ask(lease.Claim, 7)}, {0, 1, other(ask(lease.Claim, 8))}},
			false, 1025e6,
		},
		{"a renewal", []said{{0, 1, ask(lease.Claim, 7)}, {second, 1, ask(lease.Renew, 7)}}, true, 0},
		{
			"a renewal lasts",
			[]said{
				{0, 1, ask(lease.Claim, 7)},
				{second, 1, ask(lease.Renew, 7)},
				{second, 2, ask(lease.Claim, 8)},
			},
			false, 25e6,
		},
		{"a leader that is new here", []said{{0, 1, ask(lease.Renew, 7)}}, true, 0},
		{
			"a leader, after a higher claim",
			[]said{{0, 2, ask(lease.Claim, 9)}, {2 * second, 1, ask(lease.Renew, 7)}},
			false, 0,
		},
		{
			"a leader whose vote ran out here",
			[]said{{0, 1, ask(lease.Claim, 7)}, {3 * second, 1, ask(lease.Renew, 7)}},
			true, 0,
		},
		{
			"another that says it leads in the same term",
			[]said{{0, 1, ask(lease.Claim, 7)}, {0, 2, ask(lease.Renew, 7)}},
			false, 1025e6,
		},
		{
			"a poll while there is a leader that has not got this vote",
			[]said{
				{0, 2, ask(lease.Claim, 9)},
				{0, 2, lease.Release{Term: 9}},
				{0, 1, ask(lease.Renew, 7)},
				{0, 2, ask(lease.Poll, 0)},
			},
			false, 1025e6,
		},
		{
			"a renewal under another electorate",
			[]said{{0, 1, ask(lease.Claim, 7)}, {0, 1, elsewhere(ask(lease.Renew, 7))}},
			false, 0,
		},
		{"a release", []said{{0, 1, ask(lease.Claim, 7)}, {0, 1, lease.Release{Term: 7}}, {0, 2, ask(lease.Claim, 8)}}, true, 0},
		{
			"a release by another",
			[]said{{0, 1, ask(lease.Claim, 7)}, {0, 2, lease.Release{Term: 7}}, {0, 2, ask(lease.Claim, 8)}},
			false, 1025e6,
		},
		{
			"a release of an older reign",
			[]said{{0, 1, ask(lease.Claim, 7)}, {0, 1, lease.Release{Term: 6}}, {0, 2, ask(lease.Claim, 8)}},
			false, 1025e6,
		},
		{
			"what was released is not renewed",
			[]said{
				{0, 1, ask(lease.Claim, 7)},
				{0, 1, lease.Release{Term: 7}},
				{0, 2, ask(lease.Claim, 8)},
				{0, 1, ask(lease.Renew, 7)},
			},
			false, 1025e6,
		},
		{"a successor's word", []said{{0, 1, ask(lease.Claim, 7)}, {0, 2, after(ask(lease.Claim, 8), 7)}}, true, 0},
		{
			"a successor's word about another reign",
			[]said{{0, 1, ask(lease.Claim, 7)}, {0, 2, after(ask(lease.Claim, 8), 6)}},
			false, 1025e6,
		},
		{"a term beyond all", []said{{0, 1, ask(lease.Claim, lease.TermMax+1)}, {0, 2, ask(lease.Claim, 1)}}, true, 0},
		{
			"a rule with an incredible term",
			[]said{{0, 1, lease.Rule{Electorate: 3, Seen: lease.TermMax}}, {0, 2, ask(lease.Claim, 1)}},
			true, 0,
		},
		{
			"a rule with a term",
			[]said{{0, 1, lease.Rule{Electorate: 3, Seen: 8}}, {0, 2, ask(lease.Claim, 8)}},
			false, 0,
		},
		{
			"somebody states another electorate",
			[]said{{0, 1, lease.Rule{Electorate: 5}}, {0, 2, ask(lease.Claim, 8)}},
			false, 0,
		},
		{
			"a renewal meanwhile",
			[]said{
				{0, 2, ask(lease.Claim, 8)},
				{0, 1, lease.Rule{Electorate: 5}},
				{second, 2, ask(lease.Renew, 8)},
			},
			true, 0,
		},
		{
			"a leader that is new here meanwhile",
			[]said{{0, 1, lease.Rule{Electorate: 5}}, {0, 2, ask(lease.Renew, 8)}},
			false, 0,
		},
		{
			"no more of it",
			[]said{
				{0, 1, lease.Rule{Electorate: 5}},
				{0, 1, lease.Rule{Electorate: 3}},
				{0, 2, ask(lease.Claim, 8)},
			},
			true, 0,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := follower(t)
			var got lease.Answer
			ok := false
			for _, said := range tt.said {
				s.pass(said.at)
				got, ok = s.say(said.from, said.m)
			}
			if !ok || got.Granted != tt.want || got.Wait != tt.wait {
				t.Errorf("%+v is answered with %+v, %t; want granted %t, wait %v", tt.said, got, ok, tt.want, tt.wait)
			}
		})
	}
}

func TestNoVoteBeforeTheGuardIsOver(t *testing.T) {
	s := newElection(t, lease.Config{Electorate: lease.Quorum(3)})
	s.e.View(s.now, members(3, 1, 2))
	s.pass(1100*time.Millisecond - 1)
	if a, ok := s.say(1, ask(lease.Claim, 7)); !ok || a.Granted || a.Wait != 1 {
		t.Errorf("%+v, %t; want a refusal until the next nanosecond", a, ok)
	}
	s.pass(1)
	if a, ok := s.say(1, ask(lease.Claim, 7)); !ok || !a.Granted {
		t.Errorf("%+v, %t; want the vote", a, ok)
	}
	s.e.SetEligible(s.now, false)
	if a, ok := s.say(1, ask(lease.Renew, 7)); ok {
		t.Errorf("%+v of a node without a vote", a)
	}
	s.e.SetEligible(s.now, true)
	if a, ok := s.say(1, ask(lease.Claim, 8)); !ok || a.Granted || a.Wait != 1100*time.Millisecond {
		t.Errorf("%+v, %t; want a refusal for 1.1 leases: it is as good as new", a, ok)
	}
}

func TestWhatIsNotAnswered(t *testing.T) {
	for _, tt := range []struct {
		name string
		from int
		m    lease.Message
	}{
		{"a stranger", 9, ask(lease.Claim, 7)},
		{"itself", 0, ask(lease.Claim, 7)},
		{"a claim without a term", 1, ask(lease.Claim, 0)},
		{"a renewal without a term", 1, ask(lease.Renew, 0)},
		{"a term beyond all", 1, ask(lease.Claim, lease.TermMax+1)},
		{"an answer", 1, lease.Answer{Granted: true, Electorate: 3, Incarnation: 1}},
		{"nothing", 1, nil},
	} {
		if a, ok := follower(t).say(tt.from, tt.m); ok {
			t.Errorf("%s: %+v is answered with %+v", tt.name, tt.m, a)
		}
	}
}

func TestOnlyVotersAreAnswered(t *testing.T) {
	rule := lease.Voters(name(0), name(1), name(2))
	s := newElection(t, lease.Config{Electorate: rule})
	all := members(3, 1, 2, 4)
	all[1].Eligible = false // with Voters it has its vote all the same
	s.e.View(s.now, all)
	s.pass(2 * time.Second)
	q := ask(lease.Claim, 7)
	q.Electorate = rule.Tag()
	for from, want := range map[int]bool{1: true, 3: false, 9: false} {
		if a, ok := s.say(from, q); ok != want {
			t.Errorf("node %d is answered with %+v, %t; want %t", from, a, ok, want)
		}
	}
}

// Whatever members say, a voter keeps its promises: nobody else gets a vote that is given.
func TestHostileMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, err := lease.New(epoch, lease.Config{Self: name(0), Incarnation: 1, Electorate: lease.Quorum(3)})
		if err != nil {
			t.Fatal(err)
		}
		now := epoch
		e.View(now, members(3, 1, 2))
		term := rapid.Custom(func(t *rapid.T) ident.Term {
			return ident.Term(rapid.OneOf(rapid.Uint64Range(0, 9), rapid.Uint64()).Draw(t, "term"))
		})
		number := rapid.Uint64Range(0, 6)
		type given struct {
			from  int
			until time.Time
			term  ident.Term
		}
		var vote given
		for range rapid.IntRange(1, 80).Draw(t, "count") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "pass")))
			from := rapid.IntRange(0, 4).Draw(t, "from")
			var m lease.Message
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0, 1:
				m = lease.Ask{
					Kind: lease.Kind(rapid.IntRange(0, 2).Draw(t, "ask")), Electorate: 3, Incarnation: 9,
					Number: number.Draw(t, "number"), Term: term.Draw(t, "term"),
				}
			case 2:
				m = lease.Answer{
					Granted: rapid.Bool().Draw(t, "granted"), Electorate: 3, Incarnation: 1,
					Number: number.Draw(t, "number"), Seen: term.Draw(t, "seen"), Clock: rapid.Uint64().Draw(t, "clock"),
					Wait: time.Duration(rapid.Int64().Draw(t, "wait")),
				}
			case 3:
				m = lease.Rule{Electorate: rapid.Uint64Range(3, 4).Draw(t, "tag"), Seen: term.Draw(t, "seen"), Leads: term.Draw(t, "leads")}
			case 4:
				m = lease.Release{Term: term.Draw(t, "term"), Successor: name(rapid.IntRange(0, 4).Draw(t, "to"))}
			default:
				m = lease.Promote{Target: name(rapid.IntRange(0, 4).Draw(t, "to"))}
			}
			if r, ok := m.(lease.Release); ok && vote.from == from && r.Term == vote.term {
				vote = given{}
			}
			e.Receive(now, name(from), m)
			for ticks := 0; ; ticks++ {
				if at, ok := e.Next(); !ok || at.After(now) {
					break
				}
				if e.Tick(now); ticks > 20 {
					t.Fatalf("after %+v it wants a tick again and again", m)
				}
			}
			asked, isAsk := m.(lease.Ask)
			for _, act := range e.Take() {
				send, ok := act.(lease.Send)
				if !ok {
					continue
				}
				a, ok := send.Message.(lease.Answer)
				if !ok || !a.Granted || !isAsk || asked.Kind == lease.Poll {
					continue
				}
				if vote.from != from && now.Before(vote.until) {
					t.Fatalf("node %d gets the vote of node %d, given until %v, at %v", from, vote.from, vote.until, now)
				}
				vote = given{from: from, until: now.Add(1025 * time.Millisecond), term: asked.Term}
			}
			if _, until, ok := e.Lease(); ok && until.After(now.Add(time.Second)) {
				t.Fatalf("a lease of %v", until.Sub(now))
			}
		}
	})
}
