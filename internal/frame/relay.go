package frame

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/espial-go/espial/internal/ident"
)

// BatchMax is how many bytes of EVENTS frames one RELAY carries at most. It leaves room
// for the longest signature, and takes two of the longest pieces of a large message.
const BatchMax = PayloadMax - 256

// relayFixed is the size of what a RELAY begins with.
const relayFixed = len(ident.NodeID{}) + 8 + 8 + 8 + 8 + 1

// Relay carries a batch: broadcasts that left their origin in one flush, on to members
// that have no link with it. Members pass it on unchanged, and every receiver can tell by
// the signature that it is the origin's.
//
// Each number of an origin is in one batch, and no batch follows from the one before it
// without its numbers. Frames holds whole EVENTS frames of the lane [Broadcast], one
// after the other, without a gap in the numbers.
type Relay struct {
	// Origin and Incarnation name the start of the node that published.
	Origin      ident.NodeID
	Incarnation ident.Incarnation

	// First and Last are the first and the last number of the batch, Message is the number
	// of the message that First belongs to; see [Events].
	First, Last, Message ident.Seq

	// Continues reports that First is a piece of a message whose first piece came in an
	// earlier batch.
	Continues bool

	Signature []byte // at most [SignatureMax] bytes; nil until Sign
	Fields    []byte // for [AppendSince] and [Relay.Since]; passed on, and not signed
	Frames    []byte // at most [BatchMax] bytes

	// What follows is read from Frames and not encoded. Whole and More are signed all the
	// same; see [Proof].
	Whole ident.Seq
	More  bool

	// Head is how many numbers, from First on, belong to the message that the batch
	// continues; 0 if it does not.
	Head int

	// Raw is the whole frame, header included, as it is passed on: nil but after Sign and
	// Clone. Changing a field above does not change it.
	Raw []byte
}

// Type returns [TypeRelay].
func (Relay) Type() Type { return TypeRelay }

// Append implements [Frame].
func (b Relay) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(begin(dst, TypeRelay), b.Origin[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Incarnation))
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.First))
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Last))
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Message))
	dst = appendFlag(dst, b.Continues) // bit 0 of the flags
	dst = appendStr(dst, b.Signature)
	dst = appendStr(dst, b.Fields)
	dst = append(dst, b.Frames...)
	Seal(dst[start:])
	return dst
}

// Size returns the length of the frame, in bytes, header included.
func (b *Relay) Size() int {
	n := HeaderSize + relayFixed + len(b.Frames)
	return n + PayloadSize(len(b.Signature)) + PayloadSize(len(b.Fields))
}

// Proof returns what the origin signed, without the frames. The hash costs about 1 µs for
// each KiB.
func (b *Relay) Proof() Proof {
	return Proof{
		Origin: b.Origin, Incarnation: b.Incarnation, First: b.First, Last: b.Last, Message: b.Message,
		Whole: b.Whole, Continues: b.Continues, More: b.More,
		Hash: sha256.Sum256(b.Frames), Signature: b.Signature,
	}
}

// Sign sets the signature, Raw and what follows from Frames; sign is [ident.Key.Sign] of
// the key of the origin. It fails if sign does, or with an error that wraps [ErrTooLarge]
// or [ErrMalformed] if peers would refuse the batch, and changes nothing then. The batch
// has memory of its own afterwards.
func (b *Relay) Sign(sign func(msg []byte) ([]byte, error)) error {
	if len(b.Frames) > BatchMax {
		return fmt.Errorf("%w: batch of %d bytes, limit %d", ErrTooLarge, len(b.Frames), BatchMax)
	}
	signed := *b
	var r reader
	r.frames(&signed)
	if err := r.close(TypeRelay.String()); err != nil {
		return err
	}
	p := signed.Proof()
	sig, err := sign(p.appendSigned([]byte(relayLabel)))
	if err != nil {
		return fmt.Errorf("frame: sign batch: %w", err)
	}
	signed.Signature = sig
	if n := signed.Size(); n > Max {
		return fmt.Errorf("%w: RELAY of %d bytes, limit %d", ErrTooLarge, n, Max)
	}
	raw := signed.Append(make([]byte, 0, signed.Size()))
	if signed, err = DecodeRelay(raw[HeaderSize:]); err != nil {
		return err
	}
	signed.Raw = raw
	*b = signed
	return nil
}

// Verify is [Proof.Verify] for the whole batch. It belongs behind the question whether the
// batch is news.
func (b *Relay) Verify(public []byte) error { return b.Proof().Verify(public) }

