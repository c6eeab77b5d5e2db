package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// Pull asks a neighbour for broadcasts of an origin that the sender misses. The answer is
// in [Relay] frames, or, if the neighbour does not have the first of them, in [Marks].
type Pull struct {
	Origin      ident.NodeID
	Incarnation ident.Incarnation

	// First and Last are the first and the last number that is asked for, from 1 on.
	First, Last ident.Seq
}

// Type returns [TypePull].
func (Pull) Type() Type { return TypePull }

// Append implements [Frame].
func (p Pull) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(begin(dst, TypePull), p.Origin[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Incarnation))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.First))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Last))
	Seal(dst[start:])
	return dst
}

func decodePull(r *reader) Pull {
	p := Pull{Origin: r.nodeID(), Incarnation: r.incarnation(), First: r.seq(), Last: r.seq()}
	if p.First == 0 || p.Last < p.First {
		r.fail(ErrMalformed, "pull from %d to %d", p.First, p.Last)
	}
	r.fields()
	return p
}
