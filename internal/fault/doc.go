// Package fault is the failure detector: it decides which members are suspect and
// which are dead. It is SWIM with Lifeguard (Das et al. 2002; Dadgar et al. 2017) over
// links instead of datagrams, with the closing of links as further evidence.
//
// The shortest use:
//
//	d := fault.New(fault.Config{Self: id, Incarnation: inc}, r)
//	d.Add(now, peer, itsIncarnation)
//	d.LinkUp(now, peer)
//	for _, a := range d.Take() { … } // after every call: carry the actions out
//	at, ok := d.Next()               // and wake up for Tick at that time
//
// # Evidence
//
// A member lives as long as there is evidence of it: a frame of its own on a link, an
// answer to a helper that probed it on request, or a newer record with its signature.
// What others merely say is no evidence; one liar changes nothing. The silence of a
// member runs from its last evidence:
//
//	0.5 × SuspectAfter   a probe on its link, if there is one, repeated while it is silent
//	0.6 × SuspectAfter   up to three helpers are asked to probe it, others in each round
//	0.9 × SuspectAfter   suspect: everybody is told, the member itself included
//	0.9 × RemoveAfter    dead
//
// A tenth is kept back, so that "within" holds for who is told of it.
//
// # The quick way
//
// The kernel of a machine answers for a process that is gone. When the link of a member
// closed and a redial is refused, the member is suspect at once. It is dead at once when
// another member found the same, or when nobody else is left to look. If others look and
// do not agree, silence decides as above.
//
// # The way back
//
// A link that loses most of what it is given comes up now and then. So a member that was dead
// is on trial while its link is up again: probes go over it, each when the last one was acked,
// and it has passed when eight acks in a row took about as long as the quickest of them. A
// packet that is lost on the way takes longer by the time-out of TCP.
//
// # Health of this node
//
// A node that was paused or starved hears nobody and must not conclude that nobody is
// there. A Tick more than a quarter of SuspectAfter late says so: every silence starts
// again at that moment. It also raises the score, as does being suspected by others and
// being left without an answer by helpers that are heard; the score multiplies the
// time-outs, and probes that are answered lower it. A node that ran on time and hears
// nobody at all is cut off: the score does not delay its conclusion.
//
// # Who is watched by others
//
// Every member is watched, which suits a full mesh of up to 64 members. In a larger cluster
// [Detector.Watch] names a few, and the others are judged by what their watchers say, which
// everybody passes on. A suspicion is a probe over all ways at once, and the answer is a
// record with a higher version:
//
//	0.05 × SuspectAfter                  without an answer: suspect
//	0.9 × (RemoveAfter − SuspectAfter)   dead
//	two watchers were refused            dead at once
//
// One liar makes everybody wait for an answer, which comes. Only silence that outlasts the
// wait, or a second watcher, removes anybody. A node that hears nobody at all does not hear
// of the others either: its far members are suspect and dead with those that it watches.
//
// Of two watchers and a member that only one can reach, the other one hears its suspicions
// refuted again and again. Each time it waits twice as long, up to a minute, until it has a
// link; what the others say of that member decides meanwhile.
//
// A member that is watched costs a few hundred bytes and, while its link is idle, two to
// three probes a SuspectAfter; another one costs the bytes.
//
// The package is pure: no goroutine, lock, clock, socket or global randomness. A
// [Detector] must be used by one goroutine.
package fault
