package council_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// want fails unless the log of a node since the last look is as given.
func want(t *testing.T, w *world, slot int, log string) {
	t.Helper()
	if got := w.nodes[slot].took(); got != log {
		t.Errorf("node %d\n got %s\nwant %s", slot, got, log)
	}
}

func TestTheOldestLeadsInEachElectionThatIsOpen(t *testing.T) {
	w := newWorld(t, 5)
	w.exclusive = []string{"billing", "audit"}
	w.open("", council.Mode{})
	w.open("billing", council.Mode{Quorum: 3}, 1, 2, 4)
	w.open("audit", council.Mode{Voters: []ident.NodeID{idOf(4), idOf(2), idOf(3)}}, 0, 2, 3, 4)
	w.open("cron", council.Mode{}, 3, 4)
	w.run(4 * time.Second)

	w.agree("", 0)
	w.agree("billing", 1, 1, 2, 4)
	w.agree("audit", 2, 0, 2, 3, 4)
	w.agree("cron", 3, 3, 4)
	if r, ok := w.nodes[0].c.Leader("cron"); ok {
		t.Errorf("node 0 says that %v leads an election that it has not opened", r)
	}
	want(t, w, 2, "audit: new_leader n2 t; audit: hold t; audit: promotion n2 t; billing: new_leader n1 t; "+
		"new_leader n0 1 joined")
	want(t, w, 3, "audit: new_leader n2 t; cron: new_leader n3 1 elected; cron: hold 1; "+
		"cron: promotion n3 1 elected; new_leader n0 1 joined")
}

func TestAnElectionThatIsAgreedOnIsQuiet(t *testing.T) {
	w := newWorld(t, 4)
	w.open("", council.Mode{})
	w.open("cron", council.Mode{}, 1, 2)
	w.open("jobs", council.Mode{Quorum: 4})
	w.run(5 * time.Second)
	w.forget()
	w.run(10 * time.Second)
	for i, x := range w.nodes {
		if x.log != nil {
			t.Errorf("node %d: %v, want nothing", i, x.log)
		}
	}
	// The leader of jobs asks three voters three times a second.
	for i, limit := range []int{3 * 30, 30, 30, 30} {
		if got := w.nodes[i].sent; got > limit+3 {
			t.Errorf("node %d sent %d frames in 10 s, want at most %d", i, got, limit+3)
		}
	}
}

func TestALeaderThatIsGoneIsReplaced(t *testing.T) {
	w := newWorld(t, 3)
	w.exclusive = []string{"q"}
	w.open("", council.Mode{})
	w.open("q", council.Mode{Quorum: 3})
	w.run(4 * time.Second)
	w.forget()
	w.nodes[0].stop()
	w.run(300 * time.Millisecond)
	w.agree("", 1)
	w.run(900 * time.Millisecond)
	w.agree("q", 1)
	want(t, w, 1, "new_leader nobody 1 gone; q: new_leader nobody t; "+
		"new_leader n1 2 elected; hold 2; promotion n1 2 elected; q: new_leader n1 t; q: hold t; q: promotion n1 t")
	want(t, w, 2, "new_leader nobody 1 gone; q: new_leader nobody t; new_leader n1 2 elected; q: new_leader n1 t")
}

func TestALeaderWithoutAMajorityStops(t *testing.T) {
	w := newWorld(t, 3)
	w.exclusive = []string{""}
	w.open("", council.Mode{Quorum: 3})
	w.run(4 * time.Second)
	w.forget()
	until := w.nodes[0].hold[""].Until
	w.split([]int{0}, []int{1, 2})
	w.run(until.Sub(w.now) - 1)
	if !w.nodes[0].leads("") {
		t.Errorf("node 0 does not lead 1 ns before its lease is over")
	}
	w.run(1)
	if w.nodes[0].leads("") {
		t.Errorf("node 0 leads when its lease is over: %+v", w.nodes[0].hold[""])
	}
	w.run(1200 * time.Millisecond)
	w.agree("", 1, 1, 2)
	want(t, w, 0, "quorum_lost 1/2; hold 0; demotion n0 t expired; new_leader nobody t")
	w.split()
	w.run(3 * time.Second)
	w.agree("", 1)
	want(t, w, 0, "new_leader n1 t")
}

