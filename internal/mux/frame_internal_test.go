package mux

import (
	"bytes"
	"testing"

	"github.com/espial-go/espial/internal/frame"
)

// FuzzFrame reads what a peer may send at the beginning of a stream. What is accepted is
// within the limit and takes its own bytes, of which the next ones are the stream's.
func FuzzFrame(f *testing.F) {
	f.Add(frame.Service{Name: "api"}.Append(nil))
	f.Add(append(frame.Accept{}.Append(nil), "data of the stream"...))
	f.Add([]byte{6, 0, 0, 7, 3, 'a', 'p', 'i', 2, 1, 9})
	f.Add([]byte{6, 255, 255, 255})
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		got, err := readFrame(r)
		taken := len(in) - r.Len()
		if taken > frame.HeaderSize+frame.StreamFrameMax {
			t.Fatalf("readFrame(%x) took %d bytes", in, taken)
		}
		if err != nil {
			return
		}
		if raw, n, err := frame.Next(in); err != nil || n != taken || raw.Type != got.Type() {
			t.Fatalf("readFrame(%x) took %d bytes for %v; the frame has %d: %v", in, taken, got.Type(), n, err)
		}
	})
}
