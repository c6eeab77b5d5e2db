// Package espial turns a Go program into a member of a cluster: one call, no
// server to run, no port to choose.
//
//	n, err := espial.Start(ctx, espial.Config{Cluster: "shop"})
//	if err != nil {
//		return err
//	}
//	defer n.Close()
//	if err := n.WaitFor(ctx, 3); err != nil {
//		return err
//	}
//	err = n.Publish(ctx, "orders.placed", []byte(`{"ID":"7"}`))
//
// Nodes with the same cluster name find each other by multicast or by seeds,
// admit or refuse each other, and keep encrypted links: one for each pair of up to 64
// nodes, and a few for each of more nodes or with [Config.MaxPeers], where members reach
// the others by way of those. A
// [Node] tells who is there ([Node.Members], [Node.Peers], [Node.Changes]) and
// carries events ([Node.Publish], [Node.Subscribe], [Topic]), calls ([Node.Serve],
// [Node.Call], [Method]) and streams ([Node.Listen], [Node.Dial]) between them.
//
// # Guarantees
//
// Events of one sender arrive in the order in which they were published, without
// duplicates, also across a broken connection. What cannot be delivered is
// counted and reported ([LaggedError], [Lagged]), never skipped in silence.
// There is no order between different senders.
//
// A call is executed at most once, and its caller hears whether it was ([ErrNotSent],
// [ErrMaybeExecuted]).
//
// Membership is each node's own judgement. A killed process is removed within
// 200 ms, a machine that fell silent within [Config.RemoveAfter]; a member whose
// link answers is never removed. Members lost to a split return by themselves
// when packets flow again, for the life of the node.
//
// One member leads ([Node.Leader], [Node.Terms]). By default there is always a leader,
// one on each side of a split ([Available]); [Quorum] has at most one at any instant.
//
// Every link is TLS 1.3 with a key of its own, and the ID of a node is the hash
// of its public key. Without a filter ([Config.Admit]) any node that knows the
// name of the cluster may join, and an attacker who can alter traffic on the way
// may pose as a peer to both sides: keys prove "the same key as before", not
// "whom you meant".
//
// The file docs/guarantees.md states every promise with its limits.
//
// # Concurrency
//
// All methods of [Node], [Topic] and [Method] may be called from many goroutines.
// [Node.Changes] and [Node.Subscribe] register when they are called, not when
// they are ranged over; each returned iterator is for one loop. No user code runs
// under a lock, and a slow reader delays nobody else.
package espial
