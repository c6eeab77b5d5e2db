package frame_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

func TestReignRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name     string
		election string
		term     ident.Term
	}{
		{"the default election", "", 1},
		{"a named election", "jobs", 1763640000000},
		{"the longest name and the highest term", strings.Repeat("j", frame.ElectionMax), math.MaxUint64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fields := frame.AppendReign(nil, tt.election, tt.term)
			if n := frame.ReignSize(len(tt.election)); n != len(fields) {
				t.Errorf("ReignSize(%d) = %d, the field has %d bytes", len(tt.election), n, len(fields))
			}
			before, after := frame.AppendField(nil, 2, []byte("before")), frame.AppendField(nil, 4, []byte("after"))
			for _, fields := range [][]byte{fields, append(append(before, fields...), after...)} {
				b := encodeEvents(frame.Events{First: 1, Message: 1, Topic: []byte("t"), Fields: fields}, nil)
				e, err := frame.DecodeEvents(b[frame.HeaderSize:])
				if err != nil {
					t.Fatalf("DecodeEvents with the fields %x: %v", fields, err)
				}
				if election, term := e.Reign(); string(election) != tt.election || term != tt.term {
					t.Errorf("fields %x: Reign = %q, %d; want %q, %d", fields, election, term, tt.election, tt.term)
				}
			}
		})
	}
	e := frame.Events{Fields: frame.AppendField(nil, 2, []byte("x"))}
	if election, term := e.Reign(); term != 0 || election != nil {
		t.Errorf("Reign without the field = %q, %d; want none", election, term)
	}
}

func TestDecodeEventsRefusesReigns(t *testing.T) {
	for _, tt := range []struct {
		name, fields string
		err          error
	}{
		{"nothing", "01 00", frame.ErrMalformed},
		{"no term", "01 05 04 6a6f6273", frame.ErrMalformed},
		{"a term that ends early", "01 08 00 00000000000007", frame.ErrMalformed},
		{"term 0", "01 09 00 0000000000000000", frame.ErrMalformed},
		{"a byte too many", "01 0a 00 0000000000000007 00", frame.ErrMalformed},
		{"a name that ends early", "01 02 04 6a", frame.ErrMalformed},
		{"a name of 64 bytes", "01 49 40" + strings.Repeat("6a", 64) + "0000000000000007", frame.ErrTooLarge},
		{"two terms", "01 09 00 0000000000000007 01 09 00 0000000000000007", frame.ErrMalformed},
		{"a critical field after it", "01 09 00 0000000000000007 03 00", frame.ErrCritical},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := encodeEvents(frame.Events{First: 1, Message: 1, Topic: []byte("t"), Fields: unhex(t, tt.fields)}, nil)
			if e, err := frame.DecodeEvents(b[frame.HeaderSize:]); !errors.Is(err, tt.err) {
				t.Errorf("DecodeEvents with the fields %s = %+v, %v; want %v", tt.fields, e, err, tt.err)
			}
		})
	}
}

func TestReignAllocatesNothing(t *testing.T) {
	b := encodeEvents(frame.Events{
		First: 1, Message: 1, Topic: []byte("t"), Fields: frame.AppendReign(nil, "jobs", 7),
	}, nil)
	if n := testing.AllocsPerRun(100, func() {
		e, err := frame.DecodeEvents(b[frame.HeaderSize:])
		if election, term := e.Reign(); err != nil || term != 7 || !bytes.Equal(election, []byte("jobs")) {
			t.Fatalf("Reign = %q, %d, %v", election, term, err)
		}
	}); n != 0 {
		t.Errorf("decoding a term allocates %v times, want 0", n)
	}
}
