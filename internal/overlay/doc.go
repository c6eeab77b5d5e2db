// Package overlay decides which links a node keeps.
//
// In a small cluster everybody is linked with everybody. Above [Config.FullMeshMax]
// members, or where a node may not have so many links, a node is linked with its
// neighbours on up to four rings. Ring i has the members in the order of bytes 8i to 8i+7
// of their IDs. IDs are hashes, so the rings have nothing to do with each other: a node
// has eight neighbours at random, ten thousand nodes are six links apart, and everybody
// who knows the members knows all links without a word.
//
// The shortest use, by the one goroutine that owns the Keeper:
//
//	k := overlay.New(overlay.Config{Self: id, MaxPeers: 5})
//	k.View(overlay.NewView(members))
//	for _, a := range k.Tick(now) {
//		switch a := a.(type) {
//		case overlay.Dial:  // reach a.ID, then k.Up or k.Failed
//		case overlay.Close: // close the link with a.ID
//		}
//	}
//	if k.Admit(now, peer) { ... } // before this end accepts a link, whoever dialled
//	at, ok := k.Next()            // when to call Tick again, unless an input comes before
//
// # What a node wants
//
//	rank       who                                              gives way
//	ring 0     successor and predecessor, which connect all     never
//	pinned     whom the user named                              to ring 0
//	newcomer   who is no member yet                             to those above
//	rings 1-3  successor and predecessor on each                likewise, the last ring first
//	mesh       everybody, up to FullMeshMax members             likewise
//	filling    further successors on ring 0, up to MinPeers     likewise
//	guest      who wants this node and is not wanted by it      to all that this node wants
//	surplus    what this node dialled and does not want now     to all
//
// A record states on how many rings its node is, because each ring needs two links: see
// [Rings]. An edge exists where both ends are on the ring. It states besides how many links
// the node takes at most: in a full mesh one that takes fewer has its neighbours alone.
//
// What a node wants itself is never more than MaxPeers. What others want of it is
// accepted while there is room. At MaxPeers a link that this node wants is accepted all
// the same, and when it is up the one gives way that ranks last, the youngest of those.
// Both ends of an edge of a ring want it, but where pinned peers take the room of rings 1
// to 3; so the edges come up in the end whatever stood in their way, and ring 0 alone
// connects all.
//
// A newcomer is worth a moment without a neighbour, else a cluster whose nodes all have as
// many links as they may would take nobody in. As soon as it is a member it is a guest at
// most, and whose place it had returns. A node that is on ring 0 alone, with two links,
// gives one of them for that, to one newcomer at a time.
//
// # Repair
//
// A neighbour whose link breaks or cannot be had is passed over at once: the next one on
// the ring is wanted in its place, and so on until one answers. Nobody waits for the view
// to say who is dead. Who is passed over is tried again, at once after a link that broke
// and else after [RetryMin] to [RetryMax], until it is linked or the view drops it; one
// that knocks is not passed over any more. When it is back, who stood in for it is surplus.
//
// Surplus links are closed by the end that dialled them when they were surplus for
// [Linger]. The other end cannot know what a link was dialled for; should it want the link
// after all, it dials.
//
// # A full mesh that outgrows its limit
//
// The links of a full mesh stay until there are an eighth more members than it may have,
// so a cluster that comes and goes around the limit moves only the links of who comes and
// goes.
//
// # What follows from the view alone
//
// [View.Graph] is the whole overlay as a value, for broadcast trees. [Keeper.Watchers]
// says who probes a member and confirms what others find: at least three. All nodes with
// one view agree on both; what passing over and filling up change is each node's own
// matter.
//
// # Links on demand
//
// [Demand] is the table of links with members that are no peers. They have a budget of
// their own and close when they are idle.
//
// The package is pure: no goroutine, lock, clock, socket or randomness. A [Keeper] belongs
// to one goroutine; a [View] and a [Graph] never change and may be shared.
package overlay
