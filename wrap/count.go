package wrap

import (
	"net"
	"sync/atomic"

	"github.com/espial-go/espial"
)

// Counter counts streams and their bytes. The zero value is ready; it may be given to
// [Count] more than once, by several nodes, and read at any time.
type Counter struct {
	sent, received, opened atomic.Uint64
	open                   atomic.Int64
}

// Sent returns how many bytes were written.
func (c *Counter) Sent() uint64 { return c.sent.Load() }

// Received returns how many bytes were read.
func (c *Counter) Received() uint64 { return c.received.Load() }

// Opened returns how many streams there were.
func (c *Counter) Opened() uint64 { return c.opened.Load() }

// Open returns how many streams were not closed yet by this node.
func (c *Counter) Open() int { return int(c.open.Load()) }

// Count counts in c what passes each stream.
func Count(c *Counter) Func {
	return func(nc net.Conn, _ espial.StreamInfo) (net.Conn, error) {
		c.opened.Add(1)
		c.open.Add(1)
		return &counted{conn: conn{nc}, counter: c}, nil
	}
}

// counted is a connection whose bytes are counted.
type counted struct {
	conn
	counter *Counter
	closed  atomic.Bool
}

// Read implements [net.Conn].
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.counter.received.Add(uint64(n))
	return n, err
}

// Write implements [net.Conn].
func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.counter.sent.Add(uint64(n))
	return n, err
}

// Close implements [net.Conn].
func (c *counted) Close() error {
	if !c.closed.Swap(true) {
		c.counter.open.Add(-1)
	}
	return c.Conn.Close()
}
