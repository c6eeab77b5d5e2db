package lease_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// script is one election of node 0 with a lease of 1 s, and what others say to it.
type script struct {
	t   testing.TB
	e   *lease.Election
	now time.Time
}

func newElection(t testing.TB, c lease.Config) *script {
	t.Helper()
	c.Self, c.Incarnation = name(0), 1
	s := &script{t: t, now: epoch}
	var err error
	if s.e, err = lease.New(s.now, c); err != nil {
		t.Fatal(err)
	}
	return s
}

// follower returns node 0 of three, whose guard is over and which is too young to stand
// first.
func follower(t testing.TB) *script {
	t.Helper()
	s := newElection(t, lease.Config{Electorate: lease.Quorum(3)})
	s.e.View(s.now, members(3, 1, 2))
	s.pass(1100 * time.Millisecond)
	s.e.Take()
	return s
}

// members returns nodes 0 to n-1, all eligible, with these join numbers.
func members(joins ...uint64) (all []lease.Voter) {
	for i, join := range joins {
		all = append(all, lease.Voter{ID: name(i), Join: join, Eligible: true})
	}
	return all
}

// pass lets time pass without a Tick.
func (s *script) pass(d time.Duration) { s.now = s.now.Add(d) }

// say passes a message of a node on and returns the answer, if one came.
func (s *script) say(from int, m lease.Message) (a lease.Answer, ok bool) {
	s.t.Helper()
	s.e.Receive(s.now, name(from), m)
	for _, act := range s.e.Take() {
		if send, is := act.(lease.Send); is && send.To == name(from) {
			a, ok = send.Message.(lease.Answer)
		}
	}
	return a, ok
}

// ask returns a question of incarnation 9.
func ask(k lease.Kind, t ident.Term) lease.Ask {
	return lease.Ask{Kind: k, Electorate: 3, Incarnation: 9, Number: 1, Term: t}
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    lease.Config
		want error
	}{
		{"Quorum(0)", lease.Config{Electorate: lease.Quorum(0)}, lease.ErrElectorate},
		{"Quorum(-1)", lease.Config{Electorate: lease.Quorum(-1)}, lease.ErrElectorate},
		{"no electorate", lease.Config{}, lease.ErrElectorate},
		{"Quorum(1)", lease.Config{Electorate: lease.Quorum(1)}, nil},
		{"an even n", lease.Config{Electorate: lease.Quorum(4)}, nil},
		{"the largest n", lease.Config{Electorate: lease.Quorum(lease.SizeMax)}, nil},
		{"a larger n", lease.Config{Electorate: lease.Quorum(lease.SizeMax + 1)}, lease.ErrElectorate},
		{"no voters", lease.Config{Electorate: lease.Voters()}, lease.ErrElectorate},
		{"a voter twice", lease.Config{Electorate: lease.Voters(name(1), name(2), name(1))}, lease.ErrElectorate},
		{"a voter of zeros", lease.Config{Electorate: lease.Voters(name(1), ident.NodeID{})}, lease.ErrElectorate},
		{"a lease of 1 ms", lease.Config{Electorate: lease.Quorum(3), Lease: time.Millisecond}, lease.ErrLease},
		{"a lease of an hour", lease.Config{Electorate: lease.Quorum(3), Lease: time.Hour}, lease.ErrLease},
	} {
		if _, err := lease.New(epoch, tt.c); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestElectoratesHaveTags(t *testing.T) {
	all := []lease.Electorate{
		lease.Quorum(2), lease.Quorum(3), lease.Voters(name(1), name(2)), lease.Voters(name(1), name(3)),
	}
	for i, a := range all {
		for j, b := range all {
			if (a.Tag() == b.Tag()) != (i == j) {
				t.Errorf("tags of %v and %v: %x, %x", a, b, a.Tag(), b.Tag())
			}
		}
	}
	if a, b := lease.Voters(name(1), name(2)), lease.Voters(name(2), name(1)); a.Tag() != b.Tag() {
		t.Errorf("the order of voters counts: %x, %x", a.Tag(), b.Tag())
	}
	if got := lease.Quorum(3).Tag(); got != 3 {
		t.Errorf("Quorum(3).Tag() = %d, want 3", got)
	}
}

// stand lets node 0, the oldest of three, stand at once and returns its poll.
func stand(t *testing.T) (*script, lease.Ask) {
	t.Helper()
	s := newElection(t, lease.Config{Electorate: lease.Quorum(3)})
	s.e.View(s.now, members(1, 2, 3))
	s.pass(1100 * time.Millisecond)
	s.e.Tick(s.now)
	return s, s.asked(lease.Poll)
}

// asked returns the question that node 0 has just put to the others.
func (s *script) asked(k lease.Kind) lease.Ask {
	s.t.Helper()
	acts := s.e.Take()
	for _, act := range acts {
		if send, ok := act.(lease.Send); ok {
			if a, ok := send.Message.(lease.Ask); ok && a.Kind == k {
				return a
			}
		}
	}
	s.t.Fatalf("%+v, want a question of kind %d", acts, k)
	return lease.Ask{}
}

func yes(a lease.Ask, seen ident.Term, clock uint64) lease.Answer {
	return lease.Answer{
		Granted: true, Electorate: 3, Incarnation: a.Incarnation, Number: a.Number, Seen: seen, Clock: clock,
	}
}

func TestTerms(t *testing.T) {
	const day = 24 * 60 * 60 * 1000
	now := uint64(epoch.Add(1100 * time.Millisecond).UnixMilli())
	for _, tt := range []struct {
		name  string
		wall  time.Duration // of node 0, from the right time
		seen  ident.Term    // of node 1
		clock uint64        // of node 1
		want  ident.Term
	}{
		{"the clocks agree", 0, 0, now, ident.Term(now)},
		{"the other clock is a little ahead", 0, 0, now + 5000, ident.Term(now + 5000)},
		{"the other clock is a day ahead", 0, 0, now + day, ident.Term(now + day)},
		{"the other clock is more than a day ahead", 0, 0, now + day + 1, ident.Term(now)},
		{"the own clock is more than a day ahead", 25 * time.Hour, 0, now, ident.Term(now)},
		{"the other clock stands at the beginning", 0, 0, 0, 1},
		{"the own clock is before 1970", -100 * 365 * 24 * time.Hour, 3, 5, 5},
		{"a term above the clocks", 0, ident.Term(now + 7), now, ident.Term(now + 8)},
		{"a clock beyond every term", 0, 0, math.MaxUint64, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newElection(t, lease.Config{Electorate: lease.Quorum(3), Kept: tt.seen})
			s.e.SetWall(s.now, s.now.Add(tt.wall))
			s.e.View(s.now, members(1, 2, 3))
			s.pass(1100 * time.Millisecond)
			s.e.Tick(s.now)
			s.e.Receive(s.now, name(1), yes(s.asked(lease.Poll), tt.seen, tt.clock))
			if got := s.asked(lease.Claim).Term; got != tt.want {
				t.Errorf("term %d, want %d", got, tt.want)
			}
		})
	}
}

