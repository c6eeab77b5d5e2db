package packet

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// Beacon announces a node to a multicast group: tag (16 bytes), node ID (32),
// incarnation (8), port (2). It is a hint from anybody.
type Beacon struct {
	Tag         ClusterTag
	ID          ident.NodeID      // never zero
	Incarnation ident.Incarnation // never zero
	Port        uint16            // the TCP port on which the node listens, never zero
}

// Type returns [TypeBeacon].
func (Beacon) Type() Type { return TypeBeacon }

// Append appends the datagram, [SizeMin] bytes, to dst and returns the longer slice.
func (b Beacon) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendHeader(dst, TypeBeacon)
	dst = append(dst, b.Tag[:]...)
	dst = append(dst, b.ID[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Incarnation))
	dst = binary.BigEndian.AppendUint16(dst, b.Port)
	return pad(dst, start)
}

func decodeBeacon(r *reader) (Packet, bool) {
	b := Beacon{Tag: r.tag(), ID: r.id(), Incarnation: r.incarnation(), Port: r.port()}
	return b, !b.ID.IsZero() && b.Incarnation != 0 && b.Port != 0
}
