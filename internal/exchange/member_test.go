package exchange_test

import (
	"errors"
	"testing"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/mailbox"
)

// TestWhoIsNoMemberNeitherReadsNorPublishes: its session begins when it is listed, by the OPEN
// that waits for that.
func TestWhoIsNoMemberNeitherReadsNorPublishes(t *testing.T) {
	a, b := newNode(t, 1, 0), newNode(t, 2, 0)
	w := connect(t, a, b)
	b.SetMembers(nil)
	q := b.subscribe(mailbox.Options{})
	a.publish(1, 1, 8)
	w.carry()
	if got := read(t, q); got != "" {
		t.Errorf("B reads %q before it lists A", got)
	}
	if !w.ends[1].pair.Opened() || w.ends[0].pair.Opened() {
		t.Error("B sent its OPEN, or did not take that of A")
	}
	run := frame.BeginEvents(nil, frame.Events{First: 1, Message: 1, Topic: []byte("a")})
	run = frame.AppendPayload(run, []byte("boo"))
	frame.Seal(run)
	raw, _, err := frame.Next(run)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.ends[1].pair.Receive(raw); !errors.Is(err, exchange.ErrBreach) {
		t.Errorf("B takes an event of who is no member: %v, want %v", err, exchange.ErrBreach)
	}
	w.ends[1].woken()
	b.SetMembers([]*exchange.Pair{w.ends[1].pair})
	if w.ends[1].woken() == 0 {
		t.Error("nobody wakes the writer when A is a member")
	}
	w.carry()
	if got, want := read(t, q), "a:1"; got != want {
		t.Errorf("B reads %q from A, want %q", got, want)
	}
}
