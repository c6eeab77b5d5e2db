package lease

import "github.com/espial-go/espial/internal/ident"

// Action is what the caller must do or tell. It is one of the value types of this file.
type Action interface{ action() }

// Send asks the caller to send Message to the member To. If there is no link with it the
// message is lost, which is no harm.
type Send struct {
	To      ident.NodeID
	Message Message
}

// Leader reports who leads from now on, as this node knows it. The zero ID means that it
// knows of nobody; Term is then that of the reign that is over. Terms never fall.
type Leader struct {
	ID   ident.NodeID
	Term ident.Term
}

// Promoted reports that this node leads, in Term, which is also its token. A [Leader] that
// says the same comes before it, and a [Demoted] after it.
type Promoted struct{ Term ident.Term }

// Demoted reports that this node leads no more. [Election.Leading] has said so at least as
// early. A [Leader] follows.
type Demoted struct {
	Term  ident.Term
	Cause Cause
}

// QuorumLost reports that less than a majority of the electorate is listed, where there
// was a majority before. No new leader can be found until it is back.
type QuorumLost struct {
	Have int // listed voters, this node included
	Need int // the majority
}

// Conflict reports that the members do not fit the electorate, or not in the same way as
// before, and have not for a lease: a member that restarts under a new key is listed twice
// for a moment. Meanwhile no new lease is granted.
type Conflict struct {
	// Surplus names the youngest of more than n eligible members, and the members that
	// state another electorate, by ascending ID. It is empty when the conflict is over.
	Surplus []ident.NodeID
}

// Keep asks the caller to write on disk that no new term is up to Term, to go on trying
// until it succeeds or a later Keep asks for more, and to say so with [Election.Kept]. It
// comes only with [Config.Durable], and nothing waits for it: there is half an hour.
type Keep struct{ Term ident.Term }

func (Send) action()       {}
func (Leader) action()     {}
func (Promoted) action()   {}
func (Demoted) action()    {}
func (QuorumLost) action() {}
func (Conflict) action()   {}
func (Keep) action()       {}

// Cause says why a reign ended.
type Cause string

// The causes of a [Demoted].
const (
	CauseExpired    Cause = "expired"    // the lease ran out: no majority renewed it
	CausePromote    Cause = "promote"    // handed over to the member of a Promote
	CauseResign     Cause = "resign"     // Resign
	CauseIneligible Cause = "ineligible" // the node is not eligible any more
	CauseUnfit      Cause = "unfit"      // the application reported itself unfit
	CauseConflict   Cause = "conflict"   // in a conflict, somebody else leads in a higher term
)
