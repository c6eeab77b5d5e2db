package mailbox_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// entries reads a script: "A?" is that A begins to replay, "A!" that it has done so, "a3" a
// replayed message 3 of A, "A3" a new one, "A3d" a direct one, "A-" a loss, "A3'" of its next
// incarnation.
func entries(script string) (out []mailbox.Entry) {
	for w := range strings.FieldsSeq(script) {
		var e mailbox.Entry
		from := ident.NodeID{strings.ToUpper(w)[0]}
		e.From, e.Count, e.Inc = from, 1, 1
		w, next := strings.CutSuffix(w, "'")
		if next {
			e.Inc = 2
		}
		switch rest := w[1:]; rest {
		case "?":
			e.Stage, e.Count = mailbox.StageOpening, 0
		case "!":
			e.Stage, e.Count = mailbox.StageDone, 0
		case "-":
			e.Lost, e.Count, e.From = mailbox.Loss{From: from, Count: 1}, 0, ident.NodeID{}
		default:
			if strings.HasSuffix(rest, "d") {
				e.Lane = frame.Direct
			}
			if _, err := fmt.Sscanf(rest, "%d", &e.First); err != nil {
				panic(err)
			}
			e.Past = w[0] >= 'a'
		}
		out = append(out, e)
	}
	return out
}

// script is the inverse of entries.
func script(es []mailbox.Entry) string {
	var words []string
	for _, e := range es {
		name := string(e.From[0])
		switch {
		case e.Count == 0:
			words = append(words, string(e.Lost.From[0])+"-")
			continue
		case e.Past:
			name = strings.ToLower(name)
		}
		word := fmt.Sprint(name, e.First)
		if e.Lane == frame.Direct {
			word += "d"
		}
		if e.Inc == 2 {
			word += "'"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestCatchUp(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"nobody replays", "A1 B1 A2 A-", "A1 B1 A2 A-"},
		{"the past comes before what is new", "A? A3 a1 a2 A4 A!", "a1 a2 A3 A4"},
		{"what is new is given after the end", "A? a1 A! A2", "a1 A2"},
		{"what is in the past and new comes once", "A? A3 a2 a3 A! A4", "a2 A3 A4"},
		{"what the reader has had is no past", "A1 A2 A? a1 a2 a3 A!", "A1 A2 a3"},
		{"others are not held back", "A? B? A2 B1 a1 C1 A! B2 B!", "a1 C1 A2 B1 B2"},
		{"direct messages are not held back", "A? A2 A1d a1 A!", "A1d a1 A2"},
		{"a loss keeps its place", "A? A2 A- A5 a1 A!", "a1 A2 A- A5"},
		{"nothing is kept", "A? A! A1", "A1"},
		{"who goes replays nothing", "A? A2 A! a1", "A2"},
		{"again after a split", "A? a1 A! A2 A? A5 a2 a3 a4 A! A6", "a1 A2 a3 a4 A5 A6"},
		{"a new incarnation has numbers of its own", "A? A1 A2 A! A?' A3' a1' a2' A!'", "A1 A2 a1' a2' A3'"},
		{"and ends its own answer alone", "A? A8 A?' A3' A! a1' a2' A!' A4'", "A8 a1' a2' A3' A4'"},
		{"a loss belongs to the later one", "A? A8 A?' A- A! a1' A!'", "A8 a1' A-"},
		{"what was replayed while it waited to be sent comes once", "A? a1 a2 A! A1 A2 A3", "a1 a2 A3"},
		{"begun twice is begun once", "A? A2 A? a1 A! A3", "a1 A2 A3"},
	} {
		var c mailbox.CatchUp
		var got []mailbox.Entry
		for _, e := range entries(tt.in) {
			got = c.Take(got, e)
		}
		if script(got) != tt.want {
			t.Errorf("%s: %s gives %s, want %s", tt.name, tt.in, script(got), tt.want)
		}
	}
}

// TestCatchUpHoldsBackSoMuch: beyond that what is new goes on without its past.
func TestCatchUpHoldsBackSoMuch(t *testing.T) {
	var c mailbox.CatchUp
	got := c.Take(nil, entries("A?")[0])
	for i := range 5000 {
		e := entries("A1")[0]
		e.First = ident.Seq(10 + i)
		got = c.Take(got, e)
		if i == 4000 && len(got) != 0 {
			t.Errorf("after 4,000 messages %d came through", len(got))
		}
	}
	if len(got) != 5000 {
		t.Errorf("of 5,000 messages %d came through", len(got))
	}
	if got := c.Take(nil, entries("a3")[0]); len(got) != 0 {
		t.Error("the past came after what is new")
	}
}

// TestCatchUpHoldsBackSoManyBytes: what a member never ends to replay takes no more.
func TestCatchUpHoldsBackSoManyBytes(t *testing.T) {
	var c mailbox.CatchUp
	c.Take(nil, entries("A?")[0])
	const size = 1 << 20
	for i := range 100 {
		e := entries("A1")[0]
		e.First, e.Data = ident.Seq(1+i), make([]byte, size)
		if got := c.Take(nil, e); len(got) > 0 {
			if max := mailbox.BytesMaxDefault/size + 1; len(got) > max {
				t.Errorf("%d messages of 1 MiB were held back, want %d at most", len(got), max)
			}
			return
		}
	}
	t.Error("100 messages of 1 MiB are held back")
}

// TestWhatWasReplayedIsCutOff from a run that holds more.
func TestWhatWasReplayedIsCutOff(t *testing.T) {
	var c mailbox.CatchUp
	for _, e := range entries("A? a1 a2 A!") {
		c.Take(nil, e)
	}
	e := entries("A1")[0]
	for _, p := range []string{"1", "2", "3", "4"} {
		e.Data = frame.AppendPayload(e.Data, []byte(p))
	}
	e.Count = 4
	got := c.Take(nil, e)
	if len(got) != 1 || got[0].First != 3 || got[0].Count != 2 || string(got[0].Data) != "\x013\x014" {
		t.Errorf("of a run of four, two of which were replayed, comes %v", got)
	}
}

// TestStagesAreNeverDropped: a queue that drops its oldest keeps who begins and who ends.
func TestStagesAreNeverDropped(t *testing.T) {
	box := mailbox.New(func() {})
	q, err := box.Subscribe("a", mailbox.Options{
		MessagesMax: 2, Policy: mailbox.DropOldest, Opening: []mailbox.Origin{{ID: ident.NodeID{'A'}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newSender(box, 'A', frame.Direct)
	for range 5 {
		s.send("a", 1)
	}
	q.Enter(mailbox.Origin{ID: ident.NodeID{'A'}}, mailbox.StageDone)
	for range 5 {
		s.send("a", 1)
	}
	batch, err := q.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var stages []mailbox.Stage
	messages := 0
	for _, e := range batch {
		if e.Stage != mailbox.StageNone {
			stages = append(stages, e.Stage)
		}
		messages += e.Count
	}
	if len(stages) != 2 || stages[0] != mailbox.StageOpening || messages > 2 {
		t.Errorf("the queue has %d messages and the stages %v", messages, stages)
	}
}
