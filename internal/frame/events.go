package frame

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/espial-go/espial/internal/ident"
)

// The codecs: how a payload is encoded. Other numbers pass through: those from
// [CodecUser] on are of codecs that users bring, the rest is set aside.
const (
	CodecRaw         = 0
	CodecJSON        = 1
	CodecCBOR        = 2
	CodecMessagePack = 3
	CodecBSON        = 4
	CodecProtobuf    = 5
	CodecUser        = 128
)

// ClassReliable is the class of messages in protocol version 1: first in, first out,
// repaired. 1 is set aside for best effort, 2 for replay, 3 for ordered.
const ClassReliable uint8 = 0

// TopicMax is the length of the longest topic, in bytes.
const TopicMax = 255

// flagMore is the bit of the flags that stands for [Events.More].
const flagMore = 1

// eventsFixed is the size of a frame of EVENTS without topic, fields and run: header,
// lane, flags, first, message, codec, class, and the lengths of topic and of empty fields.
const eventsFixed = HeaderSize + 1 + 1 + 8 + 8 + 1 + 1 + 1 + 1

// Events is a run of consecutive messages of one lane with one topic. Its slices alias
// what it was decoded from.
type Events struct {
	Lane Lane

	// More reports that the only payload is a piece of a message that goes on in the
	// next frame of the lane. The frame with the last piece has it false.
	More bool

	// First is the number of the first message, at least 1; the others follow without
	// gaps. Each piece of a message has a number of its own.
	First ident.Seq

	// Message is the number of the first message among the messages of the lane, where
	// First counts each piece: at least 1, at most First. All pieces of a message have
	// the same. With it a gap is a loss of so many messages.
	Message ident.Seq

	Codec, Class uint8

	Topic  []byte // at most [TopicMax] bytes; the grammar is the receiver's to check
	Fields []byte // for [NextField], [Events.Reign] and [Events.Group]; no other is critical
	Run    []byte // for [NextPayload]
	Count  int    // payloads in Run, at least 1
}

// EventsOverhead returns the size of a frame with a topic of n bytes, no fields and an
// empty run. A frame of EVENTS holds payloads of [PayloadSize] each up to [Max].
func EventsOverhead(n int) int { return eventsFixed + n }

// PayloadSize returns how many bytes a payload of n bytes takes in a run.
func PayloadSize(n int) int { return uvarintLen(uint64(n)) + n }

// BeginEvents appends a frame without its run to dst; Run and Count of e are ignored.
// [AppendPayload] adds the messages and [Seal] completes the frame. The topic must not
// exceed [TopicMax] bytes.
func BeginEvents(dst []byte, e Events) []byte {
	flags := byte(0)
	if e.More {
		flags = flagMore
	}
	dst = append(begin(dst, TypeEvents), byte(e.Lane), flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.First))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Message))
	dst = append(dst, e.Codec, e.Class, byte(len(e.Topic)))
	dst = append(dst, e.Topic...)
	return appendStr(dst, e.Fields)
}

// AppendPayload appends one message, or one piece, to a run.
func AppendPayload(dst, payload []byte) []byte {
	if len(payload) < 0x80 {
		dst = append(dst, byte(len(payload)))
	} else {
		dst = binary.AppendUvarint(dst, uint64(len(payload)))
	}
	return append(dst, payload...)
}

// DecodeEvents decodes the payload of a frame of EVENTS without copying or allocating,
// and validates it to the end, so that [NextPayload] may walk the run. Errors wrap
// [ErrMalformed], [ErrTooLarge] or [ErrCritical].
func DecodeEvents(payload []byte) (Events, error) {
	r := reader{b: payload}
	e := Events{Lane: r.lane()}
	flags := r.u8()
	e.More = flags&flagMore != 0
	e.First, e.Message = r.seq(), r.seq()
	e.Codec, e.Class = r.u8(), r.u8()
	e.Topic = r.take(int(r.u8()))
	e.Fields = r.bytes("fields", PayloadMax)
	e.Run, r.b = r.b, nil
	count, whole := countRun(e.Run)
	e.Count = count
	switch {
	case r.err != nil:
	case flags&^flagMore != 0:
		r.fail(ErrMalformed, "flags are %08b", flags)
	case !whole:
		r.fail(ErrMalformed, "message %d of the run is cut", count)
	case count == 0:
		r.fail(ErrMalformed, "no message")
	case e.More && count != 1:
		r.fail(ErrMalformed, "%d messages where one piece belongs", count)
	case e.First == 0 || e.First > math.MaxUint64-ident.Seq(count):
		r.fail(ErrMalformed, "%d messages from number %d on", count, e.First)
	case e.Message == 0 || e.Message > e.First:
		r.fail(ErrMalformed, "message %d has the number %d", e.Message, e.First)
	case len(e.Fields) > 0:
		fields := reader{b: e.Fields}
		fields.eventFields()
		r.err, r.why = fields.err, fields.why
	}
	if r.err != nil {
		return Events{}, fmt.Errorf("%w: %v: %s", r.err, TypeEvents, r.why)
	}
	return e, nil
}

// countRun counts the payloads in a run and reports whether the last one ends with it.
func countRun(run []byte) (n int, whole bool) {
	for len(run) > 0 {
		size, at := uvarint(run)
		if at == 0 || size > uint64(len(run)-at) {
			return n, false
		}
		run = run[at+int(size):]
		n++
	}
	return n, true
}

// NextPayload cuts the first payload from a run that [DecodeEvents] validated, or that
// [AppendPayload] wrote with payloads below 2^28 bytes, and that is not empty. Both
// results alias the run.
func NextPayload(run []byte) (payload, rest []byte) {
	// The length takes at most 3 bytes in a frame, and 4 in a message put together
	// from pieces. Written out, the function is small enough for the compiler to
	// inline.
	n, at := int(run[0]), 1
	if n >= 1<<7 {
		n, at = n&(1<<7-1)|int(run[1])<<7, 2
		if n >= 1<<14 {
			n, at = n&(1<<14-1)|int(run[2])<<14, 3
			if n >= 1<<21 {
				n, at = n&(1<<21-1)|int(run[3])<<21, 4
			}
		}
	}
	return run[at : at+n], run[at+n:]
}
