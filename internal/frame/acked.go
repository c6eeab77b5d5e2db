package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// Acked says that every message of a lane up to a number is in the queues of its
// subscribers. Acknowledgements are cumulative; a lower number says nothing new.
type Acked struct {
	Lane   Lane
	Number ident.Seq
}

// Type returns [TypeAcked].
func (Acked) Type() Type { return TypeAcked }

// Append implements [Frame].
func (a Acked) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(begin(dst, TypeAcked), byte(a.Lane))
	dst = binary.BigEndian.AppendUint64(dst, uint64(a.Number))
	Seal(dst[start:])
	return dst
}
