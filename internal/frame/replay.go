package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// Topics of what nodes say to each other about replays: direct messages that are no
// events. [Replay] is a question, and its answer ends with one of [TopicReplayed].
const (
	TopicReplay   = "espial.replay"
	TopicReplayed = "espial.replayed"
)

// tagPast is the tag of the field that [AppendPast] writes.
const tagPast = 7

// PastSize is the size of the field of a message that is replayed.
const PastSize = 1 + 1 + 8 + 8

// Past says that a message was broadcast before, and for which question it is.
type Past struct {
	Question uint64
	Number   ident.Seq // of the broadcast, pieces not counted; at least 1
}

// AppendPast appends to the fields of EVENTS the one of a message that is replayed. It is
// critical: a receiver that does not know it would take the message for a new one.
func AppendPast(dst []byte, p Past) []byte {
	dst = append(dst, tagPast, 8+8)
	dst = binary.BigEndian.AppendUint64(dst, p.Question)
	return binary.BigEndian.AppendUint64(dst, uint64(p.Number))
}

// Past returns what the messages of e are a replay of; its Number is 0 for new ones. It is
// for what [DecodeEvents] returned.
func (e *Events) Past() Past {
	if len(e.Fields) == 0 {
		return Past{}
	}
	r := reader{b: e.Fields}
	return r.eventFields().past
}

// Replay asks for what a node keeps of its broadcasts on the topics that match a pattern.
type Replay struct {
	Question uint64 // named in the answer
	Pattern  string // the grammar is the receiver's to check
}

// Append appends the payload of a message on [TopicReplay] to dst.
func (q Replay) Append(dst []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, q.Question), q.Pattern...)
}

// DecodeReplay decodes the payload of a message on [TopicReplay], and with an empty pattern
// of one on [TopicReplayed].
func DecodeReplay(b []byte) (q Replay, ok bool) {
	if len(b) < 8 || len(b) > 8+TopicMax {
		return Replay{}, false
	}
	return Replay{Question: binary.BigEndian.Uint64(b), Pattern: string(b[8:])}, true
}
