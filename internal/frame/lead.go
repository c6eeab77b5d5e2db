package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// ElectionMax is the length of the longest name of an election, in bytes.
const ElectionMax = 63

// Bits of the flags in LEAD.
const (
	leadKnown    = 1 << iota // what names the leader follows
	leadWaiting              // somebody waits for a term above last, or for a leader
	leadUnfit                // the sender cannot lead
	leadResigned             // the sender gave up leading
	leadCalling              // the sender misses a leader
	leadAgain                // the receiver said something else
	leadOver                 // the leader ended its reign
	leadBits     = 1<<iota - 1
)

// Lead says who leads an election in its Available mode, as the sender knows it.
type Lead struct {
	// Election is the name of the election, at most [ElectionMax] bytes; the default
	// one has none.
	Election string

	// Last is the term of the last leader that the sender followed.
	Last ident.Term

	// Leader and Incarnation name the leader. Without one this and the next three are
	// zero.
	Leader      ident.NodeID
	Incarnation ident.Incarnation

	// Term is the one of the leader.
	Term ident.Term

	// Join and Seat are the join number and the ID of the node whose leadership the
	// leader continues, often its own.
	Join uint64
	Seat ident.NodeID

	Waiting  bool // nobody can follow the leader yet who followed the term Last
	Unfit    bool // the sender cannot lead now
	Resigned bool // the sender leads only if nobody else can
	Calling  bool // the sender misses a leader and has waited long enough
	Again    bool // the receiver is asked for its LEAD, if it agrees
	Over     bool // the leader, of whom there is one then, ended its reign; the sender follows nobody
}

// Type returns [TypeLead].
func (Lead) Type() Type { return TypeLead }

// Append implements [Frame].
func (l Lead) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendStr(begin(dst, TypeLead), l.Election)
	known := !l.Leader.IsZero()
	var flags byte
	for bit, set := range [...]bool{known, l.Waiting, l.Unfit, l.Resigned, l.Calling, l.Again, l.Over} {
		if set {
			flags |= 1 << bit
		}
	}
	dst = append(dst, flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Last))
	if known {
		dst = append(dst, l.Leader[:]...)
		dst = binary.BigEndian.AppendUint64(dst, uint64(l.Incarnation))
		dst = binary.BigEndian.AppendUint64(dst, uint64(l.Term))
		dst = binary.BigEndian.AppendUint64(dst, l.Join)
		dst = append(dst, l.Seat[:]...)
	}
	Seal(dst[start:])
	return dst
}

func decodeLead(r *reader) Lead {
	l := Lead{Election: r.election()}
	flags := r.u8()
	if flags&^leadBits != 0 {
		r.fail(ErrMalformed, "flags are %02x", flags)
	}
	l.Waiting, l.Unfit, l.Resigned = flags&leadWaiting != 0, flags&leadUnfit != 0, flags&leadResigned != 0
	l.Calling, l.Again, l.Over = flags&leadCalling != 0, flags&leadAgain != 0, flags&leadOver != 0
	if l.Over && flags&leadKnown == 0 {
		r.fail(ErrMalformed, "the reign of nobody is over")
	}
	l.Last = r.term()
	if flags&leadKnown != 0 {
		l.Leader, l.Incarnation, l.Term = r.nodeID(), r.incarnation(), r.term()
		l.Join, l.Seat = r.u64(), r.nodeID()
	}
	r.fields()
	return l
}

// Promote asks the leader of an election in its Available mode to hand over to another
// member.
type Promote struct {
	// Election is the name of the election, at most [ElectionMax] bytes; the default
	// one has none.
	Election string

	// Target and Incarnation name the member.
	Target      ident.NodeID
	Incarnation ident.Incarnation

	// Term is the one of the reign that is to end; 0 for any.
	Term ident.Term
}

// tagTerm is the field of PROMOTE and LEASE-PROMOTE that has the term, if there is one.
const tagTerm = 2

// appendTerm appends the field of a term that is not 0.
func appendTerm(dst []byte, t ident.Term) []byte {
	if t == 0 {
		return dst
	}
	return AppendField(dst, tagTerm, binary.BigEndian.AppendUint64(nil, uint64(t)))
}

// termField reads the fields of a frame for a term; 0 if none says so.
func (r *reader) termField() (t ident.Term) {
	for len(r.b) > 0 {
		tag, value := r.field()
		switch {
		case tag != tagTerm:
			r.unknown(tag)
		case t != 0 || len(value) != 8 || binary.BigEndian.Uint64(value) == 0:
			r.fail(ErrMalformed, "term of %d bytes, or 0, or twice", len(value))
		default:
			t = ident.Term(binary.BigEndian.Uint64(value))
		}
	}
	return t
}

// Type returns [TypePromote].
func (Promote) Type() Type { return TypePromote }

// Append implements [Frame].
func (p Promote) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendStr(begin(dst, TypePromote), p.Election)
	dst = append(dst, p.Target[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Incarnation))
	dst = appendTerm(dst, p.Term)
	Seal(dst[start:])
	return dst
}

func decodePromote(r *reader) Promote {
	p := Promote{Election: r.election(), Target: r.nodeID(), Incarnation: r.incarnation()}
	p.Term = r.termField()
	return p
}
