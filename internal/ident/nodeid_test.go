package ident_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/ident"
)

// rampText is the text form of [ramp] as another implementation of base32 gives it.
const rampText = "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq"

// ramp returns the ID with the bytes 0, 1, 2, … 31.
func ramp() (id ident.NodeID) {
	for i := range id {
		id[i] = byte(i)
	}
	return id
}

func TestNodeIDText(t *testing.T) {
	id := ramp()
	if got := id.String(); got != rampText {
		t.Errorf("String of 00 01 … 1f = %q, want %q", got, rampText)
	}
	if got := id.Short(); got != rampText[:16] {
		t.Errorf("Short of 00 01 … 1f = %q, want %q", got, rampText[:16])
	}
	if got, err := ident.ParseNodeID(rampText); err != nil || got != id {
		t.Errorf("ParseNodeID(%q) = %v, %v; want %v", rampText, got, err, id)
	}
}

func TestParseNodeIDRefuses(t *testing.T) {
	tests := []struct{ name, in string }{
		{"nothing", ""},
		{"the short form", rampText[:16]},
		{"upper case", strings.ToUpper(rampText)},
		{"padding", rampText + "===="},
		{"one character less", rampText[:51]},
		{"one character more", rampText + "a"},
		{"a character outside the alphabet", "1" + rampText[1:]},
		{"a second text for the same ID", rampText[:51] + "r"},
		{"a line break that the decoder would skip", rampText[:51] + "\n"},
		{"line breaks only", strings.Repeat("\n", 52)},
		{"bytes that are not UTF-8", "\xff" + rampText[1:]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := ident.ParseNodeID(tt.in); !errors.Is(err, ident.ErrNodeID) || !got.IsZero() {
				t.Errorf("ParseNodeID(%q) = %v, %v; want the zero ID and ErrNodeID", tt.in, got, err)
			}
		})
	}
}

func TestUnmarshalLeavesTheIDAloneOnError(t *testing.T) {
	id := ramp()
	if err := id.UnmarshalText([]byte("nonsense")); err == nil || id != ramp() {
		t.Errorf("UnmarshalText(nonsense) left %v, %v; want %v and an error", id, err, ramp())
	}
}

func TestNodeIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type doc struct {
			ID  ident.NodeID
			Inc ident.Incarnation
			By  map[ident.NodeID]ident.Term
		}
		var want, got doc
		copy(want.ID[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
		want.Inc = ident.Incarnation(rapid.Uint64().Draw(t, "incarnation"))
		want.By = map[ident.NodeID]ident.Term{want.ID: 7}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatalf("Marshal(%v) error = %v", want, err)
		}
		if err := json.Unmarshal(text, &got); err != nil || got.ID != want.ID || got.Inc != want.Inc ||
			got.By[want.ID] != 7 {
			t.Fatalf("round trip of %+v through %s gave %+v, %v", want, text, got, err)
		}
	})
}

func TestCompareOrdersByBytes(t *testing.T) {
	low, high := ramp(), ramp()
	high[31]++
	if low.Compare(high) != -1 || high.Compare(low) != 1 || low.Compare(low) != 0 {
		t.Errorf("Compare of %v and %v = %d, %d, %d; want -1, 1, 0",
			low, high, low.Compare(high), high.Compare(low), low.Compare(low))
	}
}

// FuzzParseNodeID: whatever is accepted is the one text of its ID.
func FuzzParseNodeID(f *testing.F) {
	f.Add(rampText)
	f.Add(rampText[:51] + "r")
	f.Fuzz(func(t *testing.T, in string) {
		id, err := ident.ParseNodeID(in)
		if err == nil && id.String() != in {
			t.Fatalf("ParseNodeID(%q) accepted a second text of %v", in, id)
		}
	})
}
