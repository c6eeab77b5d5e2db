package gossip

import (
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Actions is what the caller must do. The deliveries of one origin are in the order in
// which they must be made; all else may be done in any order.
type Actions struct {
	Deliveries []Delivery
	Forwards   []Forward
	Digests    []Digest
	Pulls      []Pull
	Greets     []Greet
	Proofs     []Prove
}

// Delivery is a batch for the subscriptions of this node, after what was lost before it.
type Delivery struct {
	Origin      ident.NodeID
	Incarnation ident.Incarnation

	// Lost is how many messages are missing for good between what was delivered before and
	// this batch. A message of which some pieces were delivered, and which the batch does
	// not continue, is one of them.
	Lost uint64

	// Unknown reports that the origin is over and that neighbours knew of more than was
	// delivered or lost. There is no batch then.
	Unknown bool

	// Batch holds what is delivered: all of it but the first Skip numbers, which belong to
	// a message whose beginning is missing. It is the zero Relay where there is only
	// a loss.
	Batch frame.Relay
	Skip  int
}

// Forward is a batch to send to some neighbours. Whose queue is full does not get it:
// nobody waits, and the digest repairs it.
type Forward struct {
	To    []ident.NodeID
	Batch frame.Relay
}

// Digest is what to tell some neighbours about how far this node has come. Unlike a
// forward it must not be dropped as long as the link is up: what does not change is not
// told again.
type Digest struct {
	To    []ident.NodeID
	Marks frame.Marks
}

// Pull is a request to a neighbour. One that gets lost is repeated.
type Pull struct {
	To   ident.NodeID
	Pull frame.Pull
}

// Greet is the first thing to tell a new neighbour. Like a digest it must not be dropped.
type Greet struct {
	To    ident.NodeID
	Greet frame.Greet
}

// Prove is what to tell a neighbour that asked for more than this node has.
type Prove struct {
	To    ident.NodeID
	Proof frame.Proof
}
