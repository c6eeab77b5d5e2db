package session

import "github.com/espial-go/espial/internal/ident"

// Taken returns the last message of which the peer may know anything, pieces not counted: all
// that come after it never left this node.
func (c *Cursor) Taken() ident.Seq {
	if c.closed {
		return c.log.count
	}
	r := &c.log.ring
	for at := r.high; at > c.low; at-- {
		if e := r.at(at - 1); e.first <= c.sent {
			return e.whole + ident.Seq(e.count) - 1 // what is sent in part counts as sent
		}
	}
	return c.Message() - 1
}
