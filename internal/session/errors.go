package session

import "errors"

// Errors of this package. [ErrFull] and [ErrTooLarge] are the publisher's; the others
// say that the peer broke the protocol, so that its link must be closed.
var (
	// ErrFull reports that the slowest receiver still holds [Limits.BytesMax] of the
	// log. It passes when that one acknowledges, is given up or closes.
	ErrFull = errors.New("session: send queue is full")

	// ErrTooLarge reports a message above [Limits.EventMax], or a topic above
	// [frame.TopicMax] bytes.
	ErrTooLarge = errors.New("session: message too large")

	// ErrNumber reports a message number that cannot be: zero, beyond the last one, or
	// acknowledged without having been sent.
	ErrNumber = errors.New("session: impossible message number")

	// ErrWindow reports a peer that sent more than the window that it was granted.
	ErrWindow = errors.New("session: peer exceeds its window")

	// ErrPieces reports pieces that do not make a message: another topic, codec or reign
	// in the middle, or several messages where one piece belongs.
	ErrPieces = errors.New("session: pieces do not fit together")

	// ErrNotOpen reports messages on a lane whose OPEN has not come.
	ErrNotOpen = errors.New("session: lane is not open")
)
