package frame_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

func TestDecodeRefusesLeases(t *testing.T) {
	const zeros = "0000000000000000"
	refuses(t, []refusal{
		{"a name of 64 bytes", frame.TypeLeaseRule, "40" + strings.Repeat("61", 64), frame.ErrTooLarge},
		{"a rule that ends early", frame.TypeLeaseRule, "00" + zeros + zeros, frame.ErrMalformed},
		{"kind 3", frame.TypeLeaseAsk, "00 03" + zeros + "0000000000000001" + zeros + zeros + zeros, frame.ErrMalformed},
		{"a question of incarnation 0", frame.TypeLeaseAsk, "00 00" + strings.Repeat(zeros, 5), frame.ErrMalformed},
		{
			"an answer to incarnation 0", frame.TypeLeaseAnswer,
			"00 01" + strings.Repeat(zeros, 5) + "00000000", frame.ErrMalformed,
		},
		{
			"granted is 2", frame.TypeLeaseAnswer,
			"00 02" + zeros + "0000000000000001" + strings.Repeat(zeros, 3) + "00000000", frame.ErrMalformed,
		},
		{"a successor that ends early", frame.TypeLeaseRelease, "00" + strings.Repeat(zeros, 4), frame.ErrMalformed},
		{"over is 2", frame.TypeLeaseReign, "00 02" + strings.Repeat("0000000000000001", 6), frame.ErrMalformed},
		{"a reign of nobody", frame.TypeLeaseReign, "00 00" + strings.Repeat(zeros, 6), frame.ErrMalformed},
		{"a term of 0", frame.TypeLeasePromote, "00" + strings.Repeat("0000000000000001", 4) + "0208" + zeros, frame.ErrMalformed},
		{"a term of 1 byte", frame.TypeLeasePromote, "00" + strings.Repeat("0000000000000001", 4) + "0201 01", frame.ErrMalformed},
		{
			"two terms", frame.TypeLeasePromote,
			"00" + strings.Repeat("0000000000000001", 4) + strings.Repeat("0208 0000000000000001", 2), frame.ErrMalformed,
		},
		{"a target of zeros", frame.TypeLeasePromote, "00" + strings.Repeat(zeros, 4), frame.ErrMalformed},
		{"a critical field", frame.TypeLeaseRelease, "00" + strings.Repeat(zeros, 5) + "01 00", frame.ErrCritical},
	})
}

func TestLeasesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := func(label string) uint64 { return rapid.Uint64().Draw(t, label) }
		term := func(label string) ident.Term { return ident.Term(number(label)) }
		id := ident.IDOf(rapid.SliceOf(rapid.Byte()).Draw(t, "key"))
		inc := ident.Incarnation(rapid.Uint64Range(1, math.MaxUint64-1).Draw(t, "incarnation"))
		name := string(rapid.SliceOfN(rapid.Byte(), 0, frame.ElectionMax).Draw(t, "election"))
		for _, want := range []frame.Frame{
			frame.LeaseRule{Election: name, Electorate: number("electorate"), Seen: term("seen"), Leads: term("leads")},
			frame.LeaseAsk{
				Election: name, Kind: frame.LeaseKind(rapid.IntRange(0, 2).Draw(t, "kind")),
				Electorate: number("electorate"), Incarnation: inc, Number: number("number"),
				Term: term("term"), After: term("after"),
			},
			frame.LeaseAnswer{
				Election: name, Granted: rapid.Bool().Draw(t, "granted"), Electorate: number("electorate"),
				Incarnation: inc, Number: number("number"), Seen: term("seen"), Clock: number("clock"),
				Wait: time.Duration(rapid.Uint32().Draw(t, "wait")) * time.Microsecond,
			},
			frame.LeaseRelease{Election: name, Term: term("term"), Successor: id},
			frame.LeaseRelease{Election: name, Term: term("term")},
			frame.LeaseReign{
				Election: name, Over: rapid.Bool().Draw(t, "over"), Electorate: number("electorate"),
				Leader: id, Term: term("term"),
			},
			frame.LeasePromote{Election: name, Target: id},
			frame.LeasePromote{Election: name, Target: id, Term: term("term")},
		} {
			roundTrip(t, want)
		}
	})
}

// Who waits as long as it was told must not come too early.
func TestWaitIsRoundedUp(t *testing.T) {
	for _, tt := range []struct{ give, want time.Duration }{
		{-1, 0},
		{0, 0},
		{1, time.Microsecond},
		{time.Microsecond, time.Microsecond},
		{time.Microsecond + 1, 2 * time.Microsecond},
		{math.MaxInt64 - time.Microsecond, math.MaxUint32 * time.Microsecond},
		{math.MaxInt64, math.MaxUint32 * time.Microsecond},
	} {
		raw, _, err := frame.Next(frame.LeaseAnswer{Incarnation: 1, Wait: tt.give}.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		f, err := frame.Decode(raw)
		got, ok := f.(frame.LeaseAnswer)
		if err != nil || !ok || got.Wait != tt.want {
			t.Errorf("a wait of %d ns arrives as %v, %v; want %v", tt.give, f, err, tt.want)
		}
	}
}