// Clone returns a copy in memory of its own, with Raw set. It allocates once.
func (b Relay) Clone() Relay {
	b.Raw = b.Append(make([]byte, 0, b.Size()))
	rest := b.Raw[HeaderSize+relayFixed:]
	cut := func(n int) []byte {
		at := uvarintLen(uint64(n))
		field := rest[at : at+n : at+n]
		rest = rest[at+n:]
		return field
	}
	b.Signature, b.Fields, b.Frames = cut(len(b.Signature)), cut(len(b.Fields)), rest
	return b
}

// DecodeRelay decodes the payload of a RELAY without copying or allocating, and validates
// it to the end, the EVENTS frames in it included. It does not verify the signature.
// Errors wrap [ErrMalformed], [ErrTooLarge] or [ErrCritical].
func DecodeRelay(payload []byte) (Relay, error) {
	r := reader{b: payload}
	b := decodeRelay(&r)
	if err := r.close(TypeRelay.String()); err != nil {
		return Relay{}, err
	}
	return b, nil
}

func decodeRelay(r *reader) Relay {
	b := Relay{
		Origin: r.nodeID(), Incarnation: r.incarnation(), First: r.seq(), Last: r.seq(), Message: r.seq(),
	}
	b.Continues = r.flag() // bit 0 of the flags
	b.Signature = r.bytes("signature", SignatureMax)
	b.Fields = r.bytes("fields", PayloadMax)
	fields := reader{b: b.Fields}
	if fields.fields(); fields.err != nil {
		r.fail(fields.err, "%s", fields.why)
	}
	b.Frames, r.b = r.b, nil
	if len(b.Frames) > BatchMax {
		r.fail(ErrTooLarge, "batch of %d bytes, limit %d", len(b.Frames), BatchMax)
	}
	if b.Continues && b.First == b.Message {
		r.fail(ErrMalformed, "number %d continues message %d", b.First, b.Message)
	}
	r.frames(&b)
	return b
}

// frames walks the EVENTS frames of a batch: each goes on where the one before it ended,
// and all together are what the batch says.
func (r *reader) frames(b *Relay) {
	next := b.First
	b.Whole, b.More, b.Head = b.Message-1, b.Continues, 0
	head := b.Continues // all so far belongs to the message that the batch continues
	for rest := b.Frames; len(rest) > 0; {
		e, n := r.broadcast(rest)
		switch {
		case r.err != nil:
		case e.First != next || e.Message != b.Whole+1:
			r.fail(ErrMalformed, "number %d, message %d after number %d, message %d",
				e.First, e.Message, next-1, b.Whole)
		case b.More && e.Count != 1:
			r.fail(ErrMalformed, "%d messages from %d on, where one piece belongs", e.Count, next)
		}
		if r.err != nil {
			return
		}
		rest = rest[n:]
		next += ident.Seq(e.Count)
		b.Whole, b.More = e.Message+ident.Seq(e.Count)-1, e.More
		if e.More {
			b.Whole--
		}
		if head {
			b.Head += e.Count
			head = e.More
		}
	}
	if next == b.First || next-1 != b.Last {
		r.fail(ErrMalformed, "batch %d to %d ends with number %d", b.First, b.Last, next-1)
	}
}

// broadcast decodes the first of some EVENTS frames and returns it with its length, header
// included.
func (r *reader) broadcast(frames []byte) (e Events, size int) {
	raw, size, err := Next(frames)
	switch {
	case err != nil:
		r.fail(ErrMalformed, "a frame in it is cut")
	case raw.Type != TypeEvents:
		r.fail(ErrMalformed, "%v in it", raw.Type)
	default:
		if e, err = DecodeEvents(raw.Payload); err != nil {
			r.fail(err, "in it")
		} else if e.Lane != Broadcast {
			r.fail(ErrMalformed, "lane %d in it", e.Lane)
		}
	}
	return e, size
}

// tagSince is the tag of the field that [AppendSince] writes.
const tagSince = 2

// AppendSince appends to the fields of a batch the one that says with which number, and which
// message, the first batch began that the origin signed since it last did without. What it
// published right before went to members with a link alone. Nobody signs the field: it says
// where a receiver begins that has nothing of the origin, and marks say no less.
func AppendSince(dst []byte, first, message ident.Seq) []byte {
	dst = append(dst, tagSince, 16)
	dst = binary.BigEndian.AppendUint64(dst, uint64(first))
	return binary.BigEndian.AppendUint64(dst, uint64(message))
}

// Since returns with which number, and which message, the origin began to sign:
// 1 for both if the batch does not say so, or something that cannot be.
func (b *Relay) Since() (first, message ident.Seq) {
	for rest := b.Fields; len(rest) > 0; {
		tag, value, more, err := NextField(rest)
		if err != nil {
			break
		}
		if r := (reader{b: value}); tag == tagSince && len(value) == 16 {
			first, message = r.seq(), r.seq()
			if 0 < message && message <= first && first <= b.First {
				return first, message
			}
		}
		rest = more
	}
	return 1, 1
}
