package frame_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/frame"
)

func TestCall(t *testing.T) {
	for _, tt := range []struct {
		name       string
		give, want time.Duration
	}{
		{"no timeout", 0, 0},
		{"a second", time.Second, time.Second},
		{"what is left of a microsecond", 1, time.Microsecond},
		{"a little more than one", 1001, 2 * time.Microsecond},
		{"over before it is sent", -1, 0},
		{"the longest", math.MaxInt64 - 807, math.MaxInt64 - 807},
	} {
		c := frame.Call{Timeout: tt.give, AnswerMax: 1 << 20, Value: []byte("x")}
		want := c
		want.Timeout = tt.want
		got, ok := frame.DecodeCall(c.Append(nil))
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("%s: ok %v, -want +got:\n%s", tt.name, ok, diff)
		}
	}
	for name, b := range map[string][]byte{
		"empty": {}, "cut after the timeout": {1}, "a timeout in no short form": {0x81, 0, 1},
	} {
		if got, ok := frame.DecodeCall(b); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
	endless, ok := frame.DecodeCall(append(bytes.Repeat([]byte{0xff}, 9), 1, 0))
	if !ok || endless.Timeout != 0 {
		t.Errorf("a timeout of 2^64−1 µs is %v, %v; want none", endless.Timeout, ok)
	}
}

func TestAnswer(t *testing.T) {
	for _, a := range []frame.Answer{
		{Number: 1, Outcome: frame.OutcomeCanceled},
		{Number: math.MaxUint64, Outcome: frame.OutcomeValue, Text: "shop.Order", Value: []byte("{}")},
		{Number: 300, Outcome: 255, Text: strings.Repeat("x", frame.TextMax)},
	} {
		b := a.Append(nil)
		if len(b) > frame.CallOverhead+len(a.Value) {
			t.Errorf("%+v takes %d bytes", a, len(b))
		}
		if got, ok := frame.DecodeAnswer(b); !ok || cmp.Diff(a, got, sameBytes) != "" {
			t.Errorf("%+v comes back as %+v, %v", a, got, ok)
		}
	}
	long := frame.Answer{Number: 1, Text: strings.Repeat("x", frame.TextMax+1)}
	if got, ok := frame.DecodeAnswer(long.Append(nil)); !ok || len(got.Text) != frame.TextMax {
		t.Errorf("a text of %d bytes comes back with %d, %v", len(long.Text), len(got.Text), ok)
	}
	for name, b := range map[string][]byte{
		"empty": {}, "of number 0": {0, 1, 0}, "without an outcome": {1}, "without a text": {1, 1},
		"a text that is cut":     {1, 2, 5, 'x'},
		"a text above the limit": append([]byte{1, 2, 0x81, 4}, make([]byte, 513)...),
	} {
		if got, ok := frame.DecodeAnswer(b); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// sameBytes takes nil for an empty slice.
var sameBytes = cmp.Comparer(bytes.Equal)

// FuzzCall feeds arbitrary payloads: what is accepted survives a round trip.
func FuzzCall(f *testing.F) {
	f.Add(frame.Call{Timeout: time.Second, AnswerMax: 1 << 20, Value: []byte("x")}.Append(nil))
	f.Add(frame.Answer{Number: 5, Outcome: frame.OutcomeFailed, Text: "no"}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, ok := frame.DecodeCall(b); ok {
			again, ok := frame.DecodeCall(c.Append(nil))
			if diff := cmp.Diff(c, again, sameBytes); diff != "" || !ok {
				t.Errorf("call %x: ok %v, -first +second:\n%s", b, ok, diff)
			}
		}
		if a, ok := frame.DecodeAnswer(b); ok {
			again, ok := frame.DecodeAnswer(a.Append(nil))
			if diff := cmp.Diff(a, again, sameBytes); diff != "" || !ok {
				t.Errorf("answer %x: ok %v, -first +second:\n%s", b, ok, diff)
			}
		}
	})
}
