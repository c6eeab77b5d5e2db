package memnet

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// conn is one end of a connection: a [net.Conn] with CloseWrite. The package comment says
// how it ends.
type conn struct {
	host          *Host
	peer          *conn
	local, remote netip.AddrPort
	backlog       *listener // where an end that was dialled waits for Accept
	in, out       *stream

	writing  chan struct{} // holds a token while a Write is under way, so that writes do not mix
	readable signal
	writable signal
	readBy   deadline
	writeBy  deadline

	closed bool  // by this end
	ended  bool  // CloseWrite was called
	err    error // why the connection failed
}

// newPair connects two hosts and returns the end of the one that dialled.
func newPair(h *Host, local netip.AddrPort, l *listener) *conn {
	a := &conn{host: h, local: local, remote: l.addr, writing: make(chan struct{}, 1)}
	b := &conn{host: l.host, local: l.addr, remote: local, writing: make(chan struct{}, 1), backlog: l}
	a.peer, b.peer = b, a
	a.out = &stream{net: h.net, src: a, dst: b}
	b.out = &stream{net: h.net, src: b, dst: a}
	a.in, b.in = b.out, a.out
	h.net.streams[a.out], h.net.streams[b.out] = struct{}{}, struct{}{}
	h.net.stats.Conns++
	return a
}

func (c *conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// Read returns bytes that have arrived. Its errors are io.EOF, net.ErrClosed,
// os.ErrDeadlineExceeded, ECONNRESET and ETIMEDOUT.
func (c *conn) Read(b []byte) (k int, err error) {
	n := c.host.net
	n.await(&c.readable, func() bool {
		switch {
		case c.closed:
			err = net.ErrClosed
		case c.host.paused:
			return false
		case c.readBy.passed():
			err = os.ErrDeadlineExceeded
		case len(b) == 0:
		case len(c.in.unread) > 0:
			k, _ = c.in.unread.Read(b) // fails only when empty
			c.in.size -= k
			c.peer.writable.broadcast()
		case c.err != nil:
			err = c.err
		case c.in.ended:
			err = io.EOF
		default:
			return false
		}
		return true
	})
	if err == nil || err == io.EOF { //nolint:errorlint // set above, never wrapped
		return k, err
	}
	return k, c.opError("read", err)
}

// Write waits until all of b is in the buffer. Its errors are net.ErrClosed,
// os.ErrDeadlineExceeded, ECONNRESET, ETIMEDOUT and, after CloseWrite, EPIPE.
func (c *conn) Write(b []byte) (int, error) {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	for sent := 0; ; {
		k, err := c.send(b[sent:])
		sent += k
		if err != nil {
			return sent, c.opError("write", err)
		}
		if sent == len(b) {
			return sent, nil
		}
	}
}

// send waits for room and sends the front of b.
func (c *conn) send(b []byte) (k int, err error) {
	n := c.host.net
	var tap func(from, to netip.AddrPort, b []byte)
	n.await(&c.writable, func() bool {
		switch {
		case c.closed:
			err = net.ErrClosed
		case c.host.paused:
			return false
		case c.writeBy.passed():
			err = os.ErrDeadlineExceeded
		case c.err != nil:
			err = c.err
		case c.ended:
			err = syscall.EPIPE
		case len(b) == 0:
		case c.out.room() <= 0:
			return false
		default:
			k = min(len(b), c.out.room(), segmentMax)
			n.stats.Bytes += uint64(k)
			tap = n.tap
			c.out.push(segment{data: bytes.Clone(b[:k])})
		}
		return true
	})
	if tap != nil {
		tap(c.local, c.remote, b[:k])
	}
	return k, err
}

// CloseWrite tells the peer that no more bytes follow. Reading goes on.
func (c *conn) CloseWrite() error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	switch {
	case c.closed:
		return c.opError("close", net.ErrClosed)
	case c.err != nil:
		return c.opError("close", c.err)
	case !c.ended:
		c.end()
	}
	return nil
}

// Close ends both directions. Closing twice returns net.ErrClosed.
func (c *conn) Close() error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	if len(c.in.unread) > 0 {
		c.kill()
		return nil
	}
	if c.err == nil && !c.ended {
		c.end()
	}
	c.shut()
	return nil
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, true, true) }

// SetReadDeadline sets when Read gives up; the zero time is never.
func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, true, false) }

// SetWriteDeadline sets when Write gives up; the zero time is never.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, false, true) }

func (c *conn) setDeadlines(t time.Time, read, write bool) error {
	n := c.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	if read {
		c.readBy.set(n, &c.readable, t)
	}
	if write {
		c.writeBy.set(n, &c.writable, t)
	}
	return nil
}

// The methods below are called with the lock of the network held.

// gone reports that this end takes nothing any more.
func (c *conn) gone() bool { return c.closed || c.err != nil }

// end sends the end of the data.
func (c *conn) end() {
	c.ended = true
	c.out.push(segment{kind: kindEnd})
	c.writable.broadcast()
}

// kill closes this end and resets the other, as the kernel does for a process that is gone.
func (c *conn) kill() {
	if c.err == nil {
		c.out.push(segment{kind: kindReset})
	}
	c.shut()
}

// abort fails this end with err and tells the other, if it can be reached.
func (c *conn) abort(err error) {
	c.fail(err)
	c.out.push(segment{kind: kindReset})
}

// fail ends the connection at this end with err, unless it is over.
func (c *conn) fail(err error) {
	if c.err == nil {
		c.err = err
		c.out.drop()
		c.wake()
	}
}

// shut makes this end unusable for its owner.
func (c *conn) shut() {
	c.closed = true
	c.in.unread = nil
	c.readBy.stop()
	c.writeBy.stop()
	c.wake()
	c.out.land(time.Now())
}

func (c *conn) wake() {
	c.readable.broadcast()
	c.writable.broadcast()
}

// opError dresses err as the net package does.
func (c *conn) opError(op string, err error) error {
	if _, ok := err.(syscall.Errno); ok { //nolint:errorlint // set by this package, never wrapped
		err = os.NewSyscallError(op, err)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
