package frame_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

func TestDecodeRefusesElections(t *testing.T) {
	const zeros = "0000000000000000"
	const leader = "0100000000000000000000000000000000000000000000000000000000000002"
	refuses(t, []refusal{
		{"a name of 64 bytes", frame.TypeLead, "40" + strings.Repeat("61", 64), frame.ErrTooLarge},
		{"an unknown flag", frame.TypeLead, "00 80" + zeros, frame.ErrMalformed},
		{"nobody whose reign is over", frame.TypeLead, "00 40" + zeros, frame.ErrMalformed},
		{"a leader without a section", frame.TypeLead, "00 01" + zeros, frame.ErrMalformed},
		{
			"a leader of zeros", frame.TypeLead,
			"00 01" + strings.Repeat(zeros, 5) + "0000000000000001" + zeros + zeros + leader, frame.ErrMalformed,
		},
		{
			"a leader of incarnation 0", frame.TypeLead,
			"00 01" + zeros + leader + zeros + zeros + zeros + leader, frame.ErrMalformed,
		},
		{
			"a seat of zeros", frame.TypeLead,
			"00 01" + zeros + leader + "0000000000000001" + strings.Repeat(zeros, 6), frame.ErrMalformed,
		},
		{"a section without its flag", frame.TypeLead, "00 00" + zeros + leader, frame.ErrCritical},
		{"a critical field", frame.TypeLead, "00 00" + zeros + "01 00", frame.ErrCritical},
		{"a target of zeros", frame.TypePromote, "00" + strings.Repeat(zeros, 4) + "0000000000000001", frame.ErrMalformed},
		{"a target of incarnation 0", frame.TypePromote, "00" + leader + zeros, frame.ErrMalformed},
	})
}

func TestElectionsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Custom(func(t *rapid.T) ident.NodeID { return ident.IDOf(rapid.SliceOf(rapid.Byte()).Draw(t, "key")) })
		inc := rapid.Custom(func(t *rapid.T) ident.Incarnation {
			return ident.Incarnation(rapid.Uint64Range(1, math.MaxUint64-1).Draw(t, "incarnation"))
		})
		name := string(rapid.SliceOfN(rapid.Byte(), 0, frame.ElectionMax).Draw(t, "election"))
		lead := frame.Lead{
			Election: name, Last: ident.Term(rapid.Uint64().Draw(t, "last")),
			Waiting: rapid.Bool().Draw(t, "waiting"), Unfit: rapid.Bool().Draw(t, "unfit"),
			Resigned: rapid.Bool().Draw(t, "resigned"), Calling: rapid.Bool().Draw(t, "calling"),
			Again: rapid.Bool().Draw(t, "again"),
		}
		if rapid.Bool().Draw(t, "known") {
			lead.Leader, lead.Incarnation = id.Draw(t, "leader"), inc.Draw(t, "of")
			lead.Over = rapid.Bool().Draw(t, "over")
			lead.Term = ident.Term(rapid.Uint64().Draw(t, "term"))
			lead.Join, lead.Seat = rapid.Uint64().Draw(t, "join"), id.Draw(t, "seat")
		}
		promote := frame.Promote{Election: name, Target: id.Draw(t, "target"), Incarnation: inc.Draw(t, "of")}
		named := promote
		named.Term = ident.Term(rapid.Uint64().Draw(t, "ends"))
		for _, want := range []frame.Frame{lead, promote, named} {
			roundTrip(t, want)
		}
	})
}
