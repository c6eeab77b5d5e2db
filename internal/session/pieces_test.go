package session_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// TestLossesAreCountedInMessages: numbers count pieces, users count messages.
func TestLossesAreCountedInMessages(t *testing.T) {
	whole := func(first, message ident.Seq, count int) frame.Events {
		return frame.Events{First: first, Message: message, Count: count}
	}
	piece := func(first, message ident.Seq) frame.Events {
		return frame.Events{First: first, Message: message, Count: 1, More: true}
	}
	tests := []struct {
		name string
		give []frame.Events
		lost uint64 // by the last one
		err  error
	}{
		{name: "nothing is lost before the first", give: []frame.Events{whole(11, 5, 3)}},
		{name: "nor between pieces", give: []frame.Events{piece(11, 5), piece(12, 5), whole(13, 5, 1), whole(14, 6, 2)}},
		{name: "a message of many pieces is one", give: []frame.Events{whole(11, 5, 1), whole(45, 7, 1)}, lost: 1},
		{name: "so is one that came in part", give: []frame.Events{piece(11, 5), piece(12, 5), whole(45, 6, 1)}, lost: 1},
		{name: "and the next one is another", give: []frame.Events{piece(11, 5), whole(45, 7, 1)}, lost: 2},
		{name: "a run that came in part", give: []frame.Events{whole(11, 5, 3), whole(12, 6, 4)}},
		{name: "a piece that comes again", give: []frame.Events{piece(11, 5), piece(11, 5), whole(12, 5, 1)}},
		{name: "a message without a number", give: []frame.Events{whole(11, 0, 1)}, err: session.ErrNumber},
		{name: "more messages than numbers", give: []frame.Events{whole(11, 12, 1)}, err: session.ErrNumber},
		{name: "a jump of messages alone", give: []frame.Events{whole(11, 6, 1)}, err: session.ErrNumber},
		{name: "a jump of numbers alone", give: []frame.Events{whole(12, 5, 1)}, err: session.ErrNumber},
		{name: "a greater jump of messages", give: []frame.Events{whole(13, 8, 1)}, err: session.ErrNumber},
		{name: "a message again under new numbers", give: []frame.Events{whole(11, 5, 3), whole(14, 7, 1)}, err: session.ErrNumber},
		{name: "a piece of the wrong message", give: []frame.Events{piece(11, 5), whole(12, 6, 1)}, err: session.ErrNumber},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := session.NewInbox(0)
			if _, err := in.Start(11, 5); err != nil {
				t.Fatal(err)
			}
			var lost uint64
			var err error
			for _, e := range tt.give {
				if _, lost, err = in.Accept(e, 100); err != nil {
					break
				}
			}
			if lost != tt.lost || !errors.Is(err, tt.err) {
				t.Errorf("Accept = %d lost, %v; want %d, %v", lost, err, tt.lost, tt.err)
			}
		})
	}
}

// TestOpenSaysHowManyMessagesAreLost: the numbers between may be pieces.
func TestOpenSaysHowManyMessagesAreLost(t *testing.T) {
	for _, tt := range []struct {
		name           string
		first, message ident.Seq
		lost           uint64
		err            error
	}{
		{name: "nothing is", first: 3, message: 2},
		{name: "the one that came in part", first: 40, message: 3, lost: 1},
		{name: "and another one", first: 40, message: 4, lost: 2},
		{name: "every number was a message", first: 40, message: 40, lost: 38},
		{name: "no message", first: 40, message: 2, err: session.ErrNumber},
		{name: "no number", err: session.ErrNumber},
		{name: "more messages than numbers", first: math.MaxUint64 - 1, message: math.MaxUint64, err: session.ErrNumber},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := started(t, 0)
			accept(t, in, 1, 1)
			if _, _, err := in.Accept(frame.Events{First: 2, Message: 2, Count: 1, More: true}, 100); err != nil {
				t.Fatal(err)
			}
			if lost, err := in.Start(tt.first, tt.message); lost != tt.lost || !errors.Is(err, tt.err) {
				t.Errorf("Start(%d, %d) = %d, %v; want %d, %v", tt.first, tt.message, lost, err, tt.lost, tt.err)
			}
			in.Release(1)
			if tt.lost > 0 && in.Held() != 0 {
				t.Errorf("%d bytes of a message are held whose rest is lost", in.Held())
			}
		})
	}
}

