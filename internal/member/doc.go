// Package member is the member table: who is in the cluster, what each says about
// itself, who went and how.
//
// The shortest use:
//
//	t, err := member.New(now, member.Config{Record: own, Sign: sign, Rand: r})
//	err = t.LinkUp(now, rec, "seed")  // its own record on a fresh link: it is listed
//	t.Merge(now, from, rec)           // what comes later, of it and of others
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
// # A partial mesh
//
// Where not everybody can have a link with everybody, which [Table.Partial] says, a member
// is listed as soon as a linked member passes its record on, and what is news goes on to all
// the others. Three kinds stay off the list: incarnations that this node refused, those that
// are buried, and those that failed here, until they have signed a higher version. Whoever
// passes on one of the latter two is told: by the goodbye of who left, else by an accusation
// that its subject refutes if it lives. A goodbye is final, so it is kept to be shown; an
// accusation is this node's word, and nobody dies of it alone.
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
// ones, 1,024 pending records, 256 goodbyes, 1,024 refused incarnations and 4,096 each of
// those that are buried and of which others were told.
package member
