package frame_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/espial-go/espial/internal/frame"
)

func TestWish(t *testing.T) {
	reign := frame.AppendReign(nil, "jobs", 7)
	for _, tt := range []struct {
		name   string
		fields []byte
		want   frame.Wish
	}{
		{"no fields", nil, frame.WishNone},
		{"alone", frame.AppendWish(nil, frame.WishQueued), frame.WishQueued},
		{"after another field", frame.AppendWish(reign, frame.WishHandled), frame.WishHandled},
		{"before another field", append(frame.AppendWish(nil, frame.WishHandled), reign...), frame.WishHandled},
		{"another field alone", reign, frame.WishNone},
		{"a wish of a later version", frame.AppendField(nil, 2, []byte{9}), frame.WishNone},
		{"a longer wish of a later version", frame.AppendField(nil, 2, []byte{1, 2}), frame.WishNone},
		{"an empty wish", frame.AppendField(nil, 2, nil), frame.WishNone},
	} {
		b := frame.BeginEvents(nil, frame.Events{
			Lane: frame.Direct, First: 1, Message: 1, Topic: []byte("a"), Fields: tt.fields,
		})
		b = frame.AppendPayload(b, []byte("x"))
		frame.Seal(b)
		raw, _, err := frame.Next(b)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		e, err := frame.DecodeEvents(raw.Payload)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := e.Wish(); got != tt.want {
			t.Errorf("%s: Wish() = %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestGroup(t *testing.T) {
	reign := frame.AppendReign(nil, "jobs", 7)
	workers := slices.Clip(frame.AppendGroup(nil, "workers"))
	for _, tt := range []struct {
		name   string
		fields []byte
		want   string
		ok     bool
	}{
		{"no fields", nil, "", true},
		{"alone", workers, "workers", true},
		{"after a term", frame.AppendGroup(reign, "workers"), "workers", true},
		{"before a wish", frame.AppendWish(workers, frame.WishQueued), "workers", true},
		{"twice", frame.AppendGroup(workers, "workers"), "", false},
		{"without a name", frame.AppendGroup(nil, ""), "", false},
		{"with something behind it", frame.AppendField(nil, 5, []byte{1, 'a', 'b'}), "", false},
		{"cut", frame.AppendField(nil, 5, []byte{2, 'a'}), "", false},
	} {
		b := frame.BeginEvents(nil, frame.Events{
			Lane: frame.Direct, First: 1, Message: 1, Topic: []byte("a"), Fields: tt.fields,
		})
		b = frame.AppendPayload(b, []byte("x"))
		e, err := frame.DecodeEvents(b[frame.HeaderSize:])
		if got := string(e.Group()); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: group %q, %v; want %q, ok %v", tt.name, got, err, tt.want, tt.ok)
		}
	}
}

func TestInterests(t *testing.T) {
	want := []frame.Interest{{Group: "workers", Pattern: "jobs.>"}, {Group: "b", Pattern: "*", Except: "c d"}}
	var b []byte
	for _, i := range want {
		b = i.Append(b)
	}
	if got, ok := frame.DecodeInterests(b); !ok || !slices.Equal(got, want) {
		t.Errorf("DecodeInterests = %v, %v, want %v", got, ok, want)
	}
	if got, ok := frame.DecodeInterests(nil); !ok || len(got) != 0 {
		t.Errorf("of nothing: %v, %v", got, ok)
	}
	for name, b := range map[string][]byte{
		"cut": b[:len(b)-1], "a group alone": {1, 'a'}, "too long": make([]byte, frame.InterestsMax+1),
	} {
		if got, ok := frame.DecodeInterests(b); ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestReceipt(t *testing.T) {
	r := frame.Receipt{Lane: frame.Direct, Verdict: frame.VerdictHandled, First: 0x102, Count: 3}
	b := r.Append([]byte("before"))
	want := "before\x01\x02\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x03"
	if string(b) != want {
		t.Errorf("Append = %q, want %q", b, want)
	}
	b = bytes.TrimPrefix(b, []byte("before"))
	for name, b := range map[string][]byte{"as it is": b, "with what a later version adds": append(b, 9)} {
		if got, ok := frame.DecodeReceipt(b); got != r || !ok {
			t.Errorf("%s: DecodeReceipt = %+v, %v", name, got, ok)
		}
	}
	for name, b := range map[string][]byte{
		"empty": nil, "cut": b[:13], "of a lane that is none": append([]byte{2}, b[1:]...),
		"of an unknown verdict": append([]byte{1, 3}, b[2:]...),
		"of message 0":          append([]byte{1, 2, 0, 0, 0, 0, 0, 0, 0, 0}, b[10:]...),
		"of no message":         append(bytes.Clone(b[:10]), 0, 0, 0, 0),
	} {
		if got, ok := frame.DecodeReceipt(b); ok {
			t.Errorf("%s: DecodeReceipt = %+v, want none", name, got)
		}
	}
}
