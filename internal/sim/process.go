package sim

import (
	"fmt"
	"net/netip"
	"time"
)

// process is one run of a node: one incarnation. The kernel under it keeps its
// connections while the process is paused; both end when it is killed.
type process struct {
	world  *world
	number int // counts the processes of a run, from 1
	host   int
	addr   netip.AddrPort
	node   *node
	ends   []*end

	dead   bool
	paused bool
	held   []func() // what arrived and what fell due during a pause, in order
}

// do runs f in the process: now, after the pause, or never.
func (p *process) do(f func()) {
	switch {
	case p.dead:
	case p.paused:
		p.held = append(p.held, f)
	default:
		f()
	}
}

// after runs f in the process d from now.
func (p *process) after(d time.Duration, f func()) {
	p.world.loop.after(d, func() { p.do(f) })
}

// name is what the node calls itself: the same after a restart.
func (p *process) name() string { return fmt.Sprintf("n%d", p.host) }

// accept takes an inbound connection.
func (p *process) accept(e *end) { p.node.accept(e) }

// overloaded reports whether the process has to drop a control frame, as the engine does
// whose owner is behind.
func (p *process) overloaded() bool {
	drop := p.world.net.drop
	return drop > 0 && p.world.rand.Float64() < drop
}

// pause freezes the process as SIGSTOP does.
func (p *process) pause() { p.paused = true }

// resume continues the process. What was held runs now; it may pause or kill the
// process again.
func (p *process) resume() {
	p.paused = false
	for len(p.held) > 0 && !p.paused && !p.dead {
		f := p.held[0]
		p.held = p.held[1:]
		f()
	}
}

// kill ends the process as SIGKILL does: its kernel resets every connection.
func (p *process) kill() {
	p.dead, p.held = true, nil
	if p.world.net.bound[p.addr] == p {
		delete(p.world.net.bound, p.addr)
	}
	for _, e := range p.ends {
		e.reset()
	}
	p.ends = nil
}

// forget drops an end that is over, so that a long run does not collect them.
func (p *process) forget(e *end) {
	for i, other := range p.ends {
		if other == e {
			p.ends = append(p.ends[:i], p.ends[i+1:]...)
			return
		}
	}
}
