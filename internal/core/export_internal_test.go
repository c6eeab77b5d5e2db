package core

// Grants returns how many yeses of the arbiter are remembered.
func (c *Core) Grants() int { return len(c.grants) }
