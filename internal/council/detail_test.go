package council_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

func TestANodeAloneWithOneVoteLeadsAndRenews(t *testing.T) {
	start := time.Unix(50, 0) // since the machine started, say
	c := council.New(council.Config{Self: idOf(0), Incarnation: 1, Eligible: true})
	c.SetWall(start, time.UnixMilli(1_700_000_000_000))
	if err := c.Open(start, "q", council.Mode{Quorum: 1}); err != nil {
		t.Fatal(err)
	}
	at, ok := c.Next()
	if !ok {
		t.Fatal("nothing is to come")
	}
	if at.Before(start.Add(1100 * time.Millisecond)) {
		t.Errorf("it stands %v after the start, want not before 1.1 leases", at.Sub(start))
	}
	c.Tick(at.Add(-1))
	if acts := c.Take(); len(acts) != 0 {
		t.Errorf("a Tick before Next: %v, want nothing", acts)
	}
	c.Tick(at)
	term := ident.Term(1_700_000_000_000 + at.Sub(start).Milliseconds())
	want := []council.Action{
		council.Report{Election: "q", Kind: council.NewLeader, Leader: idOf(0), Term: term},
		council.Hold{Election: "q", Term: term, Until: at.Add(time.Second)},
		council.Report{Election: "q", Kind: council.Promotion, Leader: idOf(0), Term: term, Token: term},
	}
	if diff := cmp.Diff(want, c.Take()); diff != "" {
		t.Errorf("promotion (-want +got)\n%s", diff)
	}
	if r, ok := c.Leader("q"); !ok || r != (council.Reign{ID: idOf(0), Term: term}) {
		t.Errorf("Leader is %v %v, want itself in term %d", r, ok, term)
	}
	at, _ = c.Next()
	c.Tick(at)
	want = []council.Action{council.Hold{Election: "q", Term: term, Until: at.Add(time.Second)}}
	if diff := cmp.Diff(want, c.Take()); diff != "" {
		t.Errorf("renewal (-want +got)\n%s", diff)
	}

	// The machine sleeps for a minute.
	c.SetFit(at.Add(time.Minute), "q", false)
	want = []council.Action{
		council.Hold{Election: "q"},
		council.Report{Election: "q", Kind: council.Demotion, Leader: idOf(0), Term: term, Cause: "expired"},
		council.Report{Election: "q", Kind: council.NewLeader, Term: term},
	}
	if diff := cmp.Diff(want, c.Take()); diff != "" {
		t.Errorf("after the sleep (-want +got)\n%s", diff)
	}
}

func TestTheWallClockReachesElectionsThatAreOpen(t *testing.T) {
	start := time.Unix(50, 0)
	c := council.New(council.Config{Self: idOf(0), Incarnation: 1, Eligible: true})
	if err := c.Open(start, "", council.Mode{Quorum: 1}); err != nil {
		t.Fatal(err)
	}
	c.SetWall(start, time.UnixMilli(1_700_000_000_000))
	at, _ := c.Next()
	c.Tick(at)
	if r, ok := c.Leader(""); !ok || r.Term < 1_700_000_000_000 {
		t.Errorf("Leader is %v %v, want a term that follows the clock", r, ok)
	}
}

func TestANodeThatMayNotLeadDoesNot(t *testing.T) {
	for _, m := range []council.Mode{{}, {Quorum: 1}} {
		c := council.New(council.Config{Self: idOf(0), Incarnation: 1})
		now := time.Unix(1_700_000_000, 0)
		if err := c.Open(now, "", m); err != nil {
			t.Fatal(err)
		}
		c.SetEligible(now, "", true) // its program may say what it wants
		if at, ok := c.Next(); ok {
			t.Errorf("%+v: a node that may not lead is due after %v", m, at.Sub(now))
		}
		c.View(now, []council.Member{{ID: idOf(0), Incarnation: 1, Join: 1, Eligible: true}})
		c.Take()
		for range 5 {
			if at, ok := c.Next(); ok {
				now = at
				c.Tick(now)
			}
		}
		if r, ok := c.Leader(""); !ok {
			t.Errorf("%+v: %v leads, want the node, which may now", m, r)
		}
	}
}

func TestANamedElectionSpeaksToThoseThatTakePart(t *testing.T) {
	w := newWorld(t, 5)
	w.link(1, 4, false)
	w.open("cron", council.Mode{}, 1, 2, 3)
	w.run(5 * latency)
	w.link(1, 3, false)
	c := w.nodes[1].c
	told := func() (to []ident.NodeID) {
		for _, a := range c.Take() {
			if s, ok := a.(council.Send); ok {
				to = append(to, s.To)
			}
		}
		return to
	}
	c.SetFit(w.now, "cron", false)
	if diff := cmp.Diff([]ident.NodeID{idOf(2)}, told()); diff != "" {
		t.Errorf("told what is new (-want +got)\n%s", diff)
	}
	if err := c.Open(w.now, "jobs", council.Mode{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]ident.NodeID{idOf(0), idOf(2)}, told()); diff != "" {
		t.Errorf("greeted, to learn who takes part (-want +got)\n%s", diff)
	}
}

