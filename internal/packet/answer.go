package packet

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// Answer repeats the nonce of a [Challenge]: tag (16 bytes), nonce (16), node ID (32),
// incarnation (8), port (2). It proves the address and not the ID, which the dial
// that follows must see proved.
type Answer struct {
	Tag         ClusterTag
	Nonce       Nonce
	ID          ident.NodeID      // of the answering node, never zero
	Incarnation ident.Incarnation // never zero
	Port        uint16            // the TCP port on which the node listens, never zero
}

// Type returns [TypeAnswer].
func (Answer) Type() Type { return TypeAnswer }

// Append appends the datagram, [SizeMin] bytes, to dst and returns the longer slice.
func (a Answer) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendHeader(dst, TypeAnswer)
	dst = append(dst, a.Tag[:]...)
	dst = append(dst, a.Nonce[:]...)
	dst = append(dst, a.ID[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(a.Incarnation))
	dst = binary.BigEndian.AppendUint16(dst, a.Port)
	return pad(dst, start)
}

func decodeAnswer(r *reader) (Packet, bool) {
	a := Answer{
		Tag: r.tag(), Nonce: r.nonce(), ID: r.id(), Incarnation: r.incarnation(), Port: r.port(),
	}
	return a, !a.ID.IsZero() && a.Incarnation != 0 && a.Port != 0
}
