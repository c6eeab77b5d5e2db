// Package member is the member table: who is in the cluster, what each says about
// itself, who went and how.
//
// The shortest use:
//
//	t, err := member.New(now, member.Config{Record: own, Sign: sign, Rand: r})
//	err = t.LinkUp(now, rec, "seed")  // its own record on a fresh link: it is listed
//	t.Merge(rec)                      // what comes later, of it and of others
//	t.Dead(now, id, true)             // what the failure detector found
//	for _, a := range t.Take() { … }  // after every call: carry the actions out
//	at, ok := t.Next()                // and wake up for Tick at that time
//
// # What the table believes
//
// Every record is signed by its subject; the caller has verified it. Versions order the
// records of one incarnation: the higher one wins. Incarnations are random and have no
// order, so a direct link decides: its handshake proves which one runs now. A member is
// therefore listed when the first link with it is up and its record came over it, and
// never on the word of others; what they pass on about an unknown node only makes the
// caller dial it. So nothing is shown that this node's own filter has not admitted.
//
// A member that is replaced by another incarnation, left or was expelled is buried: that
// incarnation never returns. A member that failed may: it is remembered with its
// addresses for as long as this node runs, and is added again when a link proves it.
//
// # Order
//
// Changes come in the order in which they make sense: [Added], [PeerAdded], [Connected],
// then [Healed]; and at the other end [PeerRemoved], [Disconnected], [Removed], then
// [Split]. Added and Removed alternate for each incarnation of a node.
//
// # Convergence
//
// Two nodes exchange all records when their link comes up. One second and two seconds
// after a node has found its first peer, and about every five seconds always, it sends a
// random peer the hash of its table; if the two differ, both send their records again.
//
// The package is pure: no goroutine, lock, clock, socket or global randomness. A [Table]
// must be used by one goroutine. Its memory is bounded: the listed members, 1,024 lost
// ones, 1,024 pending records and 4,096 buried incarnations.
package member
