package session

import (
	"fmt"
	"sort"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// Cursor is one receiver's place in a [Log]: what it was sent and what it has
// acknowledged. It lives as long as the session, over any number of links. After Close
// every method does nothing.
type Cursor struct {
	log    *Log
	low    uint64 // position of the oldest frame that the cursor holds
	next   uint64 // position of the next frame to send
	bare   bool   // Take gives no RELAY
	closed bool

	acked ident.Seq // highest number that the peer acknowledged
	done  ident.Seq // highest number acknowledged or given up
	sent  ident.Seq // highest number that the peer may know of

	window int // what the peer takes unacknowledged, in bytes
	flight int // cost of the frames from low up to next

	// What was in flight when it was given up still fills the peer's window until the
	// peer acknowledges debtTo.
	debt   int
	debtTo ident.Seq

	// lent are the blocks of the frames that the last Take returned.
	lent []*block

	stalled time.Time // see Log.Stalled; zero for not yet
}

// First returns the lowest number that the cursor can still send, for OPEN.
func (c *Cursor) First() ident.Seq { return c.done + 1 }

// Message returns the number of the message that First belongs to, pieces not counted,
// for OPEN.
func (c *Cursor) Message() ident.Seq {
	if c.low == c.log.ring.high {
		return c.log.count + 1
	}
	e := c.log.ring.at(c.low)
	return e.whole + c.First() - e.first
}

// Waiting returns how many messages are neither acknowledged nor given up.
func (c *Cursor) Waiting() uint64 {
	if c.closed {
		return 0
	}
	return uint64(c.log.count + 1 - c.Message())
}

// Pending reports whether Take would return anything.
func (c *Cursor) Pending() bool {
	return c.next < c.log.ring.high && c.fits(c.log.ring.at(c.next))
}

// fits reports whether the peer's window has room for a frame.
func (c *Cursor) fits(e *entry) bool { return c.flight+c.debt+e.cost <= c.window }

// Take appends the frames to send next to dst, about bytesMax bytes of them but at
// least one, as far as the peer's window allows, and returns the longer slice. The
// frames are complete, and they stay as they are until the cursor's next Take even if
// they are acknowledged meanwhile; the caller must not write to them. Of a log that signs
// it takes what [Log.Sign] has come to.
func (c *Cursor) Take(dst [][]byte, bytesMax int) [][]byte {
	c.giveBack()
	l := c.log
	for taken := 0; c.next < l.ring.high; c.next++ {
		e := l.ring.at(c.next)
		if !c.fits(e) || l.sign != nil && !c.bare && c.next >= l.signed {
			break
		}
		relay := e.relay != nil && !c.bare
		size := len(e.bytes)
		switch {
		case relay:
			size = len(e.relay)
		case e == l.open:
			size = len(l.tail)
		}
		if taken > 0 && taken+size > bytesMax {
			break
		}
		if taken += size; e == l.open {
			l.complete()
		}
		c.flight += e.cost
		c.sent = max(c.sent, e.last())
		if relay {
			dst = append(dst, e.relay)
			continue
		}
		dst = append(dst, e.bytes)
		if n := len(c.lent); n == 0 || c.lent[n-1] != e.block {
			e.block.users++
			c.lent = append(c.lent, e.block)
		}
	}
	return dst
}

// giveBack ends the use of the frames that the last Take returned.
func (c *Cursor) giveBack() {
	for i, b := range c.lent {
		c.lent[i] = nil
		c.log.drop(b)
	}
	c.lent = c.lent[:0]
}

// abandon leaves what the last Take returned to whoever still reads it, the writer of a
// link that has just been fenced perhaps: those blocks are never used again.
func (c *Cursor) abandon() {
	clear(c.lent)
	c.lent = c.lent[:0]
}

// Resume goes on over a new link, the first one included, from what the peer's OPEN
// says: the highest number up to which it has all, and its window in bytes. A number
// that was never sent is [ErrNumber].
func (c *Cursor) Resume(peerReceived ident.Seq, window int) error {
	if c.closed {
		return nil
	}
	if peerReceived > c.sent {
		return fmt.Errorf("%w: peer claims %d, sent up to %d", ErrNumber, peerReceived, c.sent)
	}
	c.abandon()
	c.window = window
	if c.debtTo = min(c.debtTo, peerReceived); c.acked >= c.debtTo {
		c.debt = 0
	}
	// An acknowledgement may have overtaken the OPEN that it makes out of date.
	c.seek(max(peerReceived, c.acked, c.done) + 1)
	return nil
}

// seek makes the frame with number n the next one to send.
func (c *Cursor) seek(n ident.Seq) {
	r := &c.log.ring
	c.next = c.low + uint64(sort.Search(int(r.high-c.low), func(i int) bool {
		return r.at(c.low+uint64(i)).last() >= n
	}))
	c.flight = 0
	for i := c.low; i < c.next; i++ {
		c.flight += r.at(i).cost
	}
}

// Acked takes the peer's cumulative acknowledgement of all numbers up to n and frees
// what nobody else waits for. One that is not news changes nothing; one for a message
// that was never sent is [ErrNumber].
func (c *Cursor) Acked(n ident.Seq) error {
	if c.closed {
		return nil
	}
	if n > c.sent {
		return fmt.Errorf("%w: peer acknowledges %d, sent up to %d", ErrNumber, n, c.sent)
	}
	if n <= c.acked {
		return nil
	}
	c.acked, c.stalled = n, time.Time{}
	if n >= c.debtTo {
		c.debt = 0
	}
	if n <= c.done {
		return nil
	}
	c.done = n
	to := c.low
	for to < c.log.ring.high && c.log.ring.at(to).last() <= n {
		to++
	}
	c.pass(to)
	return nil
}

// pass gives up the frames before a position.
func (c *Cursor) pass(to uint64) {
	for ; c.low < to; c.low++ {
		e := c.log.ring.at(c.low)
		e.refs--
		if c.low < c.next {
			c.flight -= e.cost
		}
	}
	c.next = max(c.next, to)
	c.log.free()
}

// GiveUp lets go of everything that is not acknowledged and goes on with the next message:
// the rule for a receiver that takes nothing of a full log. It returns how many
// messages it gave up. The peer may still get those that are on their way; the jump in
// the numbers tells it exactly what it missed.
func (c *Cursor) GiveUp() (lost uint64) {
	l := c.log
	if c.closed {
		return 0
	}
	l.complete()
	lost = c.Waiting()
	if c.next > c.low {
		// Beyond these the peer will have nothing to acknowledge.
		c.debtTo = l.ring.at(c.next - 1).last()
	}
	c.debt += c.flight
	c.done, c.sent = l.next-1, l.next-1
	c.pass(l.ring.high)
	return lost
}

// Close ends the cursor. What the last Take returned
// stays valid.
func (c *Cursor) Close() {
	if c.closed {
		return
	}
	c.closed = true
	c.window = 0 // so that Take has nothing to give
	c.abandon()
	c.log.complete()
	c.pass(c.log.ring.high)
	c.log.remove(c)
}
