package elect

import (
	"fmt"

	"github.com/espial-go/espial/internal/ident"
)

// Action is what the caller must do or report. It is one of the value types of this file.
type Action interface{ action() }

// Send asks the caller to send a claim to one member, or to every linked member where To
// is zero. Without a link it is dropped.
type Send struct {
	To    ident.NodeID
	Claim Claim
}

// Ask asks the caller to pass a request to [Election.Promote] on to To, which hands it to
// [Election.Asked]: the leader or, if there is no link with it, everybody else.
type Ask struct {
	To          ident.NodeID
	Target      ident.NodeID
	Incarnation ident.Incarnation // of Target
	Term        ident.Term        // of the reign that is to end; 0 for any
}

// Leader reports that somebody else leads, or the same node under a new term. A zero ID
// says that nobody does, and Term is then the last one.
type Leader struct {
	ID          ident.NodeID
	Incarnation ident.Incarnation // of ID
	Term        ident.Term
	Cause       Cause
}

// Promoted reports that this node leads from now on. The [Leader] of its term came
// before.
type Promoted struct {
	Term ident.Term

	// Token is what the user passes on for fencing: the term. It grows within a
	// component and does not fence across a split.
	Token ident.Term
}

// Demoted reports that this node leads no more. The [Leader] of the next term comes
// after.
type Demoted struct {
	Term  ident.Term
	Cause Cause
}

// Renewed reports that this node leads on under a new term, because it met another
// leader and won: the old term ends, and there is neither promotion nor demotion. The
// [Leader] of the new term came before.
type Renewed struct{ Old, New ident.Term }

func (Send) action()     {}
func (Ask) action()      {}
func (Leader) action()   {}
func (Promoted) action() {}
func (Demoted) action()  {}
func (Renewed) action()  {}

// Cause says why the leader changed, as far as this node can tell.
type Cause uint8

// The causes of a change of leader.
const (
	Elected Cause = iota + 1 // the leader before was gone, or there was none
	Handed                   // it was handed over, by Promote or Resign
	Merged                   // two leaders met
	Joined                   // this node learnt of a leader that was there before
	Gone                     // the leader is not a member any more
	Unfit                    // the leader is not eligible any more, or unfit
)

// String returns the cause as a word in lower case.
func (c Cause) String() string {
	switch c {
	case Elected:
		return "elected"
	case Handed:
		return "handed"
	case Merged:
		return "merged"
	case Joined:
		return "joined"
	case Gone:
		return "gone"
	case Unfit:
		return "unfit"
	default:
		return fmt.Sprintf("cause %d", uint8(c))
	}
}
