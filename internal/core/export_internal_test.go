package core

import (
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Grants returns how many yeses of the arbiter are remembered.
func (c *Core) Grants() int { return len(c.grants) }

// Speak replaces the schemes that the node speaks.
func (c *Core) Speak(schemes ...string) { c.schemes = schemes }

// Reached returns of how many nodes it is remembered where they were linked last.
func (c *Core) Reached() int { return len(c.reached) }

// Home returns where a node was linked, as far as that is known.
func (c *Core) Home(id ident.NodeID) string { return c.reached[id] }

// Dialable returns which addresses of another node may be dialled.
func (c *Core) Dialable(addrs []frame.Addr) []string { return c.dialable(addrs) }