// What does not answer the present claim makes no leader.
func TestOnlyVotesForTheClaimCount(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(poll, claim lease.Ask, a *lease.Answer) (from int)
		want   bool
	}{
		{"a vote", func(_, _ lease.Ask, _ *lease.Answer) int { return 1 }, true},
		{"a refusal", func(_, _ lease.Ask, a *lease.Answer) int { a.Granted = false; return 1 }, false},
		{"a yes to the poll", func(p, _ lease.Ask, a *lease.Answer) int { a.Number = p.Number; return 2 }, false},
		{"for another incarnation", func(_, _ lease.Ask, a *lease.Answer) int { a.Incarnation++; return 1 }, false},
		{"of a stranger", func(_, _ lease.Ask, _ *lease.Answer) int { return 9 }, false},
		{"of itself", func(_, _ lease.Ask, _ *lease.Answer) int { return 0 }, false},
		{"in another electorate", func(_, _ lease.Ask, a *lease.Answer) int { a.Electorate = 5; return 1 }, false},
		{"with a term beyond all", func(_, _ lease.Ask, a *lease.Answer) int { a.Seen = lease.TermMax + 1; return 1 }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, poll := stand(t)
			s.e.Receive(s.now, name(1), yes(poll, 0, 0))
			claim := s.asked(lease.Claim)
			a := yes(claim, claim.Term, 0)
			from := tt.change(poll, claim, &a)
			s.e.Receive(s.now, name(from), a)
			if got := s.e.Leading(s.now); got != tt.want {
				t.Errorf("%+v of node %d: leading %t, want %t", a, from, got, tt.want)
			}
		})
	}
}

// A node that slept in its claim gives its vote to another before it finds out that its
// attempt is over. That vote stays given.
func TestLateEndOfAClaim(t *testing.T) {
	s, poll := stand(t)
	s.e.Receive(s.now, name(1), yes(poll, 0, 0))
	claim := s.asked(lease.Claim)
	s.pass(2 * time.Second)
	if a, ok := s.say(1, ask(lease.Claim, claim.Term+1)); !ok || !a.Granted {
		t.Fatalf("%+v, %t; want the vote", a, ok)
	}
	s.e.Tick(s.now)
	s.e.Receive(s.now, name(2), yes(claim, claim.Term, 0))
	if a, ok := s.say(2, ask(lease.Claim, claim.Term+2)); !ok || a.Granted || s.e.Leading(s.now) {
		t.Errorf("%+v, %t; leading %t; want a refusal", a, ok, s.e.Leading(s.now))
	}
}

