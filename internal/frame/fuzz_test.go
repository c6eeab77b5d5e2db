package frame_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/frame"
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
