package frame_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/espial-go/espial/internal/frame"
)

func TestPast(t *testing.T) {
	p := frame.Past{Question: 5, Number: 9}
	alone := slices.Clip(frame.AppendPast(nil, p))
	for _, tt := range []struct {
		name   string
		fields []byte
		want   frame.Past
		ok     bool
	}{
		{"no fields", nil, frame.Past{}, true},
		{"alone", alone, p, true},
		{"after a term", frame.AppendPast(frame.AppendReign(nil, "jobs", 7), p), p, true},
		{"twice", frame.AppendPast(alone, p), frame.Past{}, false},
		{"of number 0", frame.AppendPast(nil, frame.Past{Question: 5}), frame.Past{}, false},
		{"cut", frame.AppendField(nil, 7, make([]byte, 15)), frame.Past{}, false},
		{"too long", frame.AppendField(nil, 7, bytes.Repeat([]byte{1}, 17)), frame.Past{}, false},
	} {
		b := frame.BeginEvents(nil, frame.Events{
			Lane: frame.Direct, First: 1, Message: 1, Topic: []byte("a"), Fields: tt.fields,
		})
		b = frame.AppendPayload(b, []byte("x"))
		e, err := frame.DecodeEvents(b[frame.HeaderSize:])
		if got := e.Past(); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %+v, %v; want %+v, ok %v", tt.name, got, err, tt.want, tt.ok)
		}
	}
}

func TestReplay(t *testing.T) {
	for _, q := range []frame.Replay{{Question: 1 << 40, Pattern: "orders.>"}, {Question: 3}} {
		if got, ok := frame.DecodeReplay(q.Append(nil)); got != q || !ok {
			t.Errorf("%+v comes back as %+v, %v", q, got, ok)
		}
	}
	for name, b := range map[string][]byte{"cut": make([]byte, 7), "too long": make([]byte, 8+256)} {
		if got, ok := frame.DecodeReplay(b); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
