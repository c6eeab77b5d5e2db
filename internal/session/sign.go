package session

import (
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Signer signs a frame of a log, so that others may pass it on: it returns the RELAY that
// carries it, which the log keeps and never changes. Of the batch the numbers, Message,
// Continues and Frames are set; Frames is valid until Signer returns. It is called once for
// each frame, in the order of the numbers, and must not call the log. With nil the frame
// travels without a signature.
type Signer func(b frame.Relay) (relay []byte)

// SignWith makes the log sign all frames that it still holds, and those to come; with nil it
// signs no more. What is signed travels as RELAY from then on, whether or not the log still
// signs, and counts as if it were the EVENTS in it.
func (l *Log) SignWith(s Signer) {
	l.sign = s
	l.signed = max(l.signed, l.ring.low)
}

// Sign signs up to most frames, the oldest first, and reports whether there are more. A
// frame that nobody signed is signed before the log forgets it.
func (l *Log) Sign(most int) (more bool) {
	if l.sign == nil {
		return false
	}
	l.signed = max(l.signed, l.ring.low)
	for ; most > 0 && l.signed < l.ring.high; most-- {
		l.signNext()
	}
	return l.signed < l.ring.high
}

// signNext signs the oldest frame that is not signed.
func (l *Log) signNext() {
	l.signed = max(l.signed, l.ring.low)
	e := l.ring.at(l.signed)
	if e == l.open {
		l.complete()
	}
	e.relay = l.sign(frame.Relay{
		First: e.first, Last: e.last(), Message: e.whole, Continues: e.rest, Frames: e.bytes,
	})
	l.signed++
}

// Place returns how far the log has come: the number of the last message or piece, and that of
// the last message. What is appended later is in other frames.
func (l *Log) Place() (last, whole ident.Seq) {
	l.complete()
	return l.next - 1, l.count
}

// OpenBare is Open for a receiver that needs no signatures, because it is the node itself:
// its Take gives EVENTS alone, and waits for nobody to sign them.
func (l *Log) OpenBare() *Cursor {
	c := l.Open()
	c.bare = true
	return c
}

// Passed reports whether Take comes to number n no more on this link: it handed it out, or
// n was acknowledged or given up before.
func (c *Cursor) Passed(n ident.Seq) bool {
	if c.next == c.log.ring.high {
		return n < c.log.next
	}
	return n < c.log.ring.at(c.next).first
}
