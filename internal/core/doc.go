// Package core composes the machines of the control path: the member table, the
// failure detector, the overlay and the dial schedule. What one of them decides is another one's
// input, and core carries it there.
//
// The caller owns the links. It tells a [Core] what happens, in typed methods that
// take the time, and after each of them carries out what [Core.Take] returns, in
// order; [Core.Next] says when to call [Core.Tick] if nothing happens before:
//
//	c, err := core.New(now, core.Config{Self: id, Record: rec, Sign: sign, Rand: r})
//	c.LinkUp(now, core.Link{ID: 1, Peer: peer, ...})
//	for _, a := range c.Take() {
//		switch a := a.(type) {
//		case core.Send:      // write a.Frame to a.Link
//		case core.CloseLink: // say BYE on a.Link and close it
//		case core.Dial:      // dial a.Addr, then DialDone
//		case core.Change:    // tell the user
//		case core.View:      // publish it to the data path
//		}
//	}
//
// # The life of a link
//
// Of the two ends of a connection the one with the lower node ID is the arbiter. Once
// its policy admits the peer it asks [Core.Arbitrate] whether this connection is to be
// the one link of the pair. When the arbiter has sent its ACCEPT, and the other end
// received it, each calls [Core.LinkUp]. Core then sends the own record; the peer is
// listed when its record came over the link, which [Core.Learn] takes after the caller
// verified it. One that this node has lost in the same incarnation has to answer some
// probes before, so that a link that loses much does not bring it back for moments. A link
// ends once, with [Core.LinkDown], whoever closed it: also after a [CloseLink].
//
// # The mesh
//
// While everybody can be linked with everybody, and so is, the mesh is complete. Else it is
// partial: package overlay says which links there are, both ends of a connection ask whether
// there is room for it (the arbiter with [Core.Arbitrate], the other end with [Core.Admit]),
// members are listed by their records, what is news is passed on to all peers, and so are
// suspicions, which carry a signature then. Which of the two it is follows from the records
// of the members alone.
//
// In a partial mesh two members without a link that have something to say to
// each other get a link on demand: [Core.Need] asks for it, and [Core.Used] keeps it. It makes
// nobody a peer.
//
// # Order
//
// Reports come in the order in which they make sense: peer_added follows added_node,
// connected follows peer_added, peer_removed and disconnected precede removed_node,
// suspected_node precedes removed_node. A View follows the changes that made it.
//
// The package is pure: no goroutine, lock, clock or socket. A Core belongs to one
// goroutine. One input in one state gives one output.
package core
