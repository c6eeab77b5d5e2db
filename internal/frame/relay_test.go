package frame_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// broadcast returns an EVENTS frame of the lane of broadcasts.
func broadcast(first, message ident.Seq, more bool, payloads ...[]byte) []byte {
	return encodeEvents(frame.Events{First: first, Message: message, More: more, Topic: []byte("a.b")}, payloads...)
}

// sampleBatch returns the last piece of message 5, messages 6 and 7, and the first piece of
// message 8, not signed.
func sampleBatch(origin ident.NodeID) frame.Relay {
	return frame.Relay{
		Origin: origin, Incarnation: 9, First: 7, Last: 10, Message: 5, Continues: true,
		Frames: slices.Concat(
			broadcast(7, 5, false, []byte("x")),
			broadcast(8, 6, false, []byte("y"), nil),
			broadcast(10, 8, true, []byte("z")),
		),
	}
}

// signedBatch returns sampleBatch with the signature of key 1.
func signedBatch(t testing.TB) (*ident.Key, frame.Relay) {
	t.Helper()
	key := newKey(t, 1)
	b := sampleBatch(key.ID())
	if err := b.Sign(key.Sign); err != nil {
		t.Fatal(err)
	}
	return key, b
}

// A signed batch is what a peer decodes, and its proof is signed with it.
func TestASignedBatchIsWhatIsDecoded(t *testing.T) {
	key, b := signedBatch(t)
	if err := b.Proof().Verify(key.Public()); err != nil {
		t.Errorf("Verify of the proof = %v", err)
	}
	want := b
	want.Raw = nil
	got, err := frame.DecodeRelay(b.Raw[frame.HeaderSize:])
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("decoded: %v (-want +got):\n%s", err, diff)
	}
}

// unsigned is a signer for tests in which nobody looks at the signature.
func unsigned([]byte) ([]byte, error) { return []byte("signature"), nil }

func TestBatches(t *testing.T) {
	x := []byte("x")
	piece := make([]byte, 32<<10-512)
	longest := frame.Events{First: 2, Message: 1, More: true, Topic: bytes.Repeat([]byte("t"), frame.TopicMax)}
	longest.Fields = frame.AppendReign(nil, "e23456789012345678901234567890123456789012345678901234567890123", 7)
	second := longest
	second.First++
	tests := []struct {
		name                 string
		first, last, message ident.Seq
		continues            bool
		frames               []byte
		whole                ident.Seq
		head                 int
		more                 bool
		err                  error
	}{
		{name: "one message", first: 1, last: 1, message: 1, frames: broadcast(1, 1, false, x), whole: 1},
		{name: "a first piece", first: 9, last: 9, message: 4, frames: broadcast(9, 4, true, x), whole: 3, more: true},
		{
			name: "a piece in the middle", first: 9, last: 9, message: 4, continues: true,
			frames: broadcast(9, 4, true, x), whole: 3, head: 1, more: true,
		},
		{
			name: "two pieces, then a message", first: 9, last: 11, message: 4, continues: true,
			frames: slices.Concat(broadcast(9, 4, true, x), broadcast(10, 4, false, x), broadcast(11, 5, false, x)),
			whole:  5, head: 2,
		},
		{
			name: "two of the longest pieces with the longest topic and a term", first: 2, last: 3, message: 1, continues: true,
			frames: slices.Concat(encodeEvents(longest, piece), encodeEvents(second, piece)), head: 2, more: true,
		},
		{
			name: "the last numbers", first: math.MaxUint64 - 1, last: math.MaxUint64 - 1, message: 1,
			frames: broadcast(math.MaxUint64-1, 1, false, x), whole: 1,
		},
		{name: "nothing", first: 1, message: 1, err: frame.ErrMalformed},
		{
			name: "a number too many", first: 1, last: 1, message: 1,
			frames: broadcast(1, 1, false, x, x), err: frame.ErrMalformed,
		},
		{
			name: "a number too few", first: 1, last: 3, message: 1,
			frames: broadcast(1, 1, false, x, x), err: frame.ErrMalformed,
		},
		{name: "another first number", first: 2, last: 2, message: 1, frames: broadcast(1, 1, false, x), err: frame.ErrMalformed},
		{name: "another message", first: 2, last: 2, message: 2, frames: broadcast(2, 1, false, x), err: frame.ErrMalformed},
		{
			name: "a gap in the numbers", first: 1, last: 3, message: 1,
			frames: slices.Concat(broadcast(1, 1, false, x), broadcast(3, 2, false, x)), err: frame.ErrMalformed,
		},
		{
			name: "a gap in the messages", first: 5, last: 6, message: 1,
			frames: slices.Concat(broadcast(5, 1, false, x), broadcast(6, 3, false, x)), err: frame.ErrMalformed,
		},
		{
			name: "a message inside another one", first: 1, last: 3, message: 1,
			frames: slices.Concat(broadcast(1, 1, true, x), broadcast(2, 1, false, x, x)), err: frame.ErrMalformed,
		},
		{
			name: "a batch that continues with several messages", first: 9, last: 10, message: 4, continues: true,
			frames: broadcast(9, 4, false, x, x), err: frame.ErrMalformed,
		},
		{
			name: "the first number continues nothing", first: 4, last: 4, message: 4, continues: true,
			frames: broadcast(4, 4, false, x), err: frame.ErrMalformed,
		},
		{
			name: "direct messages", first: 1, last: 1, message: 1,
			frames: encodeEvents(frame.Events{Lane: frame.Direct, First: 1, Message: 1}, x), err: frame.ErrMalformed,
		},
		{
			name: "another frame", first: 1, last: 1, message: 1,
			frames: frame.Probe{Number: 1}.Append(nil), err: frame.ErrMalformed,
		},
		{
			name: "a critical field in a frame", first: 1, last: 1, message: 1,
			frames: encodeEvents(frame.Events{First: 1, Message: 1, Fields: []byte{3, 0}}, x), err: frame.ErrCritical,
		},
		{
			name: "64 KiB", first: 1, last: 1, message: 1,
			frames: broadcast(1, 1, false, make([]byte, frame.BatchMax)), err: frame.ErrTooLarge,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := frame.Relay{
				Origin: ident.NodeID{1}, Incarnation: 1, First: tt.first, Last: tt.last, Message: tt.message,
				Continues: tt.continues, Frames: tt.frames,
			}
			if err := b.Sign(unsigned); !errors.Is(err, tt.err) {
				t.Fatalf("Sign = %v, want %v", err, tt.err)
			}
			if tt.err == nil && (b.Whole != tt.whole || b.Head != tt.head || b.More != tt.more) {
				t.Errorf("whole up to message %d, head of %d, more %t; want %d, %d, %t",
					b.Whole, b.Head, b.More, tt.whole, tt.head, tt.more)
			}
		})
	}
}

