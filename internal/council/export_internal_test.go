package council

import "github.com/espial-go/espial/internal/ident"

// IsAvailable reports whether m is the Available mode.
func (m Mode) IsAvailable() bool { return m.available() }

// Remembers reports whether a member has said that it takes part in an election.
func (c *Council) Remembers(id ident.NodeID, name string) bool {
	p := c.index[id]
	return p != nil && p.said[name] != nil
}

// Leader returns who leads an election, as this node knows it. It reports false where
// nobody does and where the election is not open. Whether this node itself leads at an
// instant is up to the last [Hold].
func (c *Council) Leader(name string) (Reign, bool) {
	e, err := c.election(name)
	if err != nil || e.reign.ID.IsZero() {
		return Reign{}, false
	}
	return e.reign, true
}
