package core

import (
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// rotateRetry is how long after an attempt to replace a link the next one begins.
const rotateRetry = 10 * time.Second

// rotations marks the numbers of dials that replace a link, which the dial schedule
// knows nothing of: to it the peer is linked.
const rotations = 1 << 63

// Rotate replaces a link by a fresh one with keys of its own. The caller asks when the
// link has carried as much as one key should, and asks again until it is gone: an
// attempt that fails is repeated. The session goes on over the new link.
func (c *Core) Rotate(now time.Time, id LinkID) {
	l := c.links[id]
	if c.demanded(l) {
		c.demandDown(now, l) // the next one, if there is something to say, has a fresh key
		c.close(l, frame.CodeRotate, "the key of the link is used up")
		return
	}
	if l == nil || c.peers[l.Peer] != l || c.leaving {
		return
	}
	addr := l.Addr
	if addr == "" {
		addrs := c.addrs(l.Peer)
		if len(addrs) == 0 {
			return // the peer dialled, and does again
		}
		addr = addrs[c.rotated%uint64(len(addrs))]
	}
	if last, ok := c.rotating[l.Peer]; ok && now.Sub(last) < rotateRetry {
		return
	}
	c.rotating[l.Peer] = now
	c.rotated++
	d := Dial{Number: rotations | c.rotated, Addr: addr, Pin: l.Peer, Source: l.Source}
	c.flights[d.Number] = d
	c.act(d)
}

// rotationOf reports whether the link with a peer is being replaced by this node's dial.
func (c *Core) rotationOf(peer ident.NodeID) bool {
	_, ok := c.rotating[peer]
	return ok
}

// inverse returns the tag by which a HELLO names a link that it wants to replace.
func inverse(tag [8]byte) [8]byte {
	for i := range tag {
		tag[i] = ^tag[i]
	}
	return tag
}

// retireMax is how long the arbiter leaves it to the peer to close a link that was
// replaced.
const retireMax = time.Second

// replace puts n in the place of an older link of its pair. If both ends hold the old
// one, the end that is not the arbiter closes it: it is the last to learn that the new
// one is up, so that neither sees a moment without a link.
func (c *Core) replace(now time.Time, old, n *link) {
	arbiter := c.self.Compare(n.Peer) < 0
	if arbiter && c.grants[n.Peer].held && old.Incarnation == n.Incarnation {
		old.retire = now.Add(retireMax)
		c.retired = append(c.retired, old)
		return
	}
	code := frame.CodeDuplicate
	if c.rotationOf(n.Peer) {
		code = frame.CodeRotate
	}
	c.close(old, code, "a newer link took its place")
}

// retire closes replaced links that the peer did not close.
func (c *Core) retire(now time.Time) {
	for at, ok := c.nextRetirement(); ok && !now.Before(at); at, ok = c.nextRetirement() {
		c.close(c.retired[0], frame.CodeRotate, "a newer link took its place")
	}
}

// nextRetirement returns when retire has something to do.
func (c *Core) nextRetirement() (at time.Time, ok bool) {
	for len(c.retired) > 0 && c.retired[0].closed {
		c.retired = c.retired[1:]
	}
	if len(c.retired) == 0 {
		return time.Time{}, false
	}
	return c.retired[0].retire, true
}
