package frame

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// CallOverhead is what a call or its answer takes beyond its value at most, in bytes.
const CallOverhead = 3*binary.MaxVarintLen64 + 1 + TextMax

// TextMax is the longest [Answer.Text], in bytes; [Answer.Append] cuts what is longer.
const TextMax = 512

// Call is the payload of a message of the lane [Calls] that calls a method: its topic is the
// method, its codec that of the value, and its number, pieces not counted, names the call.
type Call struct {
	// Timeout is how long the caller waits from when it calls, in microseconds; 0 for ever.
	// It is no point in time, because the clocks of two nodes differ.
	Timeout time.Duration

	// AnswerMax is the largest payload of a message that the caller takes, in bytes.
	AnswerMax uint64

	Value []byte // for the method
}

// Append appends the payload to dst. What is left of the last microsecond counts as a whole
// one, so that no timeout becomes none.
func (c Call) Append(dst []byte) []byte {
	left := uint64(max(c.Timeout, 0)) // cannot overflow where the next one rounds up
	dst = binary.AppendUvarint(dst, (left+uint64(time.Microsecond)-1)/uint64(time.Microsecond))
	dst = binary.AppendUvarint(dst, c.AnswerMax)
	return append(dst, c.Value...)
}

// DecodeCall decodes what [Call.Append] appended; the value aliases b. A timeout beyond what a
// [time.Duration] holds is none.
func DecodeCall(b []byte) (c Call, ok bool) {
	r := reader{b: b}
	left := r.uvarint()
	c.AnswerMax, c.Value = r.uvarint(), r.b
	if r.err != nil {
		return Call{}, false
	}
	if left <= math.MaxInt64/uint64(time.Microsecond) {
		c.Timeout = time.Duration(left) * time.Microsecond
	}
	return c, true
}

// Outcome says what an [Answer] tells of a call.
type Outcome uint8

// The outcomes. One that a node does not know is a failure.
const (
	OutcomeCanceled  Outcome = iota // the caller waits no more: the one that it says itself
	OutcomeValue                    // the method returned the value; Text is its type
	OutcomeFailed                   // the method returned an error: Text
	OutcomePanicked                 // the method panicked
	OutcomeNoHandler                // the callee does not serve the method to this caller
	OutcomeBusy                     // the callee has as many calls as it takes
	OutcomeMismatch                 // the value is not of the type Text that the method takes
	OutcomeTooLarge                 // the callee takes no message as large as that of the call
	OutcomeTooLong                  // the method returned more than the caller takes
)

// Answer is the payload of a message of the lane [Calls] with an empty topic: it says
// something of a call that was made before, and its codec is that of the value.
type Answer struct {
	Number  ident.Seq // of the call: a message of the receiver, or of the sender that gives it up
	Outcome Outcome
	Text    string // at most [TextMax] bytes
	Value   []byte
}

// Size returns how many bytes the payload takes, or a few more.
func (a Answer) Size() int { return 2*binary.MaxVarintLen64 + 1 + len(a.Text) + len(a.Value) }

// Append appends the payload to dst.
func (a Answer) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(a.Number))
	dst = append(dst, byte(a.Outcome))
	dst = appendStr(dst, a.Text[:min(len(a.Text), TextMax)])
	return append(dst, a.Value...)
}

// DecodeAnswer decodes what [Answer.Append] appended; the value aliases b.
func DecodeAnswer(b []byte) (a Answer, ok bool) {
	r := reader{b: b}
	a = Answer{Number: ident.Seq(r.uvarint()), Outcome: Outcome(r.u8()), Text: r.str("text", TextMax)}
	if a.Value = r.b; r.err != nil || a.Number == 0 {
		return Answer{}, false
	}
	return a, true
}
