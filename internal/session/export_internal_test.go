package session

import "github.com/espial-go/espial/internal/ident"

// Done returns the highest number that needs no more care: all up to it were
// acknowledged or given up.
func (c *Cursor) Done() ident.Seq { return c.done }

// InDoubt returns the first and the last number that were handed out by
// [Cursor.Take] and not acknowledged: the peer may have them or not. There is none if
// from > to. What follows up to the log's end was never sent.
func (c *Cursor) InDoubt() (from, to ident.Seq) { return c.done + 1, c.sent }

// Next returns the number that the next message or piece gets; the first is 1.
func (l *Log) Next() ident.Seq { return l.next }

// Held returns how much was accepted and not released, in bytes as [Cost] counts.
func (i *Inbox) Held() int { return i.held }
