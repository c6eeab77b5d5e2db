package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// ElectionMax is the length of the longest name of an election, in bytes.
const ElectionMax = 63

// Bits of the flags in LEAD.
const (
	leadKnown    = 1 << iota // the fields that name the leader follow
	leadUnfit                // the sender cannot lead
	leadResigned             // the sender gave up leading
	leadCalling              // the sender misses a leader
	leadBits     = leadKnown | leadUnfit | leadResigned | leadCalling
)

// Lead says who leads an election in its Available mode, as the sender knows it.
type Lead struct {
	// Election is the name of the election, at most [ElectionMax] bytes; the default
	// one has none.
	Election string

	// Leader and Incarnation name the leader; zeros where the sender knows none.
	Leader      ident.NodeID
	Incarnation ident.Incarnation

	// Join and Seat are the join number and the ID of the node whose leadership the
	// leader continues, often its own. They count only where there is a leader.
	Join uint64
	Seat ident.NodeID

	// Term is the one of the leader, or the last one that the sender followed.
	Term ident.Term

	// Seen is the highest term that the sender has heard of.
	Seen ident.Term

	Unfit    bool // the sender cannot lead now
	Resigned bool // the sender leads only if nobody else can
	Calling  bool // the sender misses a leader and has waited long enough
}

// Type returns [TypeLead].
func (Lead) Type() Type { return TypeLead }

// Append implements [Frame].
func (l Lead) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendStr(begin(dst, TypeLead), l.Election)
	known := !l.Leader.IsZero()
	var flags byte
	for _, f := range [...]struct {
		set bool
		bit byte
	}{{known, leadKnown}, {l.Unfit, leadUnfit}, {l.Resigned, leadResigned}, {l.Calling, leadCalling}} {
		if f.set {
			flags |= f.bit
		}
	}
	dst = append(dst, flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Term))
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Seen))
	if known {
		dst = append(dst, l.Leader[:]...)
		dst = binary.BigEndian.AppendUint64(dst, uint64(l.Incarnation))
		dst = binary.BigEndian.AppendUint64(dst, l.Join)
		dst = append(dst, l.Seat[:]...)
	}
	Seal(dst[start:])
	return dst
}

func decodeLead(r *reader) Lead {
	l := Lead{Election: r.str("election", ElectionMax)}
	flags := r.u8()
	if flags&^leadBits != 0 {
		r.fail(ErrMalformed, "flags are %02x", flags)
	}
	l.Unfit, l.Resigned, l.Calling = flags&leadUnfit != 0, flags&leadResigned != 0, flags&leadCalling != 0
	l.Term, l.Seen = ident.Term(r.u64()), ident.Term(r.u64())
	if flags&leadKnown != 0 {
		l.Leader, l.Incarnation = r.nodeID(), r.incarnation()
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
}

// Type returns [TypePromote].
func (Promote) Type() Type { return TypePromote }

// Append implements [Frame].
func (p Promote) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendStr(begin(dst, TypePromote), p.Election)
	dst = append(dst, p.Target[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Incarnation))
	Seal(dst[start:])
	return dst
}

func decodePromote(r *reader) Promote {
	p := Promote{Election: r.str("election", ElectionMax), Target: r.nodeID(), Incarnation: r.incarnation()}
	r.fields()
	return p
}
