package elect

import "github.com/espial-go/espial/internal/ident"

// Leader returns who leads in the eyes of this node, and under which term. It reports
// false where nobody does.
func (e *Election) Leader() (ident.NodeID, ident.Term, bool) {
	if !e.following {
		return ident.NodeID{}, 0, false
	}
	return e.held.Leader, e.held.Term, true
}
