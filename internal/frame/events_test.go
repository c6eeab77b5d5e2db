package frame_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// encodeEvents writes a whole frame.
func encodeEvents(e frame.Events, payloads ...[]byte) []byte {
	b := frame.BeginEvents(nil, e)
	for _, p := range payloads {
		b = frame.AppendPayload(b, p)
	}
	frame.Seal(b)
	return b
}

// walk returns the payloads of a run.
func walk(run []byte) (payloads [][]byte) {
	var p []byte
	for len(run) > 0 {
		p, run = frame.NextPayload(run)
		payloads = append(payloads, p)
	}
	return payloads
}

func TestEventsVector(t *testing.T) {
	long := bytes.Repeat([]byte{'z'}, 300)
	give := frame.Events{
		Lane: frame.Direct, First: 258, Message: 256, Codec: frame.CodecCBOR, Class: 3,
		Topic: []byte("a.b"), Fields: frame.AppendField(nil, 2, []byte{0xee}),
	}
	want := append(unhex(t, `1a 00014e 01 00 0000000000000102 0000000000000100 02 03 03 612e62 03 02 01 ee
		02 7879 00 ac02`), long...)
	got := encodeEvents(give, []byte("xy"), nil, long)
	if !bytes.Equal(got, want) {
		t.Fatalf("encoded\n got %x\nwant %x", got, want)
	}

	raw, _, err := frame.Next(got)
	if err != nil {
		t.Fatal(err)
	}
	e, err := frame.DecodeEvents(raw.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if payloads := walk(e.Run); !cmp.Equal(payloads, [][]byte{[]byte("xy"), {}, long}) {
		t.Errorf("payloads %q", payloads)
	}
	give.Run, give.Count = e.Run, 3
	if diff := cmp.Diff(give, e); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

func TestDecodeEventsRefuses(t *testing.T) {
	// lane, flags, first, message, codec, class, topic "t", fields, run
	tests := []struct {
		name, payload string
		err           error
	}{
		{"nothing", "", frame.ErrMalformed},
		{"lane 3", "03 00 0000000000000001 0000000000000001 00 00 0174 00 01ff", frame.ErrMalformed},
		{"an unknown flag", "00 02 0000000000000001 0000000000000001 00 00 0174 00 01ff", frame.ErrMalformed},
		{"number 0", "00 00 0000000000000000 0000000000000001 00 00 0174 00 01ff", frame.ErrMalformed},
		{"message 0", "00 00 0000000000000001 0000000000000000 00 00 0174 00 01ff", frame.ErrMalformed},
		{"more messages than numbers", "00 00 0000000000000001 0000000000000002 00 00 0174 00 01ff", frame.ErrMalformed},
		{"numbers that wrap", "00 00 fffffffffffffffe 0000000000000001 00 00 0174 00 01ff 01ff", frame.ErrMalformed},
		{"a topic that ends early", "00 00 0000000000000001 0000000000000001 00 00 0574 00", frame.ErrMalformed},
		{"no fields section", "00 00 0000000000000001 0000000000000001 00 00 0174", frame.ErrMalformed},
		{"fields that end early", "00 00 0000000000000001 0000000000000001 00 00 0174 02 02", frame.ErrMalformed},
		{"a critical field", "00 00 0000000000000001 0000000000000001 00 00 0174 02 0300 01ff", frame.ErrCritical},
		{"a field that leaves its section", "00 00 0000000000000001 0000000000000001 00 00 0174 02 0201 01ff", frame.ErrMalformed},
		{"no message", "00 00 0000000000000001 0000000000000001 00 00 0174 00", frame.ErrMalformed},
		{"a message that ends early", "00 00 0000000000000001 0000000000000001 00 00 0174 00 01ff 02ff", frame.ErrMalformed},
		{"a length that ends early", "00 00 0000000000000001 0000000000000001 00 00 0174 00 01ff 80", frame.ErrMalformed},
		{"a length not in its shortest form", "00 00 0000000000000001 0000000000000001 00 00 0174 00 8100ff", frame.ErrMalformed},
		{"a length of 2^64-1", "00 00 0000000000000001 0000000000000001 00 00 0174 00 ffffffffffffffffff01", frame.ErrMalformed},
		{"a length of eleven bytes", "00 00 0000000000000001 0000000000000001 00 00 0174 00" + strings.Repeat("ff", 11), frame.ErrMalformed},
		{"two pieces in a frame", "00 01 0000000000000001 0000000000000001 00 00 0174 00 01ff 01ff", frame.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := frame.DecodeEvents(unhex(t, tt.payload))
			if !errors.Is(err, tt.err) {
				t.Errorf("DecodeEvents(%s) = %+v, %v; want %v", tt.payload, got, err, tt.err)
			}
			if !cmp.Equal(got, frame.Events{}) {
				t.Errorf("DecodeEvents(%s) = %+v beside its error", tt.payload, got)
			}
		})
	}
}

func TestEventsEdges(t *testing.T) {
	tests := []struct {
		name     string
		give     frame.Events
		payloads [][]byte
	}{
		{"one empty message", frame.Events{First: 1, Message: 1}, [][]byte{{}}},
		{"an empty piece", frame.Events{First: 1, Message: 1, More: true}, [][]byte{{}}},
		{"the last numbers", frame.Events{First: math.MaxUint64 - 2, Message: math.MaxUint64 - 2}, [][]byte{{1}, {2}}},
		{"the longest topic", frame.Events{First: 1, Message: 1, Topic: bytes.Repeat([]byte("t"), frame.TopicMax)}, [][]byte{{1}}},
		{
			"lengths of one, two and three bytes",
			frame.Events{First: 1, Message: 1},
			[][]byte{make([]byte, 127), make([]byte, 128), make([]byte, 16383), make([]byte, 16384)},
		},
		{"a length whose third byte is even", frame.Events{First: 1, Message: 1}, [][]byte{make([]byte, 32768)}},
		{
			"a message that fills the frame",
			frame.Events{First: 1, Message: 1, Topic: []byte("t")},
			[][]byte{make([]byte, frame.Max-frame.EventsOverhead(1)-3)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := encodeEvents(tt.give, tt.payloads...)
			size := frame.EventsOverhead(len(tt.give.Topic))
			for _, p := range tt.payloads {
				size += frame.PayloadSize(len(p))
			}
			if len(b) != size || size > frame.Max {
				t.Errorf("%d bytes encoded, %d foretold, limit %d", len(b), size, frame.Max)
			}
			e, err := frame.DecodeEvents(b[frame.HeaderSize:])
			if err != nil {
				t.Fatal(err)
			}
			if got := walk(e.Run); e.Count != len(tt.payloads) || !cmp.Equal(got, tt.payloads) {
				t.Errorf("%d messages, counted %d, want %d", len(got), e.Count, len(tt.payloads))
			}
			if e.More != tt.give.More || e.First != tt.give.First {
				t.Errorf("more %t, first %d; want %t, %d", e.More, e.First, tt.give.More, tt.give.First)
			}
		})
	}
}

// A message that was put together from pieces is handed on as a run, too long for a
// frame.
func TestNextPayloadBeyondAFrame(t *testing.T) {
	for _, size := range []int{frame.PayloadMax + 1, 1<<21 - 1, 1 << 21, 3<<20 + 5, 64 << 20} {
		payload := make([]byte, size)
		payload[size-1] = 7
		run := frame.AppendPayload(frame.AppendPayload(nil, payload), []byte("next"))
		got, rest := frame.NextPayload(run)
		if len(got) != size || got[size-1] != 7 || len(rest) != 5 {
			t.Errorf("payload of %d bytes: got %d and a rest of %d, want 5", size, len(got), len(rest))
		}
	}
}

func TestEventsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		small := rapid.SliceOfN(rapid.Byte(), 0, 200)
		payloads := rapid.SliceOfN(small, 1, 40).Draw(t, "payloads")
		first := rapid.Uint64Range(1, 1<<63).Draw(t, "first")
		want := frame.Events{
			Lane:  frame.Lane(rapid.IntRange(0, 2).Draw(t, "lane")),
			More:  len(payloads) == 1 && rapid.Bool().Draw(t, "more"),
			First: ident.Seq(first), Message: ident.Seq(rapid.Uint64Range(1, first).Draw(t, "message")),
			Codec: rapid.Uint8().Draw(t, "codec"), Class: rapid.Uint8().Draw(t, "class"),
			Topic: rapid.SliceOfN(rapid.Byte(), 0, 255).Draw(t, "topic"), Fields: []byte{},
		}
		for range rapid.IntRange(0, 3).Draw(t, "fields") {
			tag := 2 * rapid.Uint64Range(0, 1<<62).Draw(t, "tag")
			want.Fields = frame.AppendField(want.Fields, tag, small.Draw(t, "value"))
		}
		raw, _, err := frame.Next(encodeEvents(want, payloads...))
		if err != nil {
			t.Fatal(err)
		}
		got, err := frame.DecodeEvents(raw.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if back := walk(got.Run); !cmp.Equal(back, payloads) {
			t.Fatalf("payloads (-want +got):\n%s", cmp.Diff(payloads, back))
		}
		want.Run, want.Count = got.Run, len(payloads)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("round trip (-want +got):\n%s", diff)
		}
	})
}

