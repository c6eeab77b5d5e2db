package wrap

import (
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/espial-go/espial"
)

// errBurst reports a limiter that can never let a byte pass.
var errBurst = errors.New("wrap: the burst of the limiter is 0; nothing could ever pass")

// Limit limits how many bytes pass each second: write those that this node sends, read those
// that it receives; nil is no limit. All streams that get the same limiter share what it
// allows. Its burst, in bytes, is how much may pass at once, at least 1; some 16 KiB or more
// spare system calls. Limits may be changed while streams use them.
//
// Who reads slowly makes the other end write slowly: a limit at one end suffices. A limited
// Write or Read waits, and heeds deadlines and Close while it does.
func Limit(write, read *rate.Limiter) Func {
	return func(nc net.Conn, _ espial.StreamInfo) (net.Conn, error) {
		return &limited{
			conn: conn{nc}, writes: limit{Limiter: write, over: newWait()},
			reads: limit{Limiter: read, over: newWait()},
		}, nil
	}
}

// limited is a connection of limited speed.
type limited struct {
	conn
	writes, reads limit
}

// limit is the one of one direction.
type limit struct {
	*rate.Limiter      // nil for none
	over          wait // of who is over the limit

	turn sync.Mutex // held while a Read or a Write is under way; guards what follows
	free time.Time  // when more may be read
}

// share returns how many of so many bytes may pass at once.
func (l *limit) share(bytes int) (int, error) {
	if l.Limit() == rate.Inf {
		return bytes, nil
	}
	if l.Burst() < 1 {
		return 0, errBurst
	}
	return min(bytes, l.Burst()), nil
}

// Write implements [net.Conn].
func (c *limited) Write(b []byte) (n int, err error) {
	l := &c.writes
	if l.Limiter == nil || len(b) == 0 {
		return c.Conn.Write(b)
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	for n < len(b) {
		share, err := l.share(len(b) - n)
		if err != nil {
			return n, c.opError("write", err)
		}
		if err := l.pass(share); err != nil {
			return n, c.opError("write", err)
		}
		k, err := c.Conn.Write(b[n : n+share])
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// pass waits until so many bytes may pass.
func (l *limit) pass(bytes int) error {
	now := time.Now()
	r := l.ReserveN(now, bytes)
	if !r.OK() {
		return errBurst // it shrank at this moment
	}
	err := l.over.reach(now.Add(r.DelayFrom(now)), nil)
	if err != nil {
		r.Cancel()
	}
	return err
}

// Read implements [net.Conn]. It waits for what earlier ones took, so that no byte that has
// arrived waits, and none is lost to a deadline.
func (c *limited) Read(b []byte) (int, error) {
	l := &c.reads
	if l.Limiter == nil || len(b) == 0 {
		return c.Conn.Read(b)
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	share, err := l.share(len(b))
	if err == nil && !l.free.IsZero() {
		err = l.over.reach(l.free, nil)
	}
	if err != nil {
		return 0, c.opError("read", err)
	}
	n, err := c.Conn.Read(b[:share])
	now := time.Now()
	if r := l.ReserveN(now, n); r.OK() {
		l.free = now.Add(r.DelayFrom(now))
	}
	return n, err
}

// Close implements [net.Conn].
func (c *limited) Close() error {
	c.writes.over.end()
	c.reads.over.end()
	return c.Conn.Close()
}

// SetDeadline implements [net.Conn].
func (c *limited) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements [net.Conn].
func (c *limited) SetReadDeadline(t time.Time) error {
	_ = c.reads.over.until(t) // says what the connection says
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements [net.Conn].
func (c *limited) SetWriteDeadline(t time.Time) error {
	_ = c.writes.over.until(t) // says what the connection says
	return c.Conn.SetWriteDeadline(t)
}