func TestOneLeaderGoesOnAfterASplit(t *testing.T) {
	w := newWorld(t, 4)
	w.open("", council.Mode{})
	w.open("cron", council.Mode{}, 1, 2, 3)
	w.run(4 * time.Second)
	w.split([]int{0, 1}, []int{2, 3})
	w.run(4 * time.Second)
	w.agree("", 0, 0, 1)
	w.agree("", 2, 2, 3)
	w.agree("cron", 1, 1)
	w.agree("cron", 2, 2, 3)
	w.forget()
	w.split()
	w.run(4 * time.Second)
	w.agree("", 0)
	w.agree("cron", 1, 1, 2, 3)
	want(t, w, 0, "hold 3; new_leader n0 3 merged")
	if got := w.nodes[2].took(); strings.Count(got, "demotion n2 2 merged") != 2 ||
		!strings.Contains(got, "; hold 0; demotion n2 2 merged") && !strings.HasPrefix(got, "hold 0; demotion n2 2") {
		t.Errorf("node 2: %s, want one demotion in each election", got)
	}
}

func TestWhoOpensLaterFollowsAtOnce(t *testing.T) {
	for _, m := range []council.Mode{{}, {Quorum: 3}, {Voters: []ident.NodeID{idOf(1), idOf(2)}}} {
		for _, name := range []string{"", "cron"} {
			t.Run(fmt.Sprintf("%+v %q", m, name), func(t *testing.T) {
				w := newWorld(t, 3)
				w.open(name, m, 1, 2)
				w.run(5 * time.Second)
				w.forget()
				w.open(name, m, 0)
				w.run(4 * latency)
				w.agree(name, 1)
				if got := w.nodes[1].took() + w.nodes[2].took(); got != "" {
					t.Errorf("the others: %s, want nothing", got)
				}
			})
		}
	}
}

func TestWhoIsListedLaterFollowsAtOnce(t *testing.T) {
	for _, m := range []council.Mode{{}, {Quorum: 3}, {Voters: []ident.NodeID{idOf(1), idOf(2)}}} {
		for _, name := range []string{"", "cron"} {
			for _, late := range []pair{{0, 1}, {1, 0}} {
				t.Run(fmt.Sprintf("%+v %q %v", m, name, late), func(t *testing.T) {
					w := newWorld(t, 3)
					w.link(0, 1, false)
					w.link(0, 2, false)
					w.blind = map[pair]bool{{0, 1}: true, {1, 0}: true, {0, 2}: true, {2, 0}: true}
					w.view()
					w.open(name, m)
					w.run(1800 * time.Millisecond) // the founding window of a newcomer is not over
					w.nodes[0].boot()
					w.open(name, m, 0)
					w.run(1500 * time.Millisecond)
					w.agree(name, 1, 1, 2)
					w.down = map[pair]bool{}
					w.blind = map[pair]bool{late: true, {0, 2}: true, {2, 0}: true}
					w.view()
					w.run(50 * time.Millisecond)
					w.blind = map[pair]bool{{0, 2}: true, {2, 0}: true}
					w.view()
					w.run(4 * latency)
					w.agree(name, 1, 0, 1)
				})
			}
		}
	}
}

