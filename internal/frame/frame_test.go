package frame_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/frame"
)

func TestNext(t *testing.T) {
	longest := append([]byte{9, 1, 0, 0}, make([]byte, frame.PayloadMax)...)
	tests := []struct {
		name string
		in   []byte
		want frame.Raw
		size int
		err  error
	}{
		{name: "nothing", in: nil, err: frame.ErrShort},
		{name: "half a header", in: []byte{9, 0, 0}, err: frame.ErrShort},
		{name: "no payload", in: []byte{9, 0, 0, 0}, want: frame.Raw{Type: frame.TypeAck}, size: 4},
		{name: "payload cut short", in: []byte{9, 0, 0, 2, 'a'}, err: frame.ErrShort},
		{
			name: "the rest is left alone", in: []byte{9, 0, 0, 1, 'a', 7},
			want: frame.Raw{Type: frame.TypeAck, Payload: []byte("a")}, size: 5,
		},
		{
			name: "an unknown type passes", in: []byte{255, 0, 0, 1, 'a'},
			want: frame.Raw{Type: 255, Payload: []byte("a")}, size: 5,
		},
		{
			name: "the longest payload", in: longest,
			want: frame.Raw{Type: frame.TypeAck, Payload: longest[4:]}, size: frame.Max,
		},
		{name: "the longest payload announced", in: longest[:4], err: frame.ErrShort},
		{name: "one byte more announced", in: []byte{9, 1, 0, 1}, err: frame.ErrTooLarge},
		{name: "16 MiB announced", in: []byte{9, 255, 255, 255}, err: frame.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, size, err := frame.Next(tt.in)
			if !errors.Is(err, tt.err) {
				t.Fatalf("Next(%x…) error = %v, want %v", head(tt.in), err, tt.err)
			}
			if size != tt.size || got.Type != tt.want.Type || !bytes.Equal(got.Payload, tt.want.Payload) {
				t.Errorf("Next(%x…) = %v, %x…, %d; want %v, %x…, %d", head(tt.in),
					got.Type, head(got.Payload), size, tt.want.Type, head(tt.want.Payload), tt.size)
			}
		})
	}
}

// head shortens b for a message.
func head(b []byte) []byte { return b[:min(len(b), 16)] }

// A payload must not grow into the frame behind it.
func TestNextLimitsTheCapacityOfThePayload(t *testing.T) {
	raw, _, err := frame.Next([]byte{9, 0, 0, 1, 'a', 'b'})
	if err != nil {
		t.Fatal(err)
	}
	if cap(raw.Payload) != 1 {
		t.Errorf("capacity %d, want 1", cap(raw.Payload))
	}
}

func TestTypes(t *testing.T) {
	tests := []struct {
		give     frame.Type
		name     string
		critical bool
	}{
		{0, "type 0", true},
		{frame.TypeHello, "HELLO", true},
		{7, "type 7", true},
		{frame.TypeProbeResult, "PROBE-RESULT", true},
		{frame.TypeEvents, "EVENTS", true},
		{127, "type 127", true},
		{128, "type 128", false},
		{255, "type 255", false},
	}
	for _, tt := range tests {
		if name := tt.give.String(); name != tt.name {
			t.Errorf("Type(%d).String() = %q, want %q", uint8(tt.give), name, tt.name)
		}
		if critical := tt.give.Critical(); critical != tt.critical {
			t.Errorf("Type(%d).Critical() = %t, want %t", uint8(tt.give), critical, tt.critical)
		}
	}
}

func TestSealPanicsOnAFrameThatNoPeerTakes(t *testing.T) {
	for _, size := range []int{0, frame.HeaderSize - 1, frame.Max + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Seal of %d bytes returned", size)
				}
			}()
			frame.Seal(make([]byte, size))
		}()
	}
}

func TestNextAllocatesNothing(t *testing.T) {
	in := frame.Probe{Number: 7}.Append(nil)
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := frame.Next(in); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Next allocates %v times, want 0", n)
	}
}

func BenchmarkNext(b *testing.B) {
	in := frame.Probe{Number: 7}.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := frame.Next(in); err != nil {
			b.Fatal(err)
		}
	}
}

// unhex reads hexadecimal digits; spaces and line breaks part what belongs together.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatalf("bad test: %v", err)
	}
	return b
}

// refusal is a payload that no peer may send, and why.
type refusal struct {
	name    string
	typ     frame.Type
	payload string
	err     error
}

// refuses fails the test unless Decode refuses each of the payloads.
func refuses(t *testing.T, tests []refusal) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := frame.Decode(frame.Raw{Type: tt.typ, Payload: unhex(t, tt.payload)})
			if !errors.Is(err, tt.err) {
				t.Errorf("Decode(%v, %s) = %+v, %v; want %v", tt.typ, tt.payload, got, err, tt.err)
			}
		})
	}
}

// roundTrip fails the test unless a frame is decoded to what it was.
func roundTrip(t *rapid.T, want frame.Frame) {
	t.Helper()
	raw, _, err := frame.Next(want.Append(nil))
	if err != nil {
		t.Fatalf("Next of %+v: %v", want, err)
	}
	got, err := frame.Decode(raw)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Fatalf("round trip: %v (-want +got):\n%s", err, diff)
	}
}
