// Package gossip carries broadcasts to members that have no link with their origin: it
// decides which batch is delivered, kept, passed on, asked for, and given up. It is a state
// machine without I/O: no goroutine, lock, clock or socket.
//
// A batch is a [frame.Relay]: what an origin flushed at once, numbered and signed by it.
// The shortest use:
//
//	r := gossip.New(now, gossip.Config{Self: id, Incarnation: inc})
//	r.View(now, graph)                // who is a member, and who keeps links with whom
//	r.LinkUp(now, peer)
//	r.Publish(now, batch)             // what this node flushed
//	if r.Wants(now, peer, &batch) {   // what came: verify the signature only if it is news
//		r.Receive(now, peer, batch.Clone())
//	}
//	acts := r.Take()                  // after every call: carry the actions out
//	at, ok := r.Next()                // and wake up for Tick at that time
//
// MARKS, PULL, GREET and PROOF go to [Router.Marked], [Router.Pulled], [Router.Greeted] and
// [Router.Proved].
//
// # Order and losses
//
// The numbers of an origin are those of its broadcast lane, so they are the same at every
// receiver. For each origin the router knows the highest number up to which nothing is
// missing, and how many messages that is. A batch that goes on there is delivered; one that
// comes earlier is held, within a quarter of the store; whatever is there already is
// dropped. A message in pieces is one message, and it is lost as a whole.
//
// A loss is told only on a signed proof that there was something: a batch from behind
// the gap, or, if nobody keeps one, what is left of the origin's last one. Its signature
// covers the numbers of its first and last message, so the count is exact: all messages
// between, pieces not counted. What neighbours merely say makes a node ask, never skip.
//
// # The tree
//
// Every batch that is news goes on at once, whatever is missing before it, to the children
// of this node in the origin's tree, and never back to where it came from. The tree is
// derived from the graph alone (graph.go), so it needs no messages, no warm-up and no state
// at others; a node keeps its own children of it, no more. Each node acts on its own view
// and takes batches from anybody: views that disagree for a while cost duplicates and
// delay, not deliveries. A neighbour whose link the graph does not have gets everything,
// because it sees other members and may take this node for its parent.
//
// A tree serves while the graph is the one that it was derived from, and until it is a
// second old if not; closed links are passed over at once. At most 256 origins have a tree,
// and at most 5 % of a core goes into deriving them; all other batches flood the
// neighbours.
//
// # Repair
//
// Forwarding never waits: a full queue drops the batch. Every 100 ms at most a node tells
// its neighbours how far it came with each origin of which there is news. Who is behind
// asks, in this order:
//
//	20 ms            after it hears of something: it may be on its way
//	RTT ×3, ≥ 50 ms  without an answer: another neighbour that has it is asked
//	at once          when a neighbour says that it does not have it any more
//	2 s              without a neighbour that has it: it is given up
//	at once          when every neighbour has given it up
//	300 ms           after a step forward at the earliest, the next gap
//
// What a neighbour may ask in a second is bounded. Batches are kept for a minute, within 16
// MiB, of which one origin has a quarter. What a member published is repaired for a minute
// after it went, too; then its numbers are all that is left, for its return.
//
// # Where a node begins
//
// A newcomer begins with each origin where that was when it was accepted. Neighbours tell
// it: it says how long ago its first link came up, and they say how far they were then.
// Of an origin that is heard of later, each neighbour says where it began itself. A new link
// with the origin counts as such only if the origin, when greeted, does not know better. A member
// that was silent for long begins with the first batch that it signed.
//
// # A link with the origin
//
// What an origin sends over its own link needs no signature, and while it has a link with
// every member it makes none. Nothing of that comes here as long as nothing is known of the
// origin. [Router.Begin] says how far the link had come when it changes, and [Router.Direct]
// takes what comes without a signature from then on, so that there is one judge of the
// numbers. When the origin begins to sign, it also signs what some may have missed: who has
// that already keeps it for others, and passes it on.
//
// # Hostile input
//
// Signatures are the caller's to verify, and nothing here trusts what has none: absurd
// marks cost a request now and then, never a number; pulls for everything end at
// a neighbour's credit; origins that are no members are remembered up to a limit, and
// cannot have anything delivered. An origin that signs two batches with the same numbers
// harms its own messages only. Work for one input is bounded by the input, by the members,
// or by the budgets of this package.
//
// The package is pure. In the steady state no call allocates. A [Router] must be used by
// one goroutine at a time.
package gossip
