package lease

import (
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// TermMax is the highest term that is accepted from anybody: the last that is exact as a
// JSON number. Messages with a higher one are ignored.
const TermMax = 1<<53 - 1

// Message is what two elections say to each other. It is one of [Rule], [Ask], [Answer],
// [Release], [Reign] and [Promote].
type Message interface{ message() }

// Rule states the electorate. It is the first message on every link, both ways.
type Rule struct {
	Electorate uint64     // [Electorate.Tag]
	Seen       ident.Term // the highest term that the sender saw
	Leads      ident.Term // the term in which it leads, or 0
}

// Kind says what is asked for.
type Kind uint8

// The kinds of an [Ask].
const (
	Poll  Kind = iota // would you grant? Nobody is bound by the answer.
	Claim             // a vote for a new reign
	Renew             // the vote again, by the leader
)

// Ask asks a voter for its vote. To members that have no vote a Renew says who leads.
type Ask struct {
	Kind        Kind
	Electorate  uint64
	Incarnation ident.Incarnation // of the sender
	Number      uint64            // ties the answer to the question
	Term        ident.Term        // 0 in a Poll
	After       ident.Term        // the reign whose leader released the votes to the sender, or 0
}

// Answer answers an [Ask].
type Answer struct {
	Granted     bool
	Electorate  uint64
	Incarnation ident.Incarnation // as in the question
	Number      uint64            // as in the question
	Seen        ident.Term        // the sender grants no claim up to this term
	Clock       uint64            // its clock, in milliseconds since 1970
	Wait        time.Duration     // asking again is of no use before; 0 says nothing
}

// Release gives back the votes of a reign that is over or never began.
type Release struct {
	Term      ident.Term
	Successor ident.NodeID // who may claim first; zero for nobody
}

// Reign says who leads to a member without a vote that may have no link with the leader. It
// is passed on by whom it is news to.
type Reign struct {
	Electorate uint64 // as in [Rule]
	Leader     ident.NodeID
	Term       ident.Term
	Over       bool // the leader ended it, and nobody leads
}

// Promote asks the leader to hand over to Target.
type Promote struct {
	Target ident.NodeID
	Term   ident.Term // of the reign that is to end; 0 for any
}

func (Rule) message()    {}
func (Ask) message()     {}
func (Answer) message()  {}
func (Release) message() {}
func (Reign) message()   {}
func (Promote) message() {}
