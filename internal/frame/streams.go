package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// StreamFrameMax is the length of the payload of every frame on a connection for streams,
// in bytes: a name, or a code with a reason, and room for the fields of later protocols.
const StreamFrameMax = 1 << 10

// Streams is the first frame on a connection for streams. It says between which two
// incarnations the streams are; ACCEPT or REJECT answers it.
type Streams struct {
	From ident.Incarnation // the sender's
	To   ident.Incarnation // the one of the receiver that the sender means

	// Bulk reports that the connection is for one stream, which the sender will open.
	Bulk bool
}

// tagBulk is the tag of the field, without a value, that says [Streams.Bulk]. Who does not
// know it may open streams of its own on the connection.
const tagBulk = 2

// Type returns [TypeStreams].
func (Streams) Type() Type { return TypeStreams }

// Append implements [Frame].
func (s Streams) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, TypeStreams)
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.From))
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.To))
	if s.Bulk {
		dst = AppendField(dst, tagBulk, nil)
	}
	Seal(dst[start:])
	return dst
}

func decodeStreams(r *reader) Streams {
	s := Streams{From: r.incarnation(), To: r.incarnation()}
	for len(r.b) > 0 {
		switch tag, value := r.field(); tag {
		case tagBulk:
			if s.Bulk || len(value) > 0 {
				r.fail(ErrMalformed, "bulk twice, or with a value")
			}
			s.Bulk = true
		default:
			r.unknown(tag)
		}
	}
	return s
}

// Service is the first frame on a stream: what it was opened for. ACCEPT answers it, or
// the stream is reset.
type Service struct {
	// Name is the service, at most [NameMax] bytes in whatever grammar the peer likes.
	Name string
}

// Type returns [TypeService].
func (Service) Type() Type { return TypeService }

// Append implements [Frame].
func (s Service) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendStr(begin(dst, TypeService), s.Name)
	Seal(dst[start:])
	return dst
}

func decodeService(r *reader) Service {
	s := Service{Name: r.str("service", NameMax)}
	r.fields()
	return s
}
