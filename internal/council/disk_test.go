package council_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/ident"
)

// B24: the terms of all elections grow across a restart of all, although the clocks are
// behind what they were.
func TestTermsGrowAcrossARestartOfAll(t *testing.T) {
	w := newWorld(t, 3)
	w.durable = true
	elections := map[string]council.Mode{"": {}, "billing": {Quorum: 3}}
	open := func() {
		for _, x := range w.nodes {
			x.boot()
		}
		w.view()
		for name, m := range elections {
			w.open(name, m)
		}
		w.run(5 * time.Second)
	}
	open()
	before := map[string]ident.Term{}
	for name := range elections {
		w.agree(name, 0)
		r, _ := w.nodes[0].c.Leader(name)
		before[name] = r.Term
	}
	w.now = w.now.Add(-24 * time.Hour)
	w.packets = nil
	open()
	for name := range elections {
		w.agree(name, 0)
		if r, _ := w.nodes[0].c.Leader(name); r.Term <= before[name] {
			t.Errorf("%q: term %d after %d", name, r.Term, before[name])
		}
	}
}

// A follower that starts again with its disk changes nothing.
func TestAFollowerThatStartsAgainChangesNothing(t *testing.T) {
	for _, m := range []council.Mode{{}, {Quorum: 3}} {
		w := newWorld(t, 3)
		w.durable = true
		for _, x := range w.nodes {
			x.boot()
		}
		w.view()
		w.open("", m)
		w.run(5 * time.Second)
		r, _ := w.nodes[0].c.Leader("")
		w.nodes[1].boot()
		w.view()
		w.open("", m, 1)
		w.run(5 * time.Second)
		w.agree("", 0)
		if again, _ := w.nodes[1].c.Leader(""); again != r {
			t.Errorf("%+v: %+v leads after the restart, want still %+v", m, again, r)
		}
	}
}

// What is to be written comes before what it is for: with a majority nobody leads before
// it is on disk, in the Available mode somebody does.
func TestKeepComesFirst(t *testing.T) {
	start := time.UnixMilli(1_700_000_000_000)
	for _, tt := range []struct {
		name string
		kept map[string]council.Mark
		mode council.Mode
		want []council.Action // of a node that is alone, whose disk takes nothing
	}{
		{"available", map[string]council.Mark{"e": {Term: 7, Leader: 9}}, council.Mode{}, []council.Action{
			council.Keep{Election: "e", Mark: council.Mark{Term: 8, Leader: 1}},
			council.Report{Election: "e", Kind: council.NewLeader, Leader: idOf(0), Term: 8, Cause: "elected"},
			council.Hold{Election: "e", Term: 8},
			council.Report{Election: "e", Kind: council.Promotion, Leader: idOf(0), Term: 8, Token: 8, Cause: "elected"},
		}},
		{"available, and another election is on disk", map[string]council.Mark{"": {Term: 7, Leader: 9}}, council.Mode{}, []council.Action{
			council.Keep{Election: "e", Mark: council.Mark{Term: 1, Leader: 1}},
			council.Report{Election: "e", Kind: council.NewLeader, Leader: idOf(0), Term: 1, Cause: "elected"},
			council.Hold{Election: "e", Term: 1},
			council.Report{Election: "e", Kind: council.Promotion, Leader: idOf(0), Term: 1, Token: 1, Cause: "elected"},
		}},
		{"quorum", map[string]council.Mark{}, council.Mode{Quorum: 1}, []council.Action{
			council.Keep{Election: "e", Mark: council.Mark{Term: 1_700_000_000_000 + 3_600_000}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := council.New(council.Config{Self: idOf(0), Incarnation: 1, Eligible: true, Kept: tt.kept})
			c.SetWall(start, start)
			if err := c.Open(start, "e", tt.mode); err != nil {
				t.Fatal(err)
			}
			c.Tick(start.Add(3 * time.Second))
			if diff := cmp.Diff(tt.want, drop(c.Take())); diff != "" {
				t.Errorf("with a disk that takes nothing (-want +got)\n%s", diff)
			}
			c.Kept(start.Add(3*time.Second), "nobody's", council.Mark{Term: 1 << 50})
			c.Tick(start.Add(4 * time.Second))
			if acts := c.Take(); len(acts) > 0 {
				t.Errorf("%+v after another election was kept, want nothing", acts)
			}
			c.Kept(start.Add(4*time.Second), "e", council.Mark{Term: 1_700_000_000_000 + 3_600_000})
			c.Tick(start.Add(4 * time.Second))
			if r, ok := c.Leader("e"); !ok || r.ID != idOf(0) {
				t.Errorf("%+v leads (%t) when the disk is well, want the node", r, ok)
			}
		})
	}
}

// drop leaves out what is sent.
func drop(acts []council.Action) (rest []council.Action) {
	for _, a := range acts {
		if _, ok := a.(council.Send); !ok {
			rest = append(rest, a)
		}
	}
	return rest
}
