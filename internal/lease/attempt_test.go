package lease_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// reigning returns node 0 of three as the leader since now, and what it asked last.
func reigning(t *testing.T) (*script, lease.Ask) {
	t.Helper()
	s, poll := stand(t)
	s.e.Receive(s.now, name(1), yes(poll, 0, 0))
	claim := s.asked(lease.Claim)
	s.e.Receive(s.now, name(1), yes(claim, claim.Term, 0))
	return s, s.asked(lease.Renew)
}

// has returns the actions of one type.
func has[T lease.Action](acts []lease.Action) (all []T) {
	for _, a := range acts {
		if a, ok := a.(T); ok {
			all = append(all, a)
		}
	}
	return all
}

// What renews a lease, and to when.
func TestRenewal(t *testing.T) {
	const third = time.Second / 3
	for _, tt := range []struct {
		name   string
		change func(first lease.Ask, a *lease.Answer) (from int)
		want   time.Duration // until, since the first round
	}{
		{"a vote", func(_ lease.Ask, _ *lease.Answer) int { return 1 }, third + time.Second},
		{"of the other", func(_ lease.Ask, _ *lease.Answer) int { return 2 }, third + time.Second},
		{"a late vote", func(f lease.Ask, a *lease.Answer) int { a.Number = f.Number; return 2 }, time.Second},
		{"a refusal", func(_ lease.Ask, a *lease.Answer) int { a.Granted = false; return 1 }, time.Second},
		{"in a round to come", func(_ lease.Ask, a *lease.Answer) int { a.Number++; return 1 }, time.Second},
		{"for another incarnation", func(_ lease.Ask, a *lease.Answer) int { a.Incarnation++; return 1 }, time.Second},
		{"in another electorate", func(_ lease.Ask, a *lease.Answer) int { a.Electorate = 5; return 1 }, time.Second},
		{"of a stranger", func(_ lease.Ask, _ *lease.Answer) int { return 9 }, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, first := reigning(t)
			begin := s.now
			s.pass(third)
			s.e.Tick(s.now)
			a := yes(s.asked(lease.Renew), first.Term, 0)
			from := tt.change(first, &a)
			s.e.Receive(s.now, name(from), a)
			if _, until, ok := s.e.Lease(); !ok || until.Sub(begin) != tt.want {
				t.Errorf("lease of %v, %t; want %v", until.Sub(begin), ok, tt.want)
			}
		})
	}
}

// A leader keeps its own vote, whatever others say and however long it leads.
func TestLeaderKeepsItsVote(t *testing.T) {
	s, renew := reigning(t)
	for range 9 {
		s.e.Receive(s.now, name(1), yes(renew, renew.Term, 0))
		s.pass(time.Second / 3)
		s.e.Tick(s.now)
		renew = s.asked(lease.Renew)
	}
	forged := ask(lease.Claim, renew.Term+1)
	for _, after := range []ident.Term{0, renew.Term} {
		forged.After = after
		if a, ok := s.say(2, forged); !ok || a.Granted {
			t.Errorf("%+v is answered with %+v, %t", forged, a, ok)
		}
	}
	higher := ask(lease.Renew, renew.Term+1)
	if _, ok := s.say(2, higher); !ok || !s.e.Leading(s.now) {
		t.Error("somebody says that it leads in a higher term, and that is enough")
	}
	s.e.Foreign(s.now, name(1))
	s.e.Receive(s.now, name(2), higher)
	want := []lease.Demoted{{Term: renew.Term, Cause: lease.CauseConflict}}
	if diff := cmp.Diff(want, has[lease.Demoted](s.e.Take())); diff != "" {
		t.Errorf("in a conflict (-want +got):\n%s", diff)
	}
}

// A claim that cannot succeed is over at once, and the votes are free.
func TestClaimThatFails(t *testing.T) {
	s, poll := stand(t)
	s.e.Receive(s.now, name(1), yes(poll, 0, 0))
	claim := s.asked(lease.Claim)
	no := yes(claim, 0, 0)
	no.Granted = false
	s.e.Receive(s.now, name(1), no)
	s.e.Receive(s.now, name(1), no) // the same again is not another
	if acts := s.e.Take(); len(acts) > 0 {
		t.Errorf("%+v while the vote of node 2 is open", acts)
	}
	s.e.Receive(s.now, name(2), no)
	want := []lease.Action{
		lease.Send{To: name(1), Message: lease.Release{Term: claim.Term}},
		lease.Send{To: name(2), Message: lease.Release{Term: claim.Term}},
	}
	if diff := cmp.Diff(want, s.e.Take()); diff != "" {
		t.Errorf("after two refusals (-want +got):\n%s", diff)
	}
	if a, ok := s.say(2, ask(lease.Claim, claim.Term+1)); !ok || !a.Granted {
		t.Errorf("%+v, %t; want the vote, which is free again", a, ok)
	}
}

// After a refusal a node asks again when that is of use.
func TestPollAgain(t *testing.T) {
	for _, tt := range []struct{ wait, want time.Duration }{
		{40 * time.Millisecond, 40 * time.Millisecond},
		{1, 10 * time.Millisecond},
		{0, 500 * time.Millisecond},
		{-1, 500 * time.Millisecond},
		{time.Second, 500 * time.Millisecond},
		{math.MaxInt64, 500 * time.Millisecond},
	} {
		s, poll := stand(t)
		no := yes(poll, 0, 0)
		no.Granted, no.Wait = false, tt.wait
		s.e.Receive(s.now, name(1), no)
		if at, ok := s.e.Next(); !ok || at.Sub(s.now) != tt.want {
			t.Errorf("told to wait for %v: next after %v, %t; want %v", tt.wait, at.Sub(s.now), ok, tt.want)
		}
		at, _ := s.e.Next()
		s.now = at
		s.e.Tick(s.now)
		// Two leases at most, whatever the wait.
		if at, ok := s.e.Next(); !ok || at.Sub(s.now) > 2*time.Second {
			t.Errorf("told to wait for %v: then after %v, %t", tt.wait, at.Sub(s.now), ok)
		}
	}
}

