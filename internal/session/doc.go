// Package session carries messages between two nodes reliably: in order, without
// duplicates and without gaps that nobody hears of, however often the link between
// them breaks. It is a set of state machines without I/O: no goroutine, lock, clock or
// socket.
//
// A session is a pair of incarnations. Each direction has three lanes, one for
// broadcasts, one for direct messages and one for calls, numbered separately and from 1 on.
//
// The sender's side is a [Log] of encoded EVENTS frames. Every receiver reads it
// through a [Cursor] of its own, so that a broadcast is encoded once and copied for
// nobody:
//
//	log := session.NewLog(frame.Broadcast, session.Limits{})
//	c := log.Open()
//	err := c.Resume(open.Received, int(open.Window))        // the peer's OPEN
//	n, err := log.Append(session.Message{Topic: "orders", Payload: b})
//	frames = c.Take(frames[:0], 64<<10)                     // write them to the link
//	err = c.Acked(acked.Number)                             // the peer's ACKED
//
// The receiver's side of a lane is an [Inbox], which drops duplicates, counts losses
// and says when to acknowledge, and an [Assembler] for messages that came in pieces:
//
//	lost, err := in.Start(open.First, open.Message)
//	skip, lost, err := in.Accept(e, session.Cost(len(raw.Payload), e.Count))
//	in.Release(last)               // once the subscribers' queues have the run
//	n, due := in.Ack(now, false)   // an ACKED frame to send
//
// What a leader publishes has a [Reign], which each of its frames says. Whether it is still
// that of the leader is the caller's to judge, after Accept: what is refused is released
// like what is delivered.
//
// Numbers count pieces, because each is acknowledged for itself. Messages are counted
// beside them, so that every loss is told in messages, however many pieces they had.
//
// Three rules make a resumption exact; each cost a prototype messages before it was
// one, and each is a test here:
//
//   - The old link is fenced before the new one's OPEN is sent. A Cursor takes part:
//     frames that an old link's writer may still read are never written again.
//   - The next number to send is the higher of what the peer has received plus 1 and
//     the first one not yet acknowledged, because acknowledgements race with OPEN.
//   - Accept and the delivery that follows it happen under one lock of the caller, in
//     order, before anything that releases the run.
//
// Numbers of a peer are hostile until compared: one that was never sent is
// [ErrNumber], more bytes than the granted window are [ErrWindow], and both end the
// link.
//
// Nothing here may be used by several goroutines at once: a Log with all its cursors
// has one lock, an Inbox with its Assembler another. In the steady state no call
// allocates.
package session
