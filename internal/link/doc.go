// Package link is one encrypted connection between two nodes: TLS 1.3 over any
// [net.Conn], admission over that, and then frames both ways.
//
//	c, err := link.Handshake(ctx, nc, link.Dialer, identity)
//	up, err := c.Admit(ctx, ...)  // who is that, and do both ends want this link?
//	err = c.Run(ctx, handler)     // until the link ends
//
// While it runs, a reader and a writer goroutine move bytes. The reader hands over
// all frames of one read and never waits for anything else. The writer sends control
// frames first, then what [Handler.Fill] gives, and flushes when there is no more: a
// busy link fills whole packets, an idle one sends at once.
//
// The node ID of the peer is known when [Handshake] returned: only then did the peer
// prove that it holds the key. Nothing is decided before.
package link
