package core

// Grants returns how many yeses of the arbiter are remembered.
func (c *Core) Grants() int { return len(c.grants) }

// Reached returns of how many nodes it is remembered where they were linked last.
func (c *Core) Reached() int { return len(c.reached) }
