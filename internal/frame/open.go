package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// Lane is one of the two numbered sequences of messages in each direction of a pair.
type Lane uint8

// The lanes.
const (
	Broadcast Lane = 0 // messages to all
	Direct    Lane = 1 // messages to this peer

	// Lanes is how many there are.
	Lanes = 2
)

// Open begins or resumes both lanes. It is the first data frame of a link, both ways.
type Open struct {
	Lanes [Lanes]OpenLane // by Lane

	// Groups announces a message under [TopicInterests], before any other that is new.
	Groups bool
}

// fieldGroups is the field of OPEN that sets Groups. It has no value, and a node that does
// not know it loses nothing but time.
const fieldGroups = 2

// OpenLane is what [Open] says about one lane.
type OpenLane struct {
	// First is the lowest number that the sender of the frame can still send, at
	// least 1.
	First ident.Seq

	// Message is the number of the message that First belongs to, at least 1 and at most
	// First; see [Events.Message].
	Message ident.Seq

	// Received is the highest number up to which it has all of the peer's messages;
	// 0 for none.
	Received ident.Seq

	// Window is how much of the peer's messages it will hold unacknowledged, in bytes.
	Window uint32
}

// Type returns [TypeOpen].
func (Open) Type() Type { return TypeOpen }

// Append implements [Frame].
func (o Open) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, TypeOpen)
	for _, l := range o.Lanes {
		dst = binary.BigEndian.AppendUint64(dst, uint64(l.First))
		dst = binary.BigEndian.AppendUint64(dst, uint64(l.Message))
		dst = binary.BigEndian.AppendUint64(dst, uint64(l.Received))
		dst = binary.BigEndian.AppendUint32(dst, l.Window)
	}
	if o.Groups {
		dst = AppendField(dst, fieldGroups, nil)
	}
	Seal(dst[start:])
	return dst
}

func decodeOpen(r *reader) (o Open) {
	for i := range o.Lanes {
		o.Lanes[i] = OpenLane{First: r.seq(), Message: r.seq(), Received: r.seq(), Window: r.u32()}
		if l := o.Lanes[i]; l.First == 0 {
			r.fail(ErrMalformed, "lane %d begins at number 0", i)
		} else if l.Message == 0 || l.Message > l.First {
			r.fail(ErrMalformed, "lane %d begins at message %d with number %d", i, l.Message, l.First)
		}
	}
	for len(r.b) > 0 {
		if tag, _ := r.field(); tag == fieldGroups {
			o.Groups = true
		} else {
			r.unknown(tag)
		}
	}
	return o
}