func TestNextField(t *testing.T) {
	b := frame.AppendField(nil, 300, []byte("abc"))
	b = frame.AppendField(b, 6, nil)
	tag, value, rest, err := frame.NextField(b)
	if tag != 300 || string(value) != "abc" || err != nil {
		t.Errorf("first field %d, %q, %v", tag, value, err)
	}
	tag, value, rest, err = frame.NextField(rest)
	if tag != 6 || len(value) != 0 || len(rest) != 0 || err != nil {
		t.Errorf("second field %d, %q, rest %x, %v", tag, value, rest, err)
	}
	for _, bad := range []string{"80", "02", "0201", "8000 00", "02 8000", "02 ffffffffffffffffff01"} {
		if tag, _, _, err := frame.NextField(unhex(t, bad)); !errors.Is(err, frame.ErrMalformed) {
			t.Errorf("NextField(%s) = %d, %v", bad, tag, err)
		}
	}
}

func TestEventsAllocateNothing(t *testing.T) {
	events := frame.Events{First: 1, Message: 1, Topic: []byte("orders.placed")}
	payload := make([]byte, 128)
	buf := make([]byte, 0, frame.Max)
	encode := func() {
		b := frame.BeginEvents(buf, events)
		for range 64 {
			b = frame.AppendPayload(b, payload)
		}
		frame.Seal(b)
		buf = b[:0]
	}
	encode()
	in := bytes.Clone(buf[frame.HeaderSize:cap(buf)][:frame.EventsOverhead(13)+64*frame.PayloadSize(128)-frame.HeaderSize])
	decode := func() {
		e, err := frame.DecodeEvents(in)
		if err != nil || e.Count != 64 {
			t.Fatalf("%d messages, %v", e.Count, err)
		}
		for run := e.Run; len(run) > 0; {
			_, run = frame.NextPayload(run)
		}
	}
	if n := testing.AllocsPerRun(100, encode); n != 0 {
		t.Errorf("encoding a run allocates %v times, want 0", n)
	}
	if n := testing.AllocsPerRun(100, decode); n != 0 {
		t.Errorf("decoding a run allocates %v times, want 0", n)
	}
}

func BenchmarkEvents(b *testing.B) {
	const count = 64
	events := frame.Events{First: 1, Message: 1, Topic: []byte("orders.placed")}
	payload := make([]byte, 128)
	buf := make([]byte, 0, frame.Max)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f := frame.BeginEvents(buf, events)
			for range count {
				f = frame.AppendPayload(f, payload)
			}
			frame.Seal(f)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/msg")
	})
	b.Run("decode", func(b *testing.B) {
		var payloads [][]byte
		for range count {
			payloads = append(payloads, payload)
		}
		in := encodeEvents(events, payloads...)[frame.HeaderSize:]
		b.ReportAllocs()
		for b.Loop() {
			e, err := frame.DecodeEvents(in)
			if err != nil {
				b.Fatal(err)
			}
			for run := e.Run; len(run) > 0; {
				payload, run = frame.NextPayload(run)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/msg")
	})
}
