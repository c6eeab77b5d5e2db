package council

import (
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// machine is an election of either kind.
type machine interface {
	// view takes those that take part, this node included, and who of them states a
	// machine of the other kind, by ascending ID.
	view(now time.Time, members []Member, foreign []ident.NodeID)

	// greet says to a member what a link begins with.
	greet(now time.Time, id ident.NodeID)

	// receive takes a frame that a machine of the same kind sent.
	receive(now time.Time, from ident.NodeID, f frame.Frame)

	promote(now time.Time, target ident.NodeID) error
	resign(now time.Time) error
	setEligible(now time.Time, eligible bool)
	setFit(now time.Time, fit bool)
	setWall(now, wall time.Time)
	kept(now time.Time, m Mark)
	tick(now time.Time)
	next() (time.Time, bool)

	// take returns the actions since the last take.
	take() []Action
}

// disk is what a machine knows of the disk at its start.
type disk struct {
	durable bool // there is one
	mark    Mark
}

// subject returns the election that f is about, and whether it is a frame of a majority
// lease. It reports false if f is not about an election.
func subject(f frame.Frame) (name string, leased, ok bool) {
	switch f := f.(type) {
	case frame.Lead:
		return f.Election, false, true
	case frame.Promote:
		return f.Election, false, true
	case frame.LeaseRule:
		return f.Election, true, true
	case frame.LeaseAsk:
		return f.Election, true, true
	case frame.LeaseAnswer:
		return f.Election, true, true
	case frame.LeaseReign:
		return f.Election, true, true
	case frame.LeaseRelease:
		return f.Election, true, true
	case frame.LeasePromote:
		return f.Election, true, true
	default:
		return "", false, false
	}
}