// A node that saw a term which the others cannot believe leaves it to them.
func TestIncredibleTerm(t *testing.T) {
	s := newElection(t, lease.Config{Electorate: lease.Quorum(3), Kept: lease.TermMax - 5})
	s.e.View(s.now, members(1, 2, 3))
	s.pass(1100 * time.Millisecond)
	s.e.Tick(s.now)
	s.e.Receive(s.now, name(1), yes(s.asked(lease.Poll), 0, 1))
	if acts := s.e.Take(); len(acts) > 0 {
		t.Errorf("%+v, want nothing", acts)
	}
}

// A conflict ends an attempt.
func TestConflictEndsAPoll(t *testing.T) {
	s, poll := stand(t)
	s.e.View(s.now, members(1, 2, 3, 4))
	s.e.Receive(s.now, name(1), yes(poll, 0, 0))
	s.e.Receive(s.now, name(2), yes(poll, 0, 0))
	if acts := s.e.Take(); len(acts) > 0 {
		t.Errorf("%+v, want nothing", acts)
	}
	s.e.View(s.now, members(1, 2, 3))
	s.pass(time.Second)
	s.e.Tick(s.now)
	s.asked(lease.Poll)
}

// Nobody follows who counts other voters.
func TestForeignLeader(t *testing.T) {
	s := follower(t)
	a := ask(lease.Renew, 7)
	a.Electorate = 1
	s.e.Receive(s.now, name(1), a)
	if got := has[lease.Leader](s.e.Take()); len(got) > 0 {
		t.Errorf("%+v, want nobody", got)
	}
}

func TestQuorumLostIsSaidOnce(t *testing.T) {
	s := follower(t)
	for i, tt := range []struct {
		view []lease.Voter
		want []lease.QuorumLost
	}{
		{members(3, 1), nil},
		{members(3), []lease.QuorumLost{{Have: 1, Need: 2}}},
		{members(3), nil},
		{members(3, 1, 2), nil},
		{members(3), []lease.QuorumLost{{Have: 1, Need: 2}}},
	} {
		s.e.View(s.now, tt.view)
		if diff := cmp.Diff(tt.want, has[lease.QuorumLost](s.e.Take())); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
}

// A leader that is not listed any more leads nobody here, but has the vote that it got.
func TestLeaderThatIsRemoved(t *testing.T) {
	s := follower(t)
	s.e.Receive(s.now, name(1), ask(lease.Renew, 7))
	s.e.Take()
	s.e.View(s.now, members(3)[:1])
	if diff := cmp.Diff([]lease.Leader{{Term: 7}}, has[lease.Leader](s.e.Take())); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	s.e.View(s.now, members(3, 1, 2))
	if a, ok := s.say(2, ask(lease.Claim, 8)); !ok || a.Granted || a.Wait != 1025*time.Millisecond {
		t.Errorf("%+v, %t; want a refusal", a, ok)
	}
}

// Links bring what both ends must know, and what was lost before.
func TestLinked(t *testing.T) {
	s, renew := reigning(t)
	s.e.Linked(s.now, name(2))
	want := []lease.Action{
		lease.Send{To: name(2), Message: lease.Rule{Electorate: 3, Seen: renew.Term, Leads: renew.Term}},
		lease.Send{To: name(2), Message: renew},
	}
	if diff := cmp.Diff(want, s.e.Take()); diff != "" {
		t.Errorf("a leader (-want +got):\n%s", diff)
	}

	c, poll := stand(t)
	c.e.Linked(c.now, name(2))
	want = []lease.Action{lease.Send{To: name(2), Message: lease.Rule{Electorate: 3}}, lease.Send{To: name(2), Message: poll}}
	if diff := cmp.Diff(want, c.e.Take()); diff != "" {
		t.Errorf("one that polls (-want +got):\n%s", diff)
	}

	f := follower(t)
	f.e.Receive(f.now, name(1), ask(lease.Renew, 7))
	f.e.Linked(f.now, name(1))
	want = []lease.Action{
		lease.Leader{ID: name(1), Term: 7},
		lease.Send{To: name(1), Message: lease.Rule{Electorate: 3, Seen: 7}},
	}
	acts := f.e.Take()
	if diff := cmp.Diff(want, []lease.Action{acts[0], acts[len(acts)-1]}); diff != "" {
		t.Errorf("a follower (-want +got):\n%s", diff)
	}
	f.e.Receive(f.now, name(1), lease.Rule{Electorate: 3, Seen: 7, Leads: 7})
	f.e.Receive(f.now, name(2), lease.Rule{Electorate: 3, Seen: 7})
	if acts := f.e.Take(); len(acts) > 0 {
		t.Errorf("%+v, want nothing", acts)
	}
	f.e.Receive(f.now, name(1), lease.Rule{Electorate: 3, Seen: 7})
	if diff := cmp.Diff([]lease.Action{lease.Leader{Term: 7}}, f.e.Take()); diff != "" {
		t.Errorf("it does not lead any more (-want +got):\n%s", diff)
	}
}