func TestAllMembersTakePartInTheDefaultElection(t *testing.T) {
	w := newWorld(t, 3)
	w.open("", council.Mode{Quorum: 2}, 0)
	w.open("cron", council.Mode{Quorum: 2}, 0)
	w.run(2 * time.Second)
	want(t, w, 0, "electorate_conflict n2")
}

func TestALinkIsGreetedTwiceAtMost(t *testing.T) {
	w := newWorld(t, 2)
	w.link(0, 1, false)
	w.open("", council.Mode{})
	w.open("q", council.Mode{Quorum: 5})
	for turn := range 3 {
		w.forget()
		w.link(0, 1, true)
		w.view() // with nothing new
		w.run(100 * time.Millisecond)
		w.view()
		for i, x := range w.nodes {
			// One at once, and one when the other one is known to listen.
			if x.sent != 4 {
				t.Errorf("turn %d: node %d sent %d frames, want 2 in each election", turn, i, x.sent)
			}
		}
		w.link(0, 1, false)
	}
}

func TestALinkThatIsReplacedIsGreetedAnew(t *testing.T) {
	for _, m := range []council.Mode{{}, {Voters: []ident.NodeID{idOf(0)}}} {
		w := newWorld(t, 2)
		w.open("q", m)
		for w.now.Sub(w.start) < 5*time.Second {
			w.run(latency)
			if _, ok := w.nodes[0].c.Leader("q"); ok {
				break
			}
		}
		w.relink(0, 1) // the word that node 0 leads is lost
		w.run(3 * latency)
		w.agree("q", 0)
	}
}

func TestWhoOpensLaterGreetsOnce(t *testing.T) {
	w := newWorld(t, 2)
	w.open("q", council.Mode{Quorum: 5}, 1)
	w.run(100 * time.Millisecond)
	w.forget()
	w.open("q", council.Mode{Quorum: 5}, 0)
	w.run(100 * time.Millisecond)
	for i, x := range w.nodes {
		if x.sent != 1 {
			t.Errorf("node %d sent %d frames, want 1", i, x.sent)
		}
	}
}

func TestWhatIsNotOfAMemberOrAboutAnElectionIsIgnored(t *testing.T) {
	w := newWorld(t, 1)
	w.open("", council.Mode{})
	c := w.nodes[0].c
	at, _ := c.Next()
	for _, f := range []frame.Frame{
		frame.Lead{Leader: idOf(3), Incarnation: 1, Term: 8, Seat: idOf(3)},
		frame.LeaseRule{Electorate: 4},
	} {
		c.Receive(w.now, idOf(3), f)
		c.Receive(w.now, idOf(0), f) // of itself
	}
	c.Receive(w.now, idOf(3), frame.Bye{})
	if acts := c.Take(); len(acts) != 0 {
		t.Errorf("actions %v, want none", acts)
	}
	if now, _ := c.Next(); !now.Equal(at) {
		t.Errorf("Next is %v, want %v as before", now, at)
	}
	c.SetFit(w.now, "x", false) // not open
	c.SetEligible(w.now, "x", false)
	if _, ok := council.New(council.Config{Self: idOf(0), Incarnation: 1}).Next(); ok {
		t.Error("a council without elections has something to do")
	}
}

func TestAViewThatCannotBePanics(t *testing.T) {
	me, other := council.Member{ID: idOf(0), Incarnation: 1}, council.Member{ID: idOf(1), Incarnation: 1}
	for _, list := range [][]council.Member{{}, {other}, {me, me}, {me, other, other}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("View(%v) did not panic", list)
				}
			}()
			council.New(council.Config{Self: idOf(0), Incarnation: 1}).View(time.Time{}, list)
		}()
	}
}

func TestKindsHaveTheNamesOfChanges(t *testing.T) {
	for k, want := range map[council.Kind]string{
		council.NewLeader: "new_leader", council.Promotion: "promotion", council.Demotion: "demotion",
		council.ElectorateConflict: "electorate_conflict", council.QuorumLost: "quorum_lost", 77: "kind 77",
	} {
		if got := fmt.Sprint(k); got != want {
			t.Errorf("kind %d is %q, want %q", uint8(k), got, want)
		}
	}
}
