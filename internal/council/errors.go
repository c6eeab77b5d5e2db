package council

import (
	"errors"
	"fmt"

	"github.com/espial-go/espial/internal/elect"
	"github.com/espial-go/espial/internal/lease"
)

// Errors of [Council.Open].
var (
	// ErrName reports a name of more than [frame.ElectionMax] bytes.
	ErrName = errors.New("council: the name of an election is too long")

	// ErrElectorate reports a [Mode] in which nobody can be elected: its text says why.
	ErrElectorate = lease.ErrElectorate

	// ErrLease reports a [Mode.Lease] outside 100 ms to 1 min.
	ErrLease = lease.ErrLease

	// ErrMode reports an election that is open in another mode. All parts of a program
	// that use one name must give it the same mode.
	ErrMode = errors.New("council: the election is open in another mode")

	// ErrElections reports more than [ElectionsMax] elections.
	ErrElections = errors.New("council: too many elections")
)

// Errors of [Council.Promote] and [Council.Resign].
var (
	// ErrNotOpen reports an election that is not open at this node.
	ErrNotOpen = errors.New("council: the election is not open")

	// ErrNotMember reports a target that is not a member, does not take part, or is not
	// among the voters.
	ErrNotMember = errors.New("council: not a member that takes part")

	// ErrNotEligible reports a target that cannot lead: it was started ineligible, or its
	// program reports itself unfit. Its own settings change that.
	ErrNotEligible = errors.New("council: not eligible to lead, or unfit")

	// ErrNoLeader reports that this node knows of nobody who could hand over.
	ErrNoLeader = errors.New("council: no leader")

	// ErrNoQuorum is ErrNoLeader where nobody can lead, because less than a majority is
	// listed.
	ErrNoQuorum = fmt.Errorf("%w: less than a majority is there", ErrNoLeader)

	// ErrNotLeader reports that this node has nothing to resign from.
	ErrNotLeader = errors.New("council: this node does not lead")

	// ErrNoSuccessor reports that no other member can lead. A node that shall not lead in
	// any case makes itself unfit or ineligible. It does not occur where a majority
	// votes: there an election may be without a leader.
	ErrNoSuccessor = errors.New("council: no other member can lead")

	// ErrConflict reports that nobody can be elected while the members do not fit the
	// electorate; see [ElectorateConflict].
	ErrConflict = errors.New("council: the members do not fit the electorate")
)

// own returns the error of this package for one of a machine: the caller need not know
// which one runs.
func own(err error) error {
	switch {
	case errors.Is(err, elect.ErrNotMember), errors.Is(err, lease.ErrUnknown):
		return ErrNotMember
	case errors.Is(err, elect.ErrNotEligible), errors.Is(err, lease.ErrIneligible):
		return ErrNotEligible
	case errors.Is(err, elect.ErrNoLeader), errors.Is(err, lease.ErrNoLeader):
		return ErrNoLeader
	case errors.Is(err, lease.ErrNoQuorum):
		return ErrNoQuorum
	case errors.Is(err, elect.ErrNotLeader), errors.Is(err, lease.ErrNotLeader):
		return ErrNotLeader
	case errors.Is(err, elect.ErrNoSuccessor):
		return ErrNoSuccessor
	case errors.Is(err, lease.ErrConflict):
		return ErrConflict
	default:
		return err
	}
}
