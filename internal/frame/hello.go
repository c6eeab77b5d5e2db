package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// Proto is the version of the protocol that this package speaks.
const Proto = 1

// Limits of what a node says about itself, in bytes.
const (
	// NameMax is the length of a node's name: one DNS label.
	NameMax = 63

	// HostMax is the length of a host's name (RFC 1035, section 2.3.4).
	HostMax = 255

	// HelloMax is the length of the payload of a HELLO: names, metadata of [MetaMax]
	// bytes, and room for the fields of later protocols.
	HelloMax = 20 << 10
)

// Hello opens admission: who the sender claims to be. Its fields are claims of the
// peer except for what TLS proved, which is not in it.
type Hello struct {
	// Proto is the version of the protocol that the sender speaks, [Proto] here.
	Proto uint16

	// Cluster is the tag of the cluster's name (packet.Tag), so that the name itself
	// does not travel before admission.
	Cluster [16]byte

	// Incarnation is the sender's, neither zero nor the highest number.
	Incarnation ident.Incarnation

	// Holds is the tag of the link that the sender has to the receiver now, zero for
	// none. With it the arbiter tells a duplicate dial from a link that the sender
	// lost and the receiver not yet.
	Holds [8]byte

	// Name and Host are the claimed names: at most [NameMax] and [HostMax] bytes, in
	// whatever grammar the peer likes.
	Name, Host string

	// Port is the TCP port on which the sender listens, 0 for none.
	Port uint16

	// Meta is the sender's metadata within [MetaMax] and [MetaPairsMax]; nil for none.
	Meta map[string]string

	// OnDemand reports that the sender dials for what the two have to say to each other
	// alone: the link makes no peers of them.
	OnDemand bool
}

// tagOnDemand is the tag of the field, without a value, that says [Hello.OnDemand]. Who
// does not know it takes the link for a peer's, which costs a place among the peers.
const tagOnDemand = 8

// Type returns [TypeHello].
func (Hello) Type() Type { return TypeHello }

// Append implements [Frame].
func (h Hello) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, TypeHello)
	dst = binary.BigEndian.AppendUint16(dst, h.Proto)
	dst = append(dst, h.Cluster[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Incarnation))
	dst = append(dst, h.Holds[:]...)
	dst = appendStr(dst, h.Name)
	dst = appendStr(dst, h.Host)
	dst = binary.BigEndian.AppendUint16(dst, h.Port)
	dst = appendMeta(dst, h.Meta)
	if h.OnDemand {
		dst = AppendField(dst, tagOnDemand, nil)
	}
	Seal(dst[start:])
	return dst
}

func decodeHello(r *reader) Hello {
	if len(r.b) > HelloMax {
		r.fail(ErrTooLarge, "%d bytes, limit %d", len(r.b), HelloMax)
	}
	h := Hello{Proto: r.u16()}
	copy(h.Cluster[:], r.take(len(h.Cluster)))
	h.Incarnation = r.incarnation()
	copy(h.Holds[:], r.take(len(h.Holds)))
	h.Name = r.str("name", NameMax)
	h.Host = r.str("host", HostMax)
	h.Port = r.u16()
	h.Meta = r.meta()
	for len(r.b) > 0 {
		switch tag, value := r.field(); tag {
		case tagOnDemand:
			if h.OnDemand || len(value) > 0 {
				r.fail(ErrMalformed, "on demand twice, or with a value")
			}
			h.OnDemand = true
		default:
			r.unknown(tag)
		}
	}
	return h
}