func TestANodeThatStartsAnewIsGreetedAnew(t *testing.T) {
	w := newWorld(t, 3)
	w.exclusive = []string{"q"}
	w.open("cron", council.Mode{})
	w.open("q", council.Mode{Quorum: 3})
	w.run(5 * time.Second)
	w.nodes[2].boot()
	w.view()
	w.run(time.Second)
	if err := w.nodes[0].c.Promote(w.now, "cron", idOf(2)); !errors.Is(err, council.ErrNotMember) {
		t.Errorf("Promote of a node that has not opened the election anew: %v, want %v", err, council.ErrNotMember)
	}
	w.open("cron", council.Mode{}, 2)
	w.open("q", council.Mode{Quorum: 3}, 2)
	w.run(4 * latency)
	w.agree("cron", 0)
	w.run(1500 * time.Millisecond)
	w.agree("q", 0)
}

func TestLeadershipIsHandedOver(t *testing.T) {
	for _, m := range []council.Mode{{}, {Quorum: 3}} {
		t.Run(fmt.Sprintf("%+v", m), func(t *testing.T) {
			w := newWorld(t, 3)
			if !m.IsAvailable() {
				w.exclusive = []string{"cron"}
			}
			w.open("cron", m)
			w.run(5 * time.Second)
			steps := []struct {
				what   string
				do     func() error
				leader int
			}{
				{"the leader promotes", func() error { return w.nodes[0].c.Promote(w.now, "cron", idOf(2)) }, 2},
				{"it promotes itself", func() error { return w.nodes[2].c.Promote(w.now, "cron", idOf(2)) }, 2},
				{"another asks", func() error { return w.nodes[0].c.Promote(w.now, "cron", idOf(1)) }, 1},
				{"the leader is unfit", func() error { w.nodes[1].c.SetFit(w.now, "cron", false); return nil }, 0},
				{"the leader may not", func() error { w.nodes[0].c.SetEligible(w.now, "cron", false); return nil }, 2},
				{"they may again", func() error {
					w.nodes[1].c.SetFit(w.now, "cron", true)
					w.nodes[0].c.SetEligible(w.now, "cron", true)
					return nil
				}, 2},
				{"the leader resigns", func() error { return w.nodes[2].c.Resign(w.now, "cron") }, 0},
				{"the record of the leader says no", func() error { w.nodes[0].eligible = false; w.view(); return nil }, 1},
			}
			for _, s := range steps {
				w.forget()
				if err := s.do(); err != nil {
					t.Fatalf("%s: %v", s.what, err)
				}
				for _, x := range w.nodes {
					x.carry()
				}
				w.run(2 * time.Second)
				t.Log(s.what)
				w.agree("cron", s.leader)
			}
			if got := w.nodes[0].took(); !strings.Contains(got, "cron: hold 0; cron: demotion n0 ") {
				t.Errorf("node 0: %s, want a hold before the demotion", got)
			}
		})
	}
}

// A leader that leaves is demoted for that reason, in either mode, and the next one leads.
func TestLeaderThatLeavesSaysSo(t *testing.T) {
	for _, m := range []council.Mode{{}, {Quorum: 3}} {
		t.Run(fmt.Sprintf("%+v", m), func(t *testing.T) {
			w := newWorld(t, 3)
			w.open("cron", m)
			w.run(5 * time.Second)
			w.forget()
			w.nodes[0].c.Leave(w.now)
			w.nodes[0].carry()
			said := w.nodes[0].took()
			if !strings.Contains(said, "cron: demotion n0 ") || !strings.Contains(said, " left") {
				t.Errorf("node 0: %s, want a demotion because it left", said)
			}
			w.run(2 * time.Second)
			w.agree("cron", 1)
		})
	}
}

