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
	f := r.eventFields()
	return f.election, f.term
}

// eventFields are the critical fields of EVENTS.
type eventFields struct {
	election []byte
	term     ident.Term
	group    []byte
	past     Past
}

// eventFields reads what is left as the fields of EVENTS.
func (r *reader) eventFields() (f eventFields) {
	for len(r.b) > 0 {
		tag, value := r.field()
		v := reader{b: value}
		known := f.take(tag, &v)
		if !known {
			r.unknown(tag)
			continue
		}
		if v.err == nil && len(v.b) > 0 {
			v.fail(ErrMalformed, "%d bytes too many", len(v.b))
		}
		if v.err != nil {
			r.fail(v.err, "field %d: %s", tag, v.why)
		}
	}
	return f
}

// take reads the value of one field, and reports whether it is known. None is zero or empty,
// nor there twice.
func (f *eventFields) take(tag uint64, v *reader) (known bool) {
	var twice, zero bool
	switch tag {
	case tagReign:
		twice = f.term != 0
		f.election, f.term = v.bytes("election", ElectionMax), ident.Term(v.u64())
		zero = f.term == 0
	case tagGroup:
		twice = f.group != nil
		f.group = v.bytes("group", GroupMax)
		zero = len(f.group) == 0
	case tagPast:
		twice = f.past.Number != 0
		f.past = Past{Question: v.u64(), Number: ident.Seq(v.u64())}
		zero = f.past.Number == 0
	default:
		return false
	}
	if twice || zero {
		v.fail(ErrMalformed, "there twice, or zero")
	}
	return true
}
