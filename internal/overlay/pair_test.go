package overlay_test

import (
	"time"

	"github.com/espial-go/espial/internal/overlay"
)

// pair is two nodes, the lower ID first: of their links that is the arbiter.
type pair struct {
	ends  [2]*node
	links int          // so many were granted
	up    [2]int       // which of them is up at each end; 0 for none
	ready [2]time.Time // what was said to each end arrives by then, in order
}

// between returns the pair of two nodes.
func (w *world) between(n, p *node) *pair {
	key := [2]int{min(n.index, p.index), max(n.index, p.index)}
	c := w.pairs[key]
	if c == nil {
		c = &pair{ends: [2]*node{n, p}}
		if n.id.Compare(p.id) > 0 {
			c.ends = [2]*node{p, n}
		}
		w.pairs[key] = c
		n.pairs, p.pairs = append(n.pairs, c), append(p.pairs, c)
	}
	return c
}

// end returns which end of c a node is.
func (c *pair) end(n *node) int {
	if c.ends[0] == n {
		return 0
	}
	return 1
}

// send carries something to an end of c, behind what was sent before.
func (c *pair) send(to int, do func()) {
	w := c.ends[to].w
	at := w.now.Add(w.below(w.latency))
	if at.Before(c.ready[to]) {
		at = c.ready[to]
	}
	c.ready[to] = at
	w.after(at.Sub(w.now), do)
}

// tell is send of what only a node that runs hears.
func (c *pair) tell(to int, do func()) {
	c.send(to, func() {
		if n := c.ends[to]; !n.dead {
			do()
			n.settle()
		}
	})
}

// dial tries to link n with p.
func (n *node) dial(p *node) {
	c := n.w.between(n, p)
	if n.w.bug == lazy && n.w.now.Sub(start) > 20*time.Second {
		return
	}
	c.send(c.end(p), func() {
		switch {
		case p.lost:
			n.w.after(time.Second, func() { c.failed(c.end(n)) })
		case p.dead:
			c.failed(c.end(n))
		case c.end(p) == 0: // its HELLO comes before the yes of the other end
			c.send(1, func() { c.accept(n) })
		default:
			c.accept(n)
		}
	})
}

// failed reports to one end that there will be no link.
func (c *pair) failed(end int) {
	c.tell(end, func() {
		n, p := c.ends[end], c.ends[1-end]
		if c.up[end] == 0 {
			n.k.Failed(n.w.now, p.id)
		}
	})
}

// accept is the word of the end that is not the arbiter.
func (c *pair) accept(dialer *node) {
	arbiter, n := c.ends[0], c.ends[1]
	if n.dead || !n.k.Admit(n.w.now, arbiter.id) || n.w.bug == shy && n.links > 2 {
		n.settle()
		c.failed(0)
		return
	}
	n.settle()
	c.send(0, func() { c.rule(dialer) })
}

// rule is the word of the arbiter, which the other end has accepted.
func (c *pair) rule(dialer *node) {
	n, p := c.ends[0], c.ends[1]
	w := n.w
	if n.dead || c.up[0] != 0 || !n.k.Admit(w.now, p.id) {
		n.settle()
		c.failed(1)
		return
	}
	c.links++
	number := c.links
	c.rise(0, number, dialer)
	c.tell(1, func() { c.rise(1, number, dialer) })
	n.settle()
}

// rise is the moment in which a link is up at one end.
func (c *pair) rise(end, number int, dialer *node) {
	n, p := c.ends[end], c.ends[1-end]
	w := n.w
	if c.up[end] == 0 {
		n.links++
		w.moves++
	}
	c.up[end] = number
	w.note("%d: up %d", n.index, p.index)
	n.k.Up(w.now, p.id, n == dialer)
	if w.bug == restless && n.index == 0 {
		w.after(5*time.Second, func() {
			if c.up[end] == number {
				n.k.Down(w.now, p.id, overlay.Unused)
				n.close(p, overlay.Unused)
				n.settle()
			}
		})
	}
}

// fall is the moment in which a link is down at one end. It reports whether it was up.
func (c *pair) fall(end, number int) bool {
	if number == 0 || c.up[end] != number {
		return false // over already, or another one took its place
	}
	c.up[end] = 0
	c.ends[end].links--
	c.ends[end].w.moves++
	return true
}

// down is fall for a reason that the node hears.
func (c *pair) down(end, number int, why overlay.Why) {
	n, p := c.ends[end], c.ends[1-end]
	if c.fall(end, number) {
		n.w.note("%d: down %d %v", n.index, p.index, why)
		n.k.Down(n.w.now, p.id, why)
	}
}

// linked reports whether both ends have the same link.
func (c *pair) linked() bool { return c.up[0] != 0 && c.up[0] == c.up[1] }

// close closes the link of n with p.
func (n *node) close(p *node, why overlay.Why) {
	w, c := n.w, n.w.between(n, p)
	w.closes++
	if w.bug == crowded && why == overlay.Full {
		return
	}
	number := c.up[c.end(n)]
	if !c.fall(c.end(n), number) {
		w.fail("agree: node %d closes a link with %d that is not there", n.index, p.index)
	}
	if w.bug != careless {
		c.tell(c.end(p), func() { c.down(c.end(p), number, why) })
	}
}

// reset breaks the link of a pair.
func (c *pair) reset() {
	for end, number := range c.up {
		c.tell(end, func() { c.down(end, number, overlay.Lost) })
	}
}

// kill ends a node. Its links break at once, or nobody answers for it and they are given
// up within three seconds.
func (w *world) kill(n *node, lost bool) {
	n.dead, n.lost = true, lost
	for _, c := range n.pairs {
		var d time.Duration
		if lost {
			d = time.Second + w.below(2*time.Second)
		}
		end := 1 - c.end(n)
		w.after(d, func() {
			c.tell(end, func() { c.down(end, c.up[end], overlay.Lost) })
		})
	}
}
