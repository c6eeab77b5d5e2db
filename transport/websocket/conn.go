package websocket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/coder/websocket"
)

// place is an address with its scheme. Its IP address and port are zero where nobody knows
// them, as of the far end of a dial, which may be a proxy's.
type place struct {
	text    string
	network string
	ip      netip.AddrPort
}

func (p place) Network() string { return p.network }
func (p place) String() string  { return p.text }

// AddrPort returns the IP address and the port.
func (p place) AddrPort() netip.AddrPort { return p.ip }

// conn is a connection of WebSocket as bytes: each write is a binary message.
type conn struct {
	net.Conn // the bytes, of the library

	ws        *websocket.Conn
	near, far place
	closed    atomic.Bool
}

// newConn returns a connection that outlives ctx, which is a request's or a dial's.
func newConn(ctx context.Context, ws *websocket.Conn, near, far place) *conn {
	return &conn{
		Conn: websocket.NetConn(context.WithoutCancel(ctx), ws, websocket.MessageBinary),
		ws:   ws, near: near, far: far,
	}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.told(err)
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.told(err)
}

// told returns an error as those of net have it. A deadline that passes while somebody reads
// or writes ends the connection, which a link never outlives.
func (c *conn) told(err error) error {
	switch {
	case err == nil:
		return nil
	case c.closed.Load():
		return net.ErrClosed
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("websocket: %w", os.ErrDeadlineExceeded)
	}
	return err
}

// Close closes the connection at once: a link has said goodbye before, and a farewell of
// WebSocket would be waited for.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	return c.ws.CloseNow()
}

func (c *conn) LocalAddr() net.Addr  { return c.near }
func (c *conn) RemoteAddr() net.Addr { return c.far }
