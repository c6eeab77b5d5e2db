package core

import (
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Kind says what changed.
type Kind uint8

// The kinds of [Change] that core reports.
const (
	AddedNode     Kind = iota + 1 // a member was listed
	RemovedNode                   // a member left or failed: see Change.Cause
	UpdatedNode                   // a member changed its name, addresses or metadata
	SuspectedNode                 // a member gives no sign of life
	NodeAccepted                  // the first ACCEPT between this node and another
	NodeRejected                  // this node refused another, or was refused
	PeerAdded                     // the link with a member came up
	PeerRemoved                   // the link with a member went down
	Connected                     // the first peer
	Disconnected                  // the last peer is gone
	Split                         // a part of the cluster fell silent
	Healed                        // a member from beyond a split returned
)

// String returns the stable name of k, as users subscribe to it.
func (k Kind) String() string {
	names := [...]string{
		AddedNode: "added_node", RemovedNode: "removed_node", UpdatedNode: "updated_node",
		SuspectedNode: "suspected_node", NodeAccepted: "node_accepted", NodeRejected: "node_rejected",
		PeerAdded: "peer_added", PeerRemoved: "peer_removed", Connected: "connected",
		Disconnected: "disconnected", Split: "split", Healed: "healed",
	}
	if k == 0 || int(k) >= len(names) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return names[k]
}

// Cause says why a member was removed.
type Cause uint8

// The causes.
const (
	CauseNone     Cause = iota
	CauseLeft           // it said goodbye
	CauseFailed         // it did not
	CauseExpelled       // the cluster sent it away
)

// String returns the stable name of c; CauseNone has none.
func (c Cause) String() string {
	switch c {
	case CauseLeft:
		return "left"
	case CauseFailed:
		return "failed"
	case CauseExpelled:
		return "expelled"
	case CauseNone:
	}
	return ""
}

// By says which end of a pair acted.
type By uint8

// The ends.
const (
	ByNobody By = iota // the network did
	BySelf
	ByPeer
)

// String returns the stable name of b; ByNobody has none.
func (b By) String() string {
	switch b {
	case BySelf:
		return "self"
	case ByPeer:
		return "peer"
	case ByNobody:
	}
	return ""
}

// Change is a report to the user.
type Change struct {
	Kind Kind
	At   time.Time

	// Member is whom the change is about; none for [Connected], [Disconnected] and
	// [Split]. Of a rejected node only what it claimed is known: its ID, incarnation,
	// name and address.
	Member Member

	// Cause is set with [RemovedNode].
	Cause Cause

	// By, Code and Reason are set with [NodeRejected].
	By     By
	Code   frame.Code
	Reason string

	// Present and Missing are the two sides of a [Split]; this node is present.
	Present, Missing []Member
}

// Rejection is the refusal of a node by this one or of this one by another.
type Rejection struct {
	Peer        ident.NodeID
	Incarnation ident.Incarnation // zero if its HELLO did not come
	Name        string            // claimed; empty if its HELLO did not come
	Addr        string            // where it was reached or came from
	By          By
	Code        frame.Code
	Reason      string
	OnDemand    bool // it was to be a link on demand
}
