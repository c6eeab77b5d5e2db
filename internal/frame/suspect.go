package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// Suspect says that the sender has no sign of life of a member.
type Suspect struct {
	// Target and Incarnation name the member.
	Target      ident.NodeID
	Incarnation ident.Incarnation

	// Refused reports more than silence: the sender's link to the member closed and a
	// redial was refused.
	Refused bool
}

// Type returns [TypeSuspect].
func (Suspect) Type() Type { return TypeSuspect }

// Append implements [Frame].
func (s Suspect) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, TypeSuspect)
	dst = append(dst, s.Target[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.Incarnation))
	dst = appendFlag(dst, s.Refused)
	Seal(dst[start:])
	return dst
}

func decodeSuspect(r *reader) Suspect {
	return Suspect{Target: r.nodeID(), Incarnation: r.incarnation(), Refused: r.flag()}
}
