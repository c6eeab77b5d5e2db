package exchange

import (
	"slices"
	"time"
)

// attached is a link that carries a pair. One on demand carries what the two have to say to
// each other and nothing else: no broadcasts, of whomever.
type attached struct {
	Link

	onDemand bool
}

// Attach gives the pair a link. The reader and the writer of the former one must have
// ended: messages are handed on in order by one goroutine at a time.
func (p *Pair) Attach(l Link) { p.attach(&attached{l, false}) }

func (p *Pair) attach(l *attached) {
	p.mu.Lock()
	p.x.begin(p, l.onDemand) // under the lock that expire holds
	if time.Since(p.unlinked) > unlinkedMax/2 {
		p.fresh, p.announcing = true, p != p.x.self // the session may have ended at the other end
	}
	p.opened, p.opening, p.joined, p.unlinked = false, true, false, time.Time{}
	fresh := p.fresh
	p.mu.Unlock()
	p.advertise(fresh)
	p.link.Store(l)
	if !l.onDemand {
		p.x.relink(p, true)
	}
	l.Wake()
}

// begin makes a session that ended begin anew, with what is published from now on if the link
// carries that. The caller holds mu.
func (x *Exchange) begin(p *Pair, onDemand bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p.cursor == nil && !onDemand {
		p.cursor = x.log.Open()
	}
	if !p.going {
		p.going = true
		p.announcing, p.fresh = true, true // what it was told before may have been given up
	}
}

// Detach takes the link away; what is not acknowledged waits for the next one.
func (p *Pair) Detach() {
	l := p.link.Swap(nil)
	p.mu.Lock()
	joined := p.joined
	p.opened, p.joined, p.unlinked = false, false, time.Now()
	p.mu.Unlock()
	if joined {
		p.x.relays.leave(p)
	}
	if l != nil && !l.onDemand {
		p.x.relink(p, false)
	}
	p.needed.Store(nil)
	p.needs()
}

// relink notes that p has a link, or has none.
func (x *Exchange) relink(p *Pair, linked bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(*x.linked.Load()), func(q *Pair) bool { return q == p })
	if linked {
		all = append(all, p)
	}
	x.linked.Store(&all)
	now := time.Now()
	if p.without = now; !linked && x.cfg.Sign != nil && !x.over() {
		time.AfterFunc(signAfter, x.reviewNow)
	}
	x.review(now)
}

// wake tells the link's writer that there is something to send.
func (p *Pair) wake() {
	if l := p.link.Load(); l != nil {
		l.Wake()
	}
}
