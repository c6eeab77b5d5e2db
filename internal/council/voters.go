package council

import (
	"slices"

	"github.com/espial-go/espial/internal/ident"
)

// surplusMax is how many times the quorum the eligible members may be so that they are still
// named by [Council.Voters]. More of them is a conflict in which nobody is elected, and a
// large cluster would link all with all for it.
const surplusMax = 2

// Voters returns the members that vote with this node, ascending: without links with them
// no majority comes about. They are the same until an input changes them, and must not be
// written. A node without a vote has none, nor has the Available mode.
func (c *Council) Voters() []ident.NodeID { return c.voters }

// count finds out who votes with this node.
func (c *Council) count() {
	var all []ident.NodeID
	for _, e := range c.elections {
		all = append(all, c.votersOf(e)...)
	}
	slices.SortFunc(all, ident.NodeID.Compare)
	if all = slices.Compact(all); !slices.Equal(all, c.voters) {
		c.voters = all
	}
}

// votersOf returns the members that vote with this node in one election.
func (c *Council) votersOf(e *election) (voters []ident.NodeID) {
	if e.mode.available() {
		return nil
	}
	if e.mode.Voters != nil {
		if slices.Contains(e.mode.Voters, c.me.ID) {
			for _, id := range e.mode.Voters {
				if c.index[id] != nil {
					voters = append(voters, id)
				}
			}
		}
		return voters
	}
	if !e.eligible(c.me) {
		return nil
	}
	for _, p := range c.peers {
		if p.Eligible && (e.name == "" || p.said[e.name] != nil) {
			voters = append(voters, p.ID)
		}
	}
	if len(voters) >= surplusMax*e.mode.Quorum {
		return nil
	}
	return voters
}
