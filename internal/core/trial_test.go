package core_test

import (
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// lost returns a node that lost its member 1 to silence.
func lost(t *testing.T) *node {
	t.Helper()
	n := newNode(t)
	n.join(1, 5)
	if got := n.pass(3 * time.Second); !slices.Contains(got, "removed_node n1 failed") {
		t.Fatalf("decided %q, want the member removed", got)
	}
	n.DialDone(n.now, 1, dial.Outcome{Kind: dial.TimedOut}) // the first of those that go on for life
	n.take()
	return n
}

// answer acks the probes that go out on a link, up to so many, each after d. It returns what
// else the core decided.
func (n *node) answer(l core.LinkID, count int, d time.Duration) (words []string) {
	for range count {
		var number uint64
		for _, a := range n.acts {
			if s, ok := a.(core.Send); ok && s.Link == l {
				if p, ok := s.Frame.(frame.Probe); ok {
					number = p.Number
				}
			}
		}
		if number == 0 {
			return words
		}
		n.now = n.now.Add(d)
		n.Receive(n.now, l, frame.Ack{Number: number})
		words = append(words, n.take()...)
	}
	return words
}

// back links member 1 again and gives its record.
func (n *node) back(inc ident.Incarnation, edits ...func(*frame.Record)) (core.LinkID, []string) {
	l := n.link(1, inc)
	n.take()
	n.Learn(n.now, l, []frame.Record{record(1, inc, edits...)})
	return l, n.take()
}

func TestALostMemberIsListedWhenItAnswers(t *testing.T) {
	n := lost(t)
	l, got := n.back(5)
	if want := []string{"send 2 PROBE"}; !slices.Equal(got, want) {
		t.Errorf("decided %q when its record came, want %q", got, want)
	}
	if got := n.answer(l, 7, time.Millisecond); slices.Contains(got, "added_node n1") {
		t.Errorf("decided %q after seven answers", got)
	}
	n.answer(l, 1, time.Second) // what was lost on the way is late
	if got := n.answer(l, 7, time.Millisecond); slices.Contains(got, "added_node n1") {
		t.Errorf("decided %q after seven more", got)
	}
	want := []string{
		"added_node n1", "peer_added n1", "connected", "send 2 RECORDS×2", "healed n1", "send 2 PROBE", "view of 2",
	}
	if got := n.answer(l, 1, time.Millisecond); !slices.Equal(got, want) {
		t.Errorf("decided %q after eight in a row, want %q", got, want)
	}
}

func TestATrialKeepsItsLink(t *testing.T) {
	n := lost(t)
	l, _ := n.back(5)
	for _, w := range n.pass(time.Minute, l) {
		if w != "view of 1" {
			t.Errorf("decided %q in a minute without an answer", w)
		}
	}
}

func TestATrialEndsWithItsLink(t *testing.T) {
	n := lost(t)
	l, _ := n.back(5)
	n.answer(l, 7, time.Millisecond)
	n.LinkDown(n.now, l, core.Closed{})
	if got := n.pass(2 * time.Second); !slices.ContainsFunc(got, isDial) {
		t.Errorf("decided %q when the link broke, want a dial", got)
	}
	l = n.link(1, 5)
	n.Learn(n.now, l, []frame.Record{record(1, 5)})
	n.take()
	if got := n.answer(l, 7, time.Millisecond); slices.Contains(got, "added_node n1") {
		t.Errorf("decided %q: answers on another link count", got)
	}
}

// Who starts again was not lost to its link.
func TestAnotherStartIsListedAtOnce(t *testing.T) {
	n := lost(t)
	if _, got := n.back(6); !slices.Contains(got, "added_node n1") {
		t.Errorf("decided %q, want it listed", got)
	}
}

func TestAGoodbyeEndsATrial(t *testing.T) {
	left := func(r *frame.Record) { r.State, r.Version = frame.Left, 2 }
	t.Run("in its first record", func(t *testing.T) {
		n := lost(t)
		if _, got := n.back(5, left); !slices.Equal(got, []string{"close 2 protocol"}) {
			t.Errorf("decided %q, want the link closed", got)
		}
	})
	t.Run("in a later one", func(t *testing.T) {
		n := lost(t)
		l, _ := n.back(5)
		n.answer(l, 3, time.Millisecond)
		n.Learn(n.now, l, []frame.Record{record(1, 5, left)})
		n.LinkDown(n.now, l, core.Closed{By: core.ByPeer, Code: frame.CodeLeave})
		if got := n.pass(2 * time.Minute); slices.Contains(got, "added_node n1") || slices.ContainsFunc(got, isDial) {
			t.Errorf("decided %q about who left", got)
		}
	})
}

// isDial reports whether a decision is to dial.
func isDial(w string) bool { return len(w) > 4 && w[:4] == "dial" }

// What the peer says about itself meanwhile is listed with it.
func TestATrialListsTheNewestRecord(t *testing.T) {
	n := lost(t)
	l, _ := n.back(5)
	n.answer(l, 3, time.Millisecond)
	probe := n.acts
	n.Learn(n.now, l, []frame.Record{record(1, 5, func(r *frame.Record) {
		r.Version, r.Meta = 2, map[string]string{"zone": "b"}
	})})
	n.take()
	n.acts = probe
	n.answer(l, 5, time.Millisecond)
	v, _ := n.acts[len(n.acts)-1].(core.View)
	if len(v.Members) != 2 || v.Members[1].Record.Meta["zone"] != "b" {
		t.Errorf("listed %+v, want the record of the trial's end", v.Members)
	}
}
