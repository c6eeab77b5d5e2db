package council_test

import (
	"errors"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/frame"
)

func TestAMemberInAnotherModeIsReportedByBothSides(t *testing.T) {
	for _, name := range []string{"", "cron"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			w.open(name, council.Mode{}, 0, 1)
			w.open(name, council.Mode{Quorum: 3}, 2)
			w.run(5 * time.Second)

			w.agree(name, 0, 0, 1)
			if r, ok := w.nodes[2].c.Leader(name); ok {
				t.Errorf("node 2 follows %v, want nobody: it has no majority", r)
			}
			p := prefix(name)
			want(t, w, 1, p+"electorate_conflict n2; "+p+"new_leader n0 1 joined")
			want(t, w, 2, p+"electorate_conflict n0 n1")

			w.nodes[2].boot()
			w.view()
			w.open(name, council.Mode{}, 2)
			w.run(2 * time.Second)
			w.agree(name, 0, 0, 1, 2)
			want(t, w, 1, p+"electorate_conflict")
		})
	}
}

func TestAMemberThatGoesEndsTheConflict(t *testing.T) {
	w := newWorld(t, 3)
	w.open("", council.Mode{Quorum: 2}, 0, 1)
	w.open("", council.Mode{}, 2)
	w.run(4 * time.Second)
	// No lease was granted in the conflict.
	want(t, w, 0, "electorate_conflict n2")
	want(t, w, 2, "electorate_conflict n0 n1; "+
		"new_leader n2 1 elected; hold 1; promotion n2 1 elected")
	w.nodes[2].stop()
	w.run(4 * time.Second)
	w.agree("", 0)
	want(t, w, 0, "new_leader n0 t; hold t; promotion n0 t; electorate_conflict")
}

func TestAConflictIsKnownBeforeTheElectionIsOpen(t *testing.T) {
	for _, modes := range [][2]council.Mode{{{}, {Quorum: 3}}, {{Quorum: 3}, {}}} {
		w := newWorld(t, 3)
		w.open("cron", modes[0], 1, 2)
		w.run(5 * time.Second)
		w.forget()
		w.open("cron", modes[1], 0)
		w.run(time.Second + 4*latency)
		if got := w.nodes[0].took(); got != "cron: electorate_conflict n1 n2" {
			t.Errorf("%+v after %+v: node 0 reports %q", modes[1], modes[0], got)
		}
		if got := w.nodes[1].took(); got != "cron: electorate_conflict n0" {
			t.Errorf("%+v after %+v: node 1 reports %q", modes[1], modes[0], got)
		}
	}
}

func TestTheFirstWordOfAMemberSettlesItsMode(t *testing.T) {
	w := newWorld(t, 2)
	w.open("", council.Mode{}, 0)
	x := w.nodes[0]
	for range 100 { // who flaps on purpose
		x.c.Receive(w.now, idOf(1), frame.LeaseRule{Electorate: 1})
		x.c.Receive(w.now, idOf(1), frame.Lead{Last: 7, Unfit: true})
		x.carry()
	}
	w.run(4 * time.Second)
	want(t, w, 0, "electorate_conflict n1; new_leader n0 1 elected; hold 1; promotion n0 1 elected")
}

func TestAnotherQuorumIsAConflict(t *testing.T) {
	w := newWorld(t, 3)
	w.open("", council.Mode{Quorum: 3}, 0, 1)
	w.open("", council.Mode{Quorum: 5}, 2)
	w.run(4 * time.Second)
	want(t, w, 0, "electorate_conflict n2")
	want(t, w, 2, "electorate_conflict n0 n1")
}

func TestMoreThanTheQuorumIsAConflict(t *testing.T) {
	w := newWorld(t, 3)
	w.open("cron", council.Mode{Quorum: 2}, 0, 1)
	w.run(4 * time.Second)
	w.agree("cron", 0, 0, 1)
	w.forget()
	w.open("cron", council.Mode{Quorum: 2}, 2)
	w.run(4 * time.Second)
	w.agree("cron", 0, 0, 1) // its voters let it go on
	want(t, w, 0, "cron: electorate_conflict n2")
}

func TestAConflictIsReportedHoweverOftenTheViewChanges(t *testing.T) {
	w := newWorld(t, 3)
	w.open("", council.Mode{}, 0)
	w.open("", council.Mode{Quorum: 3}, 1)
	for i := range 12 {
		w.link(0, 2, i%2 == 0)
		w.run(100 * time.Millisecond)
	}
	want(t, w, 0, "electorate_conflict n1")
}

func TestOnlyAMemberOfTheSameModeIsListenedTo(t *testing.T) {
	ask := frame.LeaseAsk{Kind: frame.LeasePoll, Electorate: 2, Incarnation: 2, Number: 1}
	for _, first := range []frame.Frame{frame.LeaseRule{Electorate: 2}, frame.Lead{}} {
		w := newWorld(t, 2)
		w.open("", council.Mode{Quorum: 2}, 0)
		w.run(1050 * time.Millisecond)
		c := w.nodes[0].c
		c.Receive(w.now, idOf(1), first)
		c.Take()
		c.Receive(w.now, idOf(1), ask)
		answers := 0
		for _, a := range c.Take() {
			if s, ok := a.(council.Send); ok && s.Frame.Type() == frame.TypeLeaseAnswer {
				answers++
			}
		}
		want := 0
		if first.Type() == frame.TypeLeaseRule {
			want = 1
		}
		if answers != want {
			t.Errorf("after %v: %d answers to %+v, want %d", first.Type(), answers, ask, want)
		}
	}
}

func TestAMemberInAnotherModeIsNotReckonedWith(t *testing.T) {
	w := newWorld(t, 3)
	w.open("", council.Mode{Quorum: 3}, 0)
	w.open("", council.Mode{}, 1, 2)
	w.run(4 * time.Second)
	w.agree("", 1, 1, 2)
	c := w.nodes[1].c
	if err := c.Promote(w.now, "", idOf(0)); !errors.Is(err, council.ErrNotMember) {
		t.Errorf("Promote: %v, want %v", err, council.ErrNotMember)
	}
	if err := c.Resign(w.now, ""); err != nil {
		t.Fatalf("Resign: %v", err)
	}
	w.nodes[1].carry()
	w.run(4 * latency)
	w.agree("", 2, 1, 2)
}
