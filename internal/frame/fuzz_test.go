package frame_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// FuzzNext cuts frames from arbitrary bytes: each is inside the input, and encoding it
// again gives the same bytes.
func FuzzNext(f *testing.F) {
	f.Add([]byte{9, 0, 0, 0})
	f.Add([]byte{8, 0, 0, 2, 1, 2, 255, 0, 0, 1, 3})
	f.Add([]byte{9, 1, 0, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		for rest := in; ; {
			raw, n, err := frame.Next(rest)
			if err != nil {
				return
			}
			if n < frame.HeaderSize || n > len(rest) || n != frame.HeaderSize+len(raw.Payload) {
				t.Fatalf("Next(%x) took %d bytes for a payload of %d", rest, n, len(raw.Payload))
			}
			again := append([]byte{byte(raw.Type), 0, 0, 0}, raw.Payload...)
			frame.Seal(again)
			if !bytes.Equal(again, rest[:n]) {
				t.Fatalf("Next(%x) encodes to %x", rest[:n], again)
			}
			rest = rest[n:]
		}
	})
}

// FuzzDecode feeds arbitrary payloads of every type. What is accepted survives a round
// trip; it need not give the same bytes, because optional fields are dropped.
func FuzzDecode(f *testing.F) {
	for _, v := range vectors {
		f.Add(uint8(v.frame.Type()), unhex(f, v.wire)[frame.HeaderSize:])
	}
	f.Fuzz(func(t *testing.T, typ uint8, payload []byte) {
		got, err := frame.Decode(frame.Raw{Type: frame.Type(typ), Payload: payload})
		if err != nil || got == nil {
			if err == nil && typ < 128 {
				t.Fatalf("Decode ignored the critical type %d", typ)
			}
			return
		}
		encoded := got.Append(nil)
		if len(encoded) > frame.HeaderSize+len(payload) {
			t.Fatalf("%d bytes decoded, %d encoded: %+v", len(payload), len(encoded), got)
		}
		raw, _, err := frame.Next(encoded)
		if err != nil {
			t.Fatalf("Next of %+v: %v", got, err)
		}
		again, err := frame.Decode(raw)
		if diff := cmp.Diff(got, again); diff != "" || err != nil {
			t.Fatalf("round trip of %+v: %v (-want +got):\n%s", got, err, diff)
		}
	})
}

// FuzzEvents feeds arbitrary runs. What is accepted can be walked, has as many messages
// as it says, and encodes to the same bytes.
func FuzzEvents(f *testing.F) {
	e := frame.Events{Lane: frame.Direct, First: 1, Message: 1, Topic: []byte("a.b"), Fields: []byte{2, 0}}
	f.Add(encodeEvents(e, []byte("x"), make([]byte, 200))[frame.HeaderSize:])
	f.Add(encodeEvents(frame.Events{First: 1, Message: 1, More: true}, nil)[frame.HeaderSize:])
	e.Fields = frame.AppendReign(e.Fields, "jobs", 7)
	f.Add(encodeEvents(e, []byte("x"))[frame.HeaderSize:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := frame.DecodeEvents(payload)
		if err != nil {
			return
		}
		payloads := walk(e.Run)
		if len(payloads) != e.Count {
			t.Fatalf("DecodeEvents(%x) counts %d messages, there are %d", payload, e.Count, len(payloads))
		}
		if election, term := e.Reign(); len(election) > frame.ElectionMax || term == 0 && election != nil {
			t.Fatalf("DecodeEvents(%x) takes the term %d of %q", payload, term, election)
		}
		if len(payload) > frame.PayloadMax {
			return // only DecodeEvents without Next takes it, and Seal refuses it
		}
		if again := encodeEvents(e, payloads...)[frame.HeaderSize:]; !bytes.Equal(again, payload) {
			t.Fatalf("round trip\n got %x\nwant %x", again, payload)
		}
	})
}

// FuzzRecord feeds arbitrary records. What is accepted keeps its bytes, says the same
// when it is signed anew, and Verify does not panic.
func FuzzRecord(f *testing.F) {
	key := newKey(f, 1)
	rec := sample(key)
	if err := rec.Sign(key.Sign); err != nil {
		f.Fatal(err)
	}
	f.Add(rec.Raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := frame.DecodeRecord(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(got.Raw, raw) {
			t.Fatalf("DecodeRecord(%x) keeps %x", raw, got.Raw)
		}
		if err := got.Verify(); err == nil && !bytes.Equal(raw, rec.Raw) {
			t.Fatalf("forged %x", raw)
		}
		again := got
		if err := again.Sign(func([]byte) ([]byte, error) { return nil, nil }); err != nil {
			t.Fatalf("Sign of %+v: %v", got, err)
		}
		again.Raw = got.Raw
		if diff := cmp.Diff(got, again); diff != "" {
			t.Fatalf("round trip of %x (-want +got):\n%s", raw, diff)
		}
	})
}

// FuzzRelay feeds arbitrary batches. What is accepted encodes to the same bytes, its frames
// have the numbers that it says, and Verify does not panic.
func FuzzRelay(f *testing.F) {
	key, batch := signedBatch(f)
	f.Add(batch.Raw[frame.HeaderSize:])
	batch.Fields = []byte{2, 0}
	f.Add(batch.Append(nil)[frame.HeaderSize:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		b, err := frame.DecodeRelay(payload)
		if err != nil {
			return
		}
		if again := b.Append(nil)[frame.HeaderSize:]; !bytes.Equal(again, payload) {
			t.Fatalf("round trip\n got %x\nwant %x", again, payload)
		}
		if err := b.Verify(key.Public()); err == nil && !bytes.Equal(b.Frames, batch.Frames) {
			t.Fatalf("forged %x", payload)
		}
		next, whole := b.First, b.Message-1
		for rest := b.Frames; len(rest) > 0; {
			raw, n, err := frame.Next(rest)
			if err != nil {
				t.Fatalf("DecodeRelay(%x) takes what Next does not: %v", payload, err)
			}
			rest = rest[n:]
			e, err := frame.DecodeEvents(raw.Payload)
			if err != nil || e.First != next || e.Message != whole+1 {
				t.Fatalf("DecodeRelay(%x): %+v, %v after number %d, message %d", payload, e, err, next-1, whole)
			}
			if next += ident.Seq(e.Count); !e.More {
				whole += ident.Seq(e.Count)
			}
		}
		if next != b.Last+1 || whole != b.Whole || b.Head > int(b.Last-b.First)+1 || b.Head > 0 != b.Continues {
			t.Fatalf("DecodeRelay(%x) = %+v, frames end with number %d, message %d", payload, b, next-1, whole)
		}
	})
}
