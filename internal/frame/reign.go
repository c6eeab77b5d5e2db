package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// tagReign is the tag of the field that [AppendReign] writes.
const tagReign = 1

// ReignSize returns the size of the field that names an election with a name of n bytes.
func ReignSize(n int) int { return 1 + 1 + 1 + n + 8 }

// AppendReign appends to the fields of EVENTS the one that says in which term, not 0, of
// which election the sender published as the leader. It is critical: a receiver that could
// not tell a former leader by it must not take the messages. The name must not exceed
// [ElectionMax] bytes.
func AppendReign(dst []byte, election string, term ident.Term) []byte {
	dst = append(dst, tagReign, byte(1+len(election)+8), byte(len(election)))
	dst = append(dst, election...)
	return binary.BigEndian.AppendUint64(dst, uint64(term))
}

// Reign returns the term in which the sender of e published as the leader, and the
// election's name, which aliases e. The term is 0 if it did not. It is for what
// [DecodeEvents] returned.
func (e *Events) Reign() (election []byte, term ident.Term) {
	if len(e.Fields) == 0 {
		return nil, 0
	}
	r := reader{b: e.Fields}
	return r.reign()
}

// reign reads what is left as the fields of EVENTS and returns the only one that is known.
func (r *reader) reign() (election []byte, term ident.Term) {
	for len(r.b) > 0 {
		tag, value := r.field()
		switch {
		case tag != tagReign:
			r.unknown(tag)
		case term != 0:
			r.fail(ErrMalformed, "two terms")
		default:
			v := reader{b: value}
			election, term = v.bytes("election", ElectionMax), ident.Term(v.u64())
			switch {
			case v.err != nil:
				r.fail(v.err, "term: %s", v.why)
			case len(v.b) > 0:
				r.fail(ErrMalformed, "%d bytes too many after the term", len(v.b))
			case term == 0:
				r.fail(ErrMalformed, "the term is 0")
			}
		}
	}
	return election, term
}
