package elect

import "errors"

// Errors of [Election.Promote] and [Election.Resign]. They are returned wrapped, with the
// ID of the member where there is one.
var (
	// ErrNotMember reports a target that is not in the view.
	ErrNotMember = errors.New("elect: not a member")

	// ErrNotEligible reports a target that cannot lead: it was started ineligible, or
	// its program reports itself unfit. Its own settings change that.
	ErrNotEligible = errors.New("elect: not eligible to lead, or unfit")

	// ErrNoLeader reports that nobody leads who could hand over.
	ErrNoLeader = errors.New("elect: no leader")

	// ErrNotLeader reports that this node has nothing to resign from.
	ErrNotLeader = errors.New("elect: this node does not lead")

	// ErrNoSuccessor reports that no other member can lead. A node that shall not lead
	// in any case reports itself unfit or ineligible.
	ErrNoSuccessor = errors.New("elect: no other member can lead")
)
