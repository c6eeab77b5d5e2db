package session

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// headroom is the room for the length of an assembled message, in bytes: [EventMaxMost]
// takes 4.
const headroom = 4

// Assembler joins the pieces of large messages of one lane. Its memory follows the
// bytes that came. The zero Assembler takes messages of up to [EventMaxDefault]; it
// must be used by one goroutine at a time.
type Assembler struct {
	// EventMax is the payload of the largest message, in bytes; 0 means
	// [EventMaxDefault], at most [EventMaxMost].
	EventMax int

	buf   []byte // headroom and what has come; nil between messages
	topic string
	codec uint8
	class uint8

	// The reign in which the message was published; the term is 0 for none.
	term     ident.Term
	election string
}

// Wants reports whether a frame is for [Assembler.Add]: it holds a piece.
func (a *Assembler) Wants(e frame.Events) bool { return e.More || a.buf != nil }

// Add takes the frame of the next piece. With the last one it returns the whole
// message as a run of one, in memory that is the caller's from then on; before that it
// returns nil. Errors are [ErrPieces] and [ErrTooLarge], after which the Assembler is as
// new.
func (a *Assembler) Add(e frame.Events) (run []byte, err error) {
	if e.Count != 1 {
		a.Reset()
		return nil, fmt.Errorf("%w: %d messages where one piece belongs", ErrPieces, e.Count)
	}
	election, term := e.Reign()
	if a.buf == nil {
		a.topic, a.codec, a.class = string(e.Topic), e.Codec, e.Class
		a.term, a.election = term, string(election)
		a.buf = make([]byte, headroom, headroom+len(e.Run))
	} else if string(e.Topic) != a.topic || e.Codec != a.codec || e.Class != a.class ||
		term != a.term || string(election) != a.election {
		a.Reset()
		return nil, fmt.Errorf("%w: number %d begins another message", ErrPieces, e.First)
	}
	piece, _ := frame.NextPayload(e.Run)
	if size := len(a.buf) - headroom + len(piece); size > a.eventMax() {
		a.Reset()
		return nil, fmt.Errorf("%w: at least %d bytes, limit %d (EventMax)", ErrTooLarge, size, a.eventMax())
	}
	if cap(a.buf)-len(a.buf) < len(piece) {
		a.buf = slices.Grow(a.buf, max(len(piece), len(a.buf))) // double: each byte moves once
	}
	a.buf = append(a.buf, piece...)
	if e.More {
		return nil, nil
	}
	return a.finish(), nil
}

// Held returns how many bytes of a message in progress have come.
func (a *Assembler) Held() int { return max(len(a.buf)-headroom, 0) }

// finish returns the message with its length in front.
func (a *Assembler) finish() []byte {
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(a.buf)-headroom))
	run := a.buf[headroom-n:]
	copy(run, length[:n])
	a.Reset()
	return run
}

// Reset forgets the message in progress, whose rest was lost.
func (a *Assembler) Reset() { a.buf, a.topic, a.election = nil, "", "" }

// eventMax returns the limit in force.
func (a *Assembler) eventMax() int {
	if a.EventMax <= 0 {
		return EventMaxDefault
	}
	return min(a.EventMax, EventMaxMost)
}