// TestPiecesWaitForTheLastOne: a queue that withholds a large message withholds all of
// it, or a sender could fill the memory of a reader with messages whose last pieces are
// small.
func TestPiecesWaitForTheLastOne(t *testing.T) {
	in := started(t, 0)
	now := time.Unix(0, 0)
	const cost, pieces = 1000, 5
	for n := range ident.Seq(pieces) {
		e := frame.Events{First: n + 1, Message: 1, Count: 1, More: n < pieces-1}
		if _, _, err := in.Accept(e, cost); err != nil {
			t.Fatalf("Accept(%d): %v", n+1, err)
		}
	}
	if _, _, err := in.Accept(frame.Events{First: pieces + 1, Message: 2, Count: 1}, 100); err != nil {
		t.Fatal(err)
	}
	if n, due := in.Ack(now, true); due || in.Held() != pieces*cost+100 {
		t.Errorf("Ack = %d, %v with %d held; want nothing, %d", n, due, in.Held(), pieces*cost+100)
	}
	in.Release(pieces + 1)
	if n, due := in.Ack(now, true); due {
		t.Errorf("Ack = %d before the message is released", n)
	}
	in.Release(pieces)
	if n, due := in.Ack(now, true); n != pieces+1 || !due || in.Held() != 0 {
		t.Errorf("Ack = %d, %v with %d held; want %d, nothing held", n, due, in.Held(), pieces+1)
	}
}

// TestAMessageAboveTheWindowPasses: its pieces hold half of the window at most, all of
// it counts until the end, and the last piece releases what is left.
func TestAMessageAboveTheWindowPasses(t *testing.T) {
	in := session.NewInbox(session.WindowMin)
	if _, err := in.Start(1, 1); err != nil {
		t.Fatal(err)
	}
	const cost = 10_000
	now, last := time.Unix(0, 0), ident.Seq(10*session.WindowMin/cost)
	for n := ident.Seq(1); n <= last; n++ {
		if _, _, err := in.Accept(frame.Events{First: n, Message: 1, Count: 1, More: n < last}, cost); err != nil {
			t.Fatalf("Accept(%d of %d): %v", n, last, err)
		}
		if half := session.WindowMin / 2; in.Held() > half+cost || n > 20 && in.Held() < half-cost {
			t.Fatalf("%d of %d bytes held after %d pieces, want about half", in.Held(), session.WindowMin, n)
		}
	}
	if n, due := in.Ack(now, true); !due || n >= last {
		t.Errorf("Ack = %d, %v; want some pieces of %d", n, due, last)
	}
	in.Release(last)
	if n, due := in.Ack(now, true); n != last || !due || in.Held() != 0 {
		t.Errorf("Ack = %d, %v with %d held; want %d and none", n, due, in.Held(), last)
	}
}

func TestReleaseOfAPiecePanics(t *testing.T) {
	in := started(t, 0)
	if _, _, err := in.Accept(frame.Events{First: 1, Message: 1, Count: 1, More: true}, 100); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Release of the first piece did not panic")
		}
	}()
	in.Release(1)
}

// TestWaitingCountsMessages also where an acknowledgement ends within a frame or a
// message.
func TestWaitingCountsMessages(t *testing.T) {
	l := session.NewLog(frame.Direct, session.Limits{})
	c := open(t, l)
	publish(t, l, "a", 3, 10)                   // numbers 1 to 3
	publish(t, l, "a", 1, 3*session.PieceMax)   // 4 to 6
	publish(t, l, "a", 2, 10)                   // 7 and 8
	publish(t, l, "b", 1, 2*session.PieceMax+1) // 9 to 11
	c.Take(nil, 1<<30)
	for _, tt := range []struct {
		acked, message ident.Seq
		waiting        uint64
	}{{0, 1, 7}, {2, 3, 5}, {3, 4, 4}, {5, 4, 4}, {6, 5, 3}, {7, 6, 2}, {8, 7, 1}, {10, 7, 1}, {11, 8, 0}} {
		acked(t, c, tt.acked)
		if c.Message() != tt.message || c.Waiting() != tt.waiting {
			t.Errorf("after the acknowledgement of %d: message %d, %d waiting; want %d, %d",
				tt.acked, c.Message(), c.Waiting(), tt.message, tt.waiting)
		}
	}
	publish(t, l, "a", 1, 10*session.PieceMax)
	publish(t, l, "a", 1, 1)
	if lost := c.GiveUp(); lost != 2 || c.Message() != 10 || c.Waiting() != 0 {
		t.Errorf("GiveUp = %d, then message %d with %d waiting; want 2, 10 and none", lost, c.Message(), c.Waiting())
	}
}