// What the reader of a link keeps of a batch is a copy, whatever becomes of its buffer.
func TestCloneHasMemoryOfItsOwn(t *testing.T) {
	_, want := signedBatch(t)
	want.Fields = frame.AppendField(nil, 2, []byte{0xee}) // of a later protocol
	want.Raw = want.Append(nil)
	in := bytes.Clone(want.Raw)
	got, err := frame.DecodeRelay(in[frame.HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	got = got.Clone()
	clear(in)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after the input was overwritten (-want +got):\n%s", diff)
	}
	if n := testing.AllocsPerRun(100, func() { _ = want.Clone() }); n != 1 {
		t.Errorf("Clone allocates %v times, want once", n)
	}
}

func TestDecodeRelayAllocatesNothing(t *testing.T) {
	_, b := signedBatch(t)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := frame.DecodeRelay(b.Raw[frame.HeaderSize:]); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("DecodeRelay allocates %v times, want 0", n)
	}
}

// Whatever an origin may flush arrives as it was said.
func TestRelayRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := ident.Seq(rapid.Uint64Range(1, 1<<60).Draw(t, "first"))
		message := ident.Seq(rapid.Uint64Range(1, uint64(first)).Draw(t, "message"))
		b := frame.Relay{
			Origin: ident.NodeID{1}, Incarnation: 7, First: first, Message: message,
			Continues: message < first && rapid.Bool().Draw(t, "continues"),
			Fields:    rapid.SampledFrom([][]byte{{}, {2, 0}, {4, 1, 9}}).Draw(t, "fields"),
		}
		var more bool
		for range rapid.IntRange(1, 20).Draw(t, "frames") {
			payload := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "payload")
			more = rapid.Bool().Draw(t, "more")
			b.Frames = append(b.Frames, broadcast(first, message, more, payload)...)
			if first++; !more {
				message++
			}
		}
		b.Last = first - 1
		if err := b.Sign(unsigned); err != nil {
			t.Fatal(err)
		}
		if b.Whole != message-1 || b.More != more {
			t.Fatalf("whole up to message %d, more %t; want %d, %t: %+v", b.Whole, b.More, message-1, more, b)
		}
		raw, _, err := frame.Next(b.Raw)
		if err != nil {
			t.Fatal(err)
		}
		got, err := frame.Decode(raw)
		b.Raw = nil
		if diff := cmp.Diff(frame.Frame(b), got); diff != "" || err != nil {
			t.Fatalf("round trip: %v (-want +got):\n%s", err, diff)
		}
	})
}

// A batch says where the first one began, unless that cannot be.
func TestSince(t *testing.T) {
	other := frame.AppendField(nil, 4, []byte("later"))
	for _, tt := range []struct {
		name           string
		fields         []byte
		first, message ident.Seq
	}{
		{"with number 1 if it does not say so", nil, 1, 1},
		{"with what it says", frame.AppendSince(nil, 6, 4), 6, 4},
		{"among other fields", frame.AppendSince(other, 7, 7), 7, 7},
		{"not behind the batch itself", frame.AppendSince(nil, 8, 4), 1, 1},
		{"not with number 0", frame.AppendSince(nil, 0, 0), 1, 1},
		{"not with more messages than numbers", frame.AppendSince(nil, 4, 5), 1, 1},
		{"not in a field of another length", frame.AppendField(nil, 2, []byte{6}), 1, 1},
	} {
		b := sampleBatch(ident.NodeID{1})
		b.Fields = tt.fields
		if first, message := b.Since(); first != tt.first || message != tt.message {
			t.Errorf("%s: Since = %d, %d; want %d, %d", tt.name, first, message, tt.first, tt.message)
		}
	}
}

func BenchmarkDecodeRelay(b *testing.B) {
	_, batch := signedBatch(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := frame.DecodeRelay(batch.Raw[frame.HeaderSize:]); err != nil {
			b.Fatal(err)
		}
	}
}
