package council

import (
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Action is what the caller must do or tell. It is one of the value types of this file.
type Action interface{ action() }

// Send asks the caller to send Frame to the member To, or to every linked member where To
// is zero. Without a link it is dropped, which is no harm.
type Send struct {
	To    ident.NodeID
	Frame frame.Frame
}

// Hold says whether this node leads. It comes before the [Report] of a promotion and of a
// demotion, whenever a lease is renewed, and when a leader goes on under a new term.
type Hold struct {
	Election string

	// Term is the one in which this node leads, or 0: it does not lead.
	Term ident.Term

	// Until is when the lease runs out unless a later Hold of the same term says
	// otherwise; from that instant on the node does not lead, whatever it was told. It is
	// zero in the Available mode, where a term ends by the next Hold only.
	Until time.Time
}

// Keep asks the caller to write Mark on disk as that of an election, in the place of an
// earlier one, to go on trying until it succeeds or a later Keep comes, and to say so with
// [Council.Kept]. Where a majority votes, nothing else need wait for it: a node whose disk
// takes nothing gives no vote, sooner or later. In the Available mode it comes before the
// reign of Mark is told, and is the better for being carried out first.
type Keep struct {
	Election string
	Mark     Mark
}

// Report tells the user what happened in an election. Which fields are set depends on the
// kind.
type Report struct {
	Election string
	Kind     Kind

	// Leader is who leads, zero for nobody: with NewLeader, and with Promotion and
	// Demotion, where it is this node.
	Leader ident.NodeID

	// Term is that of Leader; where nobody leads it is the last one.
	Term ident.Term

	// Token is what a user passes on for fencing: with Promotion, the term.
	Token ident.Term

	// Cause is one word in lower case that says why, where it is known: with NewLeader,
	// Promotion and Demotion.
	Cause string

	// Surplus is, with ElectorateConflict, the members that do not fit the electorate,
	// by ascending ID. It is empty when the conflict is over.
	Surplus []ident.NodeID

	// Have and Need are, with QuorumLost, the voters that are listed, this node
	// included, and the majority.
	Have, Need int
}

func (Send) action()   {}
func (Hold) action()   {}
func (Keep) action()   {}
func (Report) action() {}

// Kind says what a [Report] is about.
type Kind uint8

// The kinds of a [Report].
const (
	NewLeader          Kind = iota + 1 // somebody else leads, or in a new term, or nobody does
	Promotion                          // this node leads from now on
	Demotion                           // this node leads no more
	ElectorateConflict                 // members do not fit the electorate or the mode
	QuorumLost                         // less than a majority is listed, after there was one
)

// String returns the kind as the name of a change has it, without a prefix.
func (k Kind) String() string {
	switch k {
	case NewLeader:
		return "new_leader"
	case Promotion:
		return "promotion"
	case Demotion:
		return "demotion"
	case ElectorateConflict:
		return "electorate_conflict"
	case QuorumLost:
		return "quorum_lost"
	default:
		return fmt.Sprintf("kind %d", uint8(k))
	}
}
