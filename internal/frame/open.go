package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// Lane is one of the numbered sequences of messages in each direction of a pair.
type Lane uint8

// The lanes.
const (
	Broadcast Lane = 0 // messages to all
	Direct    Lane = 1 // messages to this peer
	Calls     Lane = 2 // what this peer is called to do, and answers to what it called

	// Lanes is how many carry events: all but [Calls].
	Lanes = 2
)

// Open begins or resumes all lanes. It is the first data frame of a link, both ways.
type Open struct {
	Lanes [Lanes]OpenLane // by Lane

	// Calls is the lane of that name; zero at a node that knows no calls.
	Calls OpenLane

	// Methods announces a message under [TopicMethods] on the lane of calls, before any other
	// that is new.
	Methods bool

	// Services is the same of a message under [TopicServices]. A node that has never sent one
	// in this session and does not announce it listens on nothing.
	Services bool

	// Groups announces a message under [TopicInterests], before any other that is new.
	Groups bool
}

// Fields of OPEN. A node that does not know those of Groups, Methods or Services, which have no
// value, loses nothing but time; one that does not know that of Calls is never sent any.
const (
	fieldGroups   = 2
	fieldCalls    = 4
	fieldMethods  = 6
	fieldServices = 8
)

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

// openLaneSize is the length of an encoded lane.
const openLaneSize = 8 + 8 + 8 + 4

// append appends what OPEN says about one lane.
func (l OpenLane) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.First))
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Message))
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Received))
	return binary.BigEndian.AppendUint32(dst, l.Window)
}

// openLane reads it.
func (r *reader) openLane(lane Lane) OpenLane {
	l := OpenLane{First: r.seq(), Message: r.seq(), Received: r.seq(), Window: r.u32()}
	if l.First == 0 {
		r.fail(ErrMalformed, "lane %d begins at number 0", lane)
	} else if l.Message == 0 || l.Message > l.First {
		r.fail(ErrMalformed, "lane %d begins at message %d with number %d", lane, l.Message, l.First)
	}
	return l
}

// Type returns [TypeOpen].
func (Open) Type() Type { return TypeOpen }

// Append implements [Frame].
func (o Open) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, TypeOpen)
	for _, l := range o.Lanes {
		dst = l.append(dst)
	}
	if o.Groups {
		dst = AppendField(dst, fieldGroups, nil)
	}
	if o.Calls.First != 0 {
		dst = append(dst, fieldCalls, openLaneSize)
		dst = o.Calls.append(dst)
	}
	if o.Methods {
		dst = AppendField(dst, fieldMethods, nil)
	}
	if o.Services {
		dst = AppendField(dst, fieldServices, nil)
	}
	Seal(dst[start:])
	return dst
}

func decodeOpen(r *reader) (o Open) {
	for i := range o.Lanes {
		o.Lanes[i] = r.openLane(Lane(i))
	}
	for len(r.b) > 0 {
		switch tag, value := r.field(); tag {
		case fieldGroups:
			o.Groups = true
		case fieldMethods:
			o.Methods = true
		case fieldServices:
			o.Services = true
		case fieldCalls:
			lane := reader{b: value}
			o.Calls = lane.openLane(Calls)
			if lane.err == nil && len(lane.b) > 0 {
				lane.fail(ErrMalformed, "%d bytes behind lane %d", len(lane.b), Calls)
			}
			if lane.err != nil {
				r.fail(lane.err, "%s", lane.why)
			}
		default:
			r.unknown(tag)
		}
	}
	return o
}
