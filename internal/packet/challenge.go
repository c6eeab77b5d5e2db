package packet

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// Challenge asks the source of a [Beacon] to prove that it receives there: tag (16
// bytes), nonce (16), node ID of the challenger (32), port (2).
type Challenge struct {
	Tag   ClusterTag
	Nonce Nonce
	ID    ident.NodeID // of the challenger, never zero
	Port  uint16       // the TCP port on which the challenger listens, never zero
}

// Type returns [TypeChallenge].
func (Challenge) Type() Type { return TypeChallenge }

// Append appends the datagram, [SizeMin] bytes, to dst and returns the longer slice.
func (c Challenge) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendHeader(dst, TypeChallenge)
	dst = append(dst, c.Tag[:]...)
	dst = append(dst, c.Nonce[:]...)
	dst = append(dst, c.ID[:]...)
	dst = binary.BigEndian.AppendUint16(dst, c.Port)
	return pad(dst, start)
}

func decodeChallenge(r *reader) (Packet, bool) {
	c := Challenge{Tag: r.tag(), Nonce: r.nonce(), ID: r.id(), Port: r.port()}
	return c, !c.ID.IsZero() && c.Port != 0
}
