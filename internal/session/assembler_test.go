package session_test

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// piece returns the frame of one piece.
func piece(topic string, first ident.Seq, more bool, payloads ...[]byte) frame.Events {
	e := frame.Events{Topic: []byte(topic), First: first, More: more, Count: len(payloads)}
	for _, p := range payloads {
		e.Run = frame.AppendPayload(e.Run, p)
	}
	return e
}

// TestPiecesMakeTheMessageAgain: any size that Append takes comes out as it went in
// (case C21).
func TestPiecesMakeTheMessageAgain(t *testing.T) {
	const p = session.PieceMax
	a := session.Assembler{EventMax: session.EventMaxMost}
	for _, size := range []int{p + 1, 2*p - 1, 2 * p, 2*p + 1, 1 << 20, 3 << 20, session.EventMaxMost} {
		l := session.NewLog(frame.Direct, session.Limits{EventMax: session.EventMaxMost})
		c := l.Open()
		if err := c.Resume(0, 1<<30); err != nil {
			t.Fatal(err)
		}
		payload := pattern(size)
		_, err := l.Append(session.Message{Topic: "a", Codec: 2, Payload: payload})
		if err != nil {
			t.Fatalf("Append of %d bytes: %v", size, err)
		}
		var run []byte
		var last ident.Seq
		for _, f := range c.Take(nil, 1<<30) {
			raw, _, _ := frame.Next(f)
			e, err := frame.DecodeEvents(raw.Payload)
			if err != nil || run != nil || !a.Wants(e) {
				t.Fatalf("%d bytes: frame %d after the end or not wanted, %v", size, e.First, err)
			}
			if run, err = a.Add(e); err != nil {
				t.Fatalf("%d bytes: Add(%d): %v", size, e.First, err)
			}
			last = e.First + 1
		}
		got, rest := frame.NextPayload(run)
		if !bytes.Equal(got, payload) || len(rest) != 0 || last != l.Next() {
			t.Errorf("%d bytes: got %d and %d more, numbers up to %d of %d", size, len(got), len(rest), last, l.Next())
		}
		if a.Wants(frame.Events{}) {
			t.Errorf("%d bytes: the Assembler still waits", size)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	big := make([]byte, 60)
	tests := []struct {
		name   string
		frames []frame.Events
		err    error
	}{
		{"another topic", []frame.Events{piece("a", 1, true, big), piece("b", 2, false, big)}, session.ErrPieces},
		{"another codec", []frame.Events{piece("a", 1, true, big), {
			Topic: []byte("a"), First: 2, Codec: 9, Count: 1, Run: []byte{0},
		}}, session.ErrPieces},
		{"another class", []frame.Events{piece("a", 1, true, big), {
			Topic: []byte("a"), First: 2, Class: 9, Count: 1, Run: []byte{0},
		}}, session.ErrPieces},
		{"another term", []frame.Events{piece("a", 1, true, big), {
			Topic: []byte("a"), First: 2, Count: 1, Run: []byte{0}, Fields: frame.AppendReign(nil, "", 7),
		}}, session.ErrPieces},
		{"two messages in the last frame", []frame.Events{piece("a", 1, true, big), piece("a", 2, false, big, big)}, session.ErrPieces},
		{"too much at the end", []frame.Events{piece("a", 1, true, big), piece("a", 2, false, big)}, session.ErrTooLarge},
		{"too much on the way", []frame.Events{piece("a", 1, true, big), piece("a", 2, true, big)}, session.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := session.Assembler{EventMax: 100}
			if run, err := a.Add(tt.frames[0]); run != nil || err != nil {
				t.Fatalf("Add of the first piece = %x, %v", run, err)
			}
			if run, err := a.Add(tt.frames[1]); run != nil || !errors.Is(err, tt.err) {
				t.Errorf("Add = %x, %v; want %v", run, err, tt.err)
			}
			if a.Wants(frame.Events{}) {
				t.Errorf("the Assembler still waits after an error")
			}
		})
	}
}

func TestResetForgetsTheBeginning(t *testing.T) {
	var a session.Assembler
	_, _ = a.Add(piece("a", 1, true, []byte("lost")))
	a.Reset()
	_, _ = a.Add(piece("b", 9, true, []byte("kept ")))
	run, err := a.Add(piece("b", 10, false, []byte("whole")))
	if got, _ := frame.NextPayload(run); err != nil || string(got) != "kept whole" {
		t.Errorf("Add = %q, %v; want %q", got, err, "kept whole")
	}
}

// TestAssemblyMemoryFollowsBytes: a peer that sends one byte of a message of 64 MiB
// costs no more than a small constant (case D04).
func TestAssemblyMemoryFollowsBytes(t *testing.T) {
	a := session.Assembler{EventMax: session.EventMaxMost}
	first := piece("a", 1, true, []byte{1})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 1000 {
		_, _ = a.Add(first)
		a.Reset()
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / 1000; n > 256 {
		t.Errorf("the first byte costs %d bytes", n)
	}
}