// The lease counts from before the question, and votes that come late make it no longer.
func TestLeaseCountsFromTheQuestion(t *testing.T) {
	s, poll := stand(t)
	s.e.Receive(s.now, name(1), yes(poll, 0, 0))
	claim := s.asked(lease.Claim)
	asked := s.now
	s.pass(200 * time.Millisecond)
	s.e.Receive(s.now, name(1), yes(claim, claim.Term, 0))
	want := []lease.Action{lease.Leader{ID: name(0), Term: claim.Term}, lease.Promoted{Term: claim.Term}}
	acts := s.e.Take()
	if diff := cmp.Diff(want, acts[:2]); diff != "" {
		t.Fatalf("actions (-want +got):\n%s", diff)
	}
	until := asked.Add(time.Second)
	if _, got, ok := s.e.Lease(); !ok || !got.Equal(until) {
		t.Errorf("lease until %v, want a second from the question, %v", got, until)
	}
	if !s.e.Leading(until.Add(-1)) || s.e.Leading(until) {
		t.Errorf("Leading just before and at the end: %t, %t", s.e.Leading(until.Add(-1)), s.e.Leading(until))
	}
	// The end comes first, whatever else is said at that moment.
	renewal := lease.Answer{Granted: true, Electorate: 3, Incarnation: 1, Number: claim.Number + 1}
	s.e.Receive(until, name(1), renewal)
	acts = s.e.Take()
	if diff := cmp.Diff(lease.Action(lease.Demoted{Term: claim.Term, Cause: lease.CauseExpired}), acts[0]); diff != "" {
		t.Errorf("at the end of the lease (-want +got):\n%s", diff)
	}
	if s.e.Leading(until) || s.e.Leading(asked) {
		t.Error("it leads again")
	}
}

func TestConflictIsReportedWhenItLasts(t *testing.T) {
	s := follower(t)
	reports := func() (all []lease.Action) {
		s.e.Tick(s.now) // at worst too early
		for _, a := range s.e.Take() {
			if c, ok := a.(lease.Conflict); ok {
				all = append(all, c)
			}
		}
		return all
	}
	for i, tt := range []struct {
		view   []lease.Voter
		states int // the node that states another electorate, or 0
		pass   time.Duration
		want   []lease.Action
	}{
		{members(3, 1, 2, 4), 0, 999 * time.Millisecond, nil},
		{members(3, 1, 2), 0, 5 * time.Second, nil}, // it lasted for a moment only
		{members(3, 1, 2, 4), 0, time.Second, []lease.Action{lease.Conflict{Surplus: []ident.NodeID{name(3)}}}},
		{members(3, 1, 2, 4), 0, 5 * time.Second, nil},
		{members(3, 1, 2, 4), 1, time.Second, []lease.Action{lease.Conflict{Surplus: []ident.NodeID{name(3), name(1)}}}},
		{members(3, 1, 2), 0, time.Second, []lease.Action{lease.Conflict{Surplus: []ident.NodeID{name(1)}}}},
		{members(3, 1, 2, 0, 0), 0, time.Second, []lease.Action{lease.Conflict{Surplus: []ident.NodeID{name(1), name(3), name(4)}}}},
		{members(3)[:1], 0, time.Second, []lease.Action{lease.Conflict{}}}, // who is gone states nothing
		{members(3, 1, 2), 0, time.Second, nil},
	} {
		s.e.View(s.now, tt.view)
		if tt.states > 0 {
			s.e.Foreign(s.now, name(tt.states))
		}
		s.pass(tt.pass)
		got := reports()
		for _, a := range tt.want {
			c, _ := a.(lease.Conflict)
			slices.SortFunc(c.Surplus, ident.NodeID.Compare)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestLeadingAllocatesNothing(t *testing.T) {
	s := follower(t)
	if n := testing.AllocsPerRun(100, func() { s.e.Leading(s.now) }); n != 0 {
		t.Errorf("Leading allocates %v times, want 0", n)
	}
}

func ExampleElection() {
	e, err := lease.New(epoch, lease.Config{Self: name(0), Incarnation: 1, Electorate: lease.Quorum(1)})
	if err != nil {
		fmt.Println(err)
		return
	}
	e.View(epoch, []lease.Voter{{ID: name(0), Join: 1, Eligible: true}})
	at, _ := e.Next()
	e.Tick(at)
	fmt.Println(at.Sub(epoch), e.Leading(at))
	fmt.Println(e.Leading(at.Add(time.Second)))
	// Output:
	// 1.1s true
	// false
}
