// Package rpc decides what becomes of calls between two nodes: which answer belongs to which
// call, what a caller is told whose answer cannot come any more, and how many calls there may be.
// It is two state machines without I/O, one for each end: no goroutine, lock, clock or socket.
//
// A call is named by the number of the message that carried it, which the session gives. The
// session also sees to it that no message comes twice, so that a call is executed at most once.
// What the machines add is the end of each call:
//
//   - A [Caller] holds every call until its answer came or its session ended, also those for
//     which nobody waits any more: the callee may be at work on them. So both ends count alike,
//     and a caller never has more open than the callee takes.
//   - A [Callee] holds what is at work for one caller, so that it can be told to stop.
//
// Whoever waits hears exactly one of: the answer; that the call was not sent, and never will be;
// that it may have been executed. The second is certain, and takes the session's word for what
// left this node; the third is what is left.
package rpc

// CallsMax is how many calls of one node to another may be open at a time.
const CallsMax = 1024