func TestPromoteAndResignSayWhyNot(t *testing.T) {
	other := council.Mode{Quorum: 1}
	tests := []struct {
		what string
		mode council.Mode
		do   func(w *world) error
		want error
	}{
		{
			"promote in an election that is not open",
			council.Mode{},
			func(w *world) error { return w.nodes[0].c.Promote(w.now, "x", idOf(1)) }, council.ErrNotOpen,
		},
		{
			"resign in an election that is not open",
			council.Mode{},
			func(w *world) error { return w.nodes[0].c.Resign(w.now, "x") }, council.ErrNotOpen,
		},
		{
			"promote a stranger",
			council.Mode{},
			func(w *world) error { return w.nodes[0].c.Promote(w.now, "cron", idOf(7)) }, council.ErrNotMember,
		},
		{
			"promote a stranger, by lease",
			council.Mode{Quorum: 3},
			func(w *world) error { return w.nodes[0].c.Promote(w.now, "cron", idOf(7)) }, council.ErrNotMember,
		},
		{
			"promote who does not take part",
			council.Mode{},
			func(w *world) error { return w.nodes[0].c.Promote(w.now, "cron", idOf(3)) }, council.ErrNotMember,
		},
		{
			"promote who does not take part, by lease",
			council.Mode{Quorum: 3},
			func(w *world) error { return w.nodes[0].c.Promote(w.now, "cron", idOf(3)) }, council.ErrNotMember,
		},
		{
			"promote who may not lead",
			council.Mode{},
			func(w *world) error { return w.nodes[0].c.Promote(w.now, "cron", idOf(2)) }, council.ErrNotEligible,
		},
		{
			"promote who may not lead, by lease",
			council.Mode{Quorum: 3},
			func(w *world) error { return w.nodes[0].c.Promote(w.now, "cron", idOf(2)) }, council.ErrNotEligible,
		},
		{
			"resign without leading",
			council.Mode{},
			func(w *world) error { return w.nodes[1].c.Resign(w.now, "cron") }, council.ErrNotLeader,
		},
		{
			"resign without leading, by lease",
			council.Mode{Quorum: 3},
			func(w *world) error { return w.nodes[1].c.Resign(w.now, "cron") }, council.ErrNotLeader,
		},
		{"promote without a leader", council.Mode{}, func(w *world) error {
			w.nodes[0].boot()
			w.view()
			w.open("cron", council.Mode{}, 0)
			return w.nodes[0].c.Promote(w.now, "cron", idOf(0))
		}, council.ErrNoLeader},
		{"promote without a leader, by lease", council.Mode{Quorum: 3}, func(w *world) error {
			w.split([]int{0}, []int{1, 2, 3})
			w.run(2 * time.Second)
			return w.nodes[0].c.Promote(w.now, "cron", idOf(0))
		}, council.ErrNoQuorum},
		{"resign without a successor", council.Mode{}, func(w *world) error {
			w.split([]int{0}, []int{1, 2, 3})
			return w.nodes[0].c.Resign(w.now, "cron")
		}, council.ErrNoSuccessor},
		{"promote in a conflict", other, func(w *world) error {
			return w.nodes[0].c.Promote(w.now, "cron", idOf(1))
		}, council.ErrConflict},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			w := newWorld(t, 4)
			w.nodes[2].eligible = false
			w.view()
			w.open("cron", tt.mode, 0, 1, 2)
			w.run(5 * time.Second)
			if err := tt.do(w); !errors.Is(err, tt.want) {
				t.Errorf("error %q, want one that wraps %q", err, tt.want)
			}
		})
	}
}

