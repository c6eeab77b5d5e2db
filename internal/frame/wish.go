package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// Wish says what the sender of messages wants to hear of each of them, in a [Receipt].
type Wish uint8

// The wishes.
const (
	WishNone    Wish = iota
	WishQueued       // when it is in the queue of every subscription
	WishHandled      // when the reader of every subscription came back for the next one
)

// tagWish is the tag of the field that [AppendWish] writes.
const tagWish = 2

// WishSize is the size of the field that says what is wished.
const WishSize = 1 + 1 + 1

// AppendWish appends a wish to the fields of EVENTS. It is not critical: a receiver that
// does not know it says nothing, and the sender gives up in time.
func AppendWish(dst []byte, w Wish) []byte { return append(dst, tagWish, 1, byte(w)) }

// Wish returns what the sender of e wants to hear of its messages. It is for what
// [DecodeEvents] returned; an unknown wish is none.
func (e *Events) Wish() Wish {
	for fields := e.Fields; len(fields) > 0; {
		tag, value, rest, err := NextField(fields)
		if err != nil {
			break
		}
		if tag == tagWish && len(value) == 1 && value[0] <= byte(WishHandled) {
			return Wish(value[0])
		}
		fields = rest
	}
	return WishNone
}

// Verdict is what became of messages for which the sender wished a receipt.
type Verdict uint8

// The verdicts.
const (
	VerdictNobody  Verdict = iota // no subscription has them, or has them any more
	VerdictQueued                 // every subscription has them in its queue
	VerdictHandled                // a reader came back for the next one
)

// TopicReceipt is the topic of receipts: direct messages of one [Receipt] each, which
// are no events.
const TopicReceipt = "espial.receipt"

// Receipt tells what became of consecutive messages.
type Receipt struct {
	Lane    Lane
	Verdict Verdict
	First   ident.Seq // number of the first message, pieces not counted; at least 1
	Count   uint32    // how many; at least 1
}

// receiptSize is the length of an encoded receipt.
const receiptSize = 1 + 1 + 8 + 4

// Append appends the payload of a message on [TopicReceipt] to dst.
func (r Receipt) Append(dst []byte) []byte {
	dst = append(dst, byte(r.Lane), byte(r.Verdict))
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.First))
	return binary.BigEndian.AppendUint32(dst, r.Count)
}

// DecodeReceipt decodes the payload of a message on [TopicReceipt]. What a later version
// adds behind it is ignored.
func DecodeReceipt(b []byte) (Receipt, bool) {
	if len(b) < receiptSize || Lane(b[0]) >= Lanes || b[1] > byte(VerdictHandled) {
		return Receipt{}, false
	}
	r := Receipt{
		Lane: Lane(b[0]), Verdict: Verdict(b[1]),
		First: ident.Seq(binary.BigEndian.Uint64(b[2:])), Count: binary.BigEndian.Uint32(b[10:]),
	}
	return r, r.First > 0 && r.Count > 0
}
