package council

import "github.com/espial-go/espial/internal/ident"

// IsAvailable reports whether m is the Available mode.
func (m Mode) IsAvailable() bool { return m.available() }

// Remembers reports whether a member has said that it takes part in an election.
func (c *Council) Remembers(id ident.NodeID, name string) bool {
	p := c.index[id]
	return p != nil && p.said[name] != nil
}
