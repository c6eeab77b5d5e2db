// Package frame encodes and decodes what two nodes say to each other on a link. A
// frame is a type (1 byte), a length (3 bytes, big-endian) and a payload of at most
// [PayloadMax] bytes; docs/wire.md describes each of them.
//
// Two ways lead through the package. Control frames are rare and varied, so they are
// values behind an interface:
//
//	b = frame.Probe{Number: 7}.Append(b)
//
//	raw, n, err := frame.Next(b) // one frame from the front of b
//	f, err := frame.Decode(raw)  // a frame.Probe, by value
//
// Events are the hot path, so they are never boxed, never copied and never decoded
// twice. One frame carries a run of messages of one topic; [BeginEvents],
// [AppendPayload] and [Seal] write it message by message, [DecodeEvents] validates it
// once, and [NextPayload] walks it:
//
//	e, err := frame.DecodeEvents(raw.Payload)
//	for run := e.Run; len(run) > 0; {
//		payload, run = frame.NextPayload(run)
//	}
//
// A [Record] is what a member says about itself, a [Relay] what it published and a
// [Suspicion] whom it has no sign of life of, for those who have no link with it. All are
// signed by who says so and passed on unchanged, so that nobody believes a third party.
//
// Every decoder takes hostile input: it never panics, never reads past what it was
// given, and its memory follows the bytes received, never a length or a count that they
// announce. An integer of variable length is accepted in its shortest form only.
// Encoders trust their caller: what breaks a limit of this package is encoded into a
// frame that the peer refuses. Text of a peer is bounded and kept raw; who prints it
// quotes it. Grammars (names, topics, addresses) are the callers' to check.
//
// The package is pure: no goroutine, lock, clock, socket or randomness. Its functions
// may be called by several goroutines.
package frame
