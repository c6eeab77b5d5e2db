package packet

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/espial-go/espial/internal/ident"
)

// Limits of every datagram, in bytes.
const (
	// SizeMin is the shortest, and the length of all that this version sends. The
	// longest, an answer, fills 80; the rest is room for fields of later versions.
	SizeMin = 128

	// SizeMax is the longest: it passes unfragmented wherever IPv6 does, with room for
	// a tunnel (1,280 bytes; RFC 8200, section 5).
	SizeMax = 1200
)

const (
	magic   = "ESPL"
	version = 1
)

// Errors of [Decode].
var (
	ErrSize     = errors.New("packet: size outside 128 to 1200 bytes")
	ErrForeign  = errors.New("packet: not a datagram of espial")
	ErrVersion  = errors.New("packet: unknown version")
	ErrType     = errors.New("packet: unknown type")
	ErrValue    = errors.New("packet: zero node ID, incarnation or port")
	ErrField    = errors.New("packet: malformed field")
	ErrCritical = errors.New("packet: unknown critical field")
)

// Type says what a datagram is.
type Type uint8

// The types of version 1.
const (
	TypeBeacon Type = iota + 1
	TypeChallenge
	TypeAnswer
)

// Packet is a [Beacon], a [Challenge] or an [Answer].
type Packet interface {
	// Type returns what a datagram of this kind carries in its sixth byte.
	Type() Type

	// Append appends the datagram to dst and returns the longer slice.
	Append(dst []byte) []byte
}

// ClusterTag stands for the name of a cluster in datagrams, so that nodes of other
// clusters are ignored early and the name is not in clear. It hides no name that can
// be guessed.
type ClusterTag [16]byte

// Tag returns the tag of a cluster: the first 16 bytes of SHA-256 over "espial
// cluster", a zero byte and the name.
func Tag(cluster string) ClusterTag {
	sum := sha256.Sum256([]byte("espial cluster\x00" + cluster))
	return ClusterTag(sum[:len(ClusterTag{})])
}

// Nonce is what an [Answer] repeats of a [Challenge]: 16 random bytes that only the
// holder of the challenged address has seen.
type Nonce [16]byte

// Decode reads one datagram, which is all of b, and keeps nothing of it. It refuses a
// zero node ID, incarnation or port, because nothing could be done with them. Its
// errors wrap those of this package; all are final.
func Decode(b []byte) (Packet, error) {
	if len(b) < SizeMin || len(b) > SizeMax {
		return nil, ErrSize
	}
	r := reader{b}
	if string(r.take(len(magic))) != magic {
		return nil, ErrForeign
	}
	if v := r.take(1)[0]; v != version {
		return nil, fmt.Errorf("%w %d", ErrVersion, v)
	}
	var p Packet
	var ok bool
	switch t := Type(r.take(1)[0]); t {
	case TypeBeacon:
		p, ok = decodeBeacon(&r)
	case TypeChallenge:
		p, ok = decodeChallenge(&r)
	case TypeAnswer:
		p, ok = decodeAnswer(&r)
	default:
		return nil, fmt.Errorf("%w %d", ErrType, t)
	}
	if !ok {
		return nil, ErrValue
	}
	if err := checkFields(r.rest); err != nil {
		return nil, err
	}
	return p, nil
}

// reader takes values off the front of a datagram. It checks no length: [SizeMin]
// exceeds every fixed part.
type reader struct {
	rest []byte
}

func (r *reader) take(n int) []byte {
	v := r.rest[:n]
	r.rest = r.rest[n:]
	return v
}

func (r *reader) tag() ClusterTag { return ClusterTag(r.take(len(ClusterTag{}))) }

func (r *reader) nonce() Nonce { return Nonce(r.take(len(Nonce{}))) }

func (r *reader) id() ident.NodeID { return ident.NodeID(r.take(len(ident.NodeID{}))) }

func (r *reader) incarnation() ident.Incarnation {
	return ident.Incarnation(binary.BigEndian.Uint64(r.take(8)))
}

func (r *reader) port() uint16 { return binary.BigEndian.Uint16(r.take(2)) }

// appendHeader begins a datagram.
func appendHeader(dst []byte, t Type) []byte { return append(append(dst, magic...), version, byte(t)) }

// pad ends the datagram that begins at start: the first zero ends its fields, and the
// others bring it to [SizeMin].
func pad(dst []byte, start int) []byte {
	var zeros [SizeMin]byte
	return append(dst, zeros[:max(0, SizeMin-(len(dst)-start))]...)
}
