package elect

import (
	"cmp"

	"github.com/espial-go/espial/internal/ident"
)

// TermMax is the highest term: exact as a JSON number. Claims above it are ignored.
const TermMax ident.Term = 1 << 53

// Seat orders the leaders that meet: the join number and the ID of the member that was
// elected. Who is handed the leadership takes the seat over.
type Seat struct {
	Join uint64 // 0 is not known yet, which sorts last
	ID   ident.NodeID
}

// Compare returns -1, 0 or +1 as s sorts before, with or after o. The lower seat wins.
func (s Seat) Compare(o Seat) int {
	return cmp.Or(ident.CompareJoins(s.Join, o.Join), s.ID.Compare(o.ID))
}

// Reign is the time of one leader under one term.
type Reign struct {
	Leader      ident.NodeID
	Incarnation ident.Incarnation
	Seat        Seat
	Term        ident.Term
}

// is reports whether r and o are one reign. The seat is not looked at: its join number
// may have become known since.
func (r Reign) is(o Reign) bool {
	return r.Leader == o.Leader && r.Incarnation == o.Incarnation && r.Term == o.Term
}

// beats reports whether r goes on when it meets o. It is a strict total order.
func (r Reign) beats(o Reign) bool {
	return cmp.Or(
		r.Seat.Compare(o.Seat),
		cmp.Compare(o.Term, r.Term),
		r.Leader.Compare(o.Leader),
		cmp.Compare(r.Incarnation, o.Incarnation),
	) < 0
}

// Claim is what a node says about who leads. The zero Claim is the one of a node that
// knows nothing.
type Claim struct {
	// Reign is the one that the sender follows; zero where it follows none.
	Reign Reign

	// Last is the term of the last reign that the sender followed.
	Last ident.Term

	// Waiting says that somebody, the sender or who told it, cannot follow Reign before
	// its term is above Last; or, where Reign is zero, that the sender has heard of a
	// leader that it does not list yet.
	Waiting bool

	// Unfit says that the sender cannot lead: it is not eligible, or unfit.
	Unfit bool

	// Resigned says that the sender leads only if nobody else can.
	Resigned bool

	// Calling says that the sender misses a leader and has waited long enough.
	Calling bool

	// Over says that the leader of Reign ended it: the sender follows nobody, and whoever
	// follows Reign must not either.
	Over bool

	// Again says that the receiver said something else last, as far as the sender knows.
	// If it does not, it answers with its own claim.
	Again bool
}

// plain returns what c says about whom the sender follows.
func (c Claim) plain() Claim {
	if c.Over {
		c.Reign, c.Over = Reign{}, false
	}
	return c
}

// agrees reports whether c and o need not be said again to each other's senders.
func (c Claim) agrees(o Claim) bool {
	c, o = c.plain(), o.plain()
	return c.Reign.is(o.Reign) && !c.Waiting && !o.Waiting
}