func TestOpenRefusesWhatCannotBe(t *testing.T) {
	two := []ident.NodeID{idOf(1), idOf(2)}
	many := make([]ident.NodeID, 1025)
	for i := range many {
		many[i] = ident.NodeID{byte(i), byte(i >> 8), 1}
	}
	tests := []struct {
		what  string
		name  string
		mode  council.Mode
		first council.Mode // is open already
		want  error
	}{
		{what: "the same again", mode: council.Mode{}},
		{what: "Available, whatever the lease", mode: council.Mode{Lease: time.Hour}},
		{
			what: "the same lease in words", mode: council.Mode{Quorum: 3, Lease: time.Second},
			first: council.Mode{Quorum: 3},
		},
		{
			what: "the same voters in another order", mode: council.Mode{Voters: []ident.NodeID{idOf(2), idOf(1)}},
			first: council.Mode{Voters: two},
		},
		{what: "another mode", mode: council.Mode{Quorum: 3}, want: council.ErrMode},
		{what: "another quorum", mode: council.Mode{Quorum: 3}, first: council.Mode{Quorum: 5}, want: council.ErrMode},
		{
			what: "another lease", mode: council.Mode{Quorum: 3, Lease: 2 * time.Second},
			first: council.Mode{Quorum: 3}, want: council.ErrMode,
		},
		{
			what: "other voters", mode: council.Mode{Voters: two[:1]}, first: council.Mode{Voters: two},
			want: council.ErrMode,
		},
		{what: "less than nobody", name: "x", mode: council.Mode{Quorum: -1}, want: council.ErrElectorate},
		{what: "too many", name: "x", mode: council.Mode{Quorum: 1025}, want: council.ErrElectorate},
		{what: "no voters", name: "x", mode: council.Mode{Voters: []ident.NodeID{}}, want: council.ErrElectorate},
		{what: "too many voters", name: "x", mode: council.Mode{Voters: many}, want: council.ErrElectorate},
		{
			what: "a voter twice", name: "x", mode: council.Mode{Voters: append(two, idOf(1))},
			want: council.ErrElectorate,
		},
		{
			what: "both", name: "x", mode: council.Mode{Quorum: 2, Voters: two}, want: council.ErrElectorate,
		},
		{what: "a short lease", name: "x", mode: council.Mode{Quorum: 2, Lease: 1}, want: council.ErrLease},
		{what: "a long lease", name: "x", mode: council.Mode{Quorum: 2, Lease: time.Hour}, want: council.ErrLease},
		{what: "a long name", name: strings.Repeat("x", 64), want: council.ErrName},
		{what: "the longest name", name: strings.Repeat("x", 63)},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			w := newWorld(t, 1)
			w.open("", tt.first)
			err := w.nodes[0].c.Open(w.now, tt.name, tt.mode)
			if !errors.Is(err, tt.want) {
				t.Errorf("Open(%q, %+v) after %+v: error %v, want %v", tt.name, tt.mode, tt.first, err, tt.want)
			}
		})
	}
}

func TestOpenKeepsNothingOfTheCaller(t *testing.T) {
	w := newWorld(t, 1)
	voters := []ident.NodeID{idOf(2), idOf(1)}
	w.open("", council.Mode{Voters: voters})
	if voters[0] != idOf(2) {
		t.Errorf("the list of the caller is %v now", voters)
	}
	clear(voters)
	w.open("", council.Mode{Voters: []ident.NodeID{idOf(1), idOf(2)}})
}

func TestElectionsAreBounded(t *testing.T) {
	w := newWorld(t, 1)
	for i := range council.ElectionsMax {
		w.open(fmt.Sprint(i), council.Mode{})
	}
	if err := w.nodes[0].c.Open(w.now, "x", council.Mode{}); !errors.Is(err, council.ErrElections) {
		t.Errorf("Open of one more than %d: error %v, want %v", council.ElectionsMax, err, council.ErrElections)
	}
	w.open("7", council.Mode{})
}

func TestWhatAMemberSaysOfOtherElectionsIsBounded(t *testing.T) {
	w := newWorld(t, 2)
	x := w.nodes[0]
	for i := range 3 * council.ElectionsMax {
		x.c.Receive(w.now, idOf(1), frame.LeaseRule{Election: fmt.Sprint(i), Electorate: 2})
	}
	if acts := x.c.Take(); len(acts) != 0 {
		t.Errorf("actions %v, want none", acts)
	}
	known := 0
	for i := range 3 * council.ElectionsMax {
		if x.c.Remembers(idOf(1), fmt.Sprint(i)) {
			known++
		}
	}
	if known != council.ElectionsMax {
		t.Errorf("%d elections are remembered, want %d", known, council.ElectionsMax)
	}
	w.nodes[1].boot()
	w.view()
	if x.c.Remembers(idOf(1), "0") {
		t.Error("what a member said before it started anew is remembered")
	}
}
