package exchange

import (
	"slices"
	"sync"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// handedMax is for how many deliveries of one origin there is room that is kept for later.
const handedMax = 256

// relays carries broadcasts between members that have no link: a router behind a short lock,
// which the readers of links, the publishers and a timer call directly. As long as nobody
// signs it knows no origin, and nothing passes it.
//
// What it delivers waits in the pair of the origin until somebody who holds the hand of that
// pair hands it on, so that runs of one origin come to the queues in order, whoever brought
// them. The lock is taken last but for those of outboxes, and after the hand of one pair.
type relays struct {
	x *Exchange

	mu     sync.Mutex // guards what follows
	router *gossip.Router
	pairs  map[gossip.Member]*Pair // all that were ever listed, until they are forgotten
	linked map[ident.NodeID]*Pair  // the neighbours
	timer  *time.Timer             // for the next tick
	alarm  time.Time               // when it goes off; zero while it is not set
	over   bool                    // after Close
}

func newRelays(x *Exchange) *relays {
	now := time.Now()
	return &relays{
		x: x, router: gossip.New(now, gossip.Config{Self: x.cfg.Self, Incarnation: x.cfg.Incarnation}),
		pairs: map[gossip.Member]*Pair{}, linked: map[ident.NodeID]*Pair{},
	}
}

// member names the peer as the router does.
func (p *Pair) member() gossip.Member { return gossip.Member{ID: p.id, Incarnation: p.inc} }

// call gives the router one input, and carries out what it decides. The caller holds no lock.
func (g *relays) call(input func(r *gossip.Router, now time.Time)) {
	handOver(g.enter(nil, input))
}

// handOver hands on what the router has delivered of some pairs. The caller holds no lock.
func handOver(due []*Pair) {
	for _, p := range due {
		p.hand.Lock()
		p.handOver()
		p.hand.Unlock()
	}
}

// callFor is call for a caller that holds the hand of p, of which alone the input can have
// something delivered.
func (g *relays) callFor(p *Pair, input func(r *gossip.Router, now time.Time)) {
	g.enter(p, input)
	p.handOver()
}

// enter is call but for what is to be handed over: it returns by which pairs, but for held.
func (g *relays) enter(held *Pair, input func(r *gossip.Router, now time.Time)) (due []*Pair) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	input(g.router, now)
	acts := g.router.Take()
	for _, d := range acts.Deliveries {
		p := g.pairs[gossip.Member{ID: d.Origin, Incarnation: d.Incarnation}]
		if p == nil {
			continue // forgotten
		}
		if p.ready = append(p.ready, d); p != held && !slices.Contains(due, p) {
			due = append(due, p)
		}
	}
	g.send(&acts)
	g.schedule(now)
	return due
}

// send sends what the router says to neighbours. The caller holds mu.
func (g *relays) send(acts *gossip.Actions) {
	for i := range acts.Forwards {
		for _, id := range acts.Forwards[i].To {
			if p := g.linked[id]; p != nil {
				p.out.put(p, &acts.Forwards[i].Batch)
			}
		}
	}
	for _, d := range acts.Digests {
		g.tell(d.Marks, d.To...)
	}
	for _, q := range acts.Pulls {
		g.tell(q.Pull, q.To)
	}
	for _, h := range acts.Greets {
		g.tell(h.Greet, h.To)
	}
	for _, f := range acts.Proofs {
		g.tell(f.Proof, f.To)
	}
}

// tell says something to neighbours that must not be dropped. The caller holds mu.
func (g *relays) tell(f frame.Frame, to ...ident.NodeID) {
	b := f.Append(nil)
	for _, id := range to {
		if p := g.linked[id]; p != nil {
			if l := p.link.Load(); l != nil {
				_ = l.Send(b) // it fails on a link that ends
			}
		}
	}
}

// schedule sets the timer for the next tick, unless it goes off before. The caller holds mu.
func (g *relays) schedule(now time.Time) {
	at, ok := g.router.Next()
	if !ok || g.over || !g.alarm.IsZero() && !at.Before(g.alarm) {
		return
	}
	g.alarm = at
	if g.timer == nil {
		g.timer = time.AfterFunc(at.Sub(now), g.tick)
	} else {
		g.timer.Reset(at.Sub(now))
	}
}

func (g *relays) tick() {
	g.call(func(r *gossip.Router, now time.Time) {
		g.alarm = time.Time{}
		if !g.over {
			r.Tick(now)
		}
	})
}

// close ends the ticks.
func (g *relays) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	if g.timer != nil {
		g.timer.Stop()
	}
}

// view tells the router who is listed, and who keeps links with whom.
func (g *relays) view(pairs []*Pair, graph *gossip.Graph) {
	g.call(func(r *gossip.Router, now time.Time) {
		for _, p := range pairs {
			if m := p.member(); g.pairs[m] != p {
				g.pairs[m] = p
				if g.x.cfg.Public != nil {
					p.public = g.x.cfg.Public(p.id)
				}
				p.routed.Store(r.Knows(m)) // others told of it before
			}
		}
		r.View(now, graph)
	})
}

// forget forgets a pair that is not listed.
func (g *relays) forget(p *Pair) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pairs, p.member())
}

// join makes p a neighbour, when its session is open on a new link.
func (g *relays) join(p *Pair) {
	g.call(func(r *gossip.Router, now time.Time) {
		if g.linked[p.id] != nil {
			r.LinkDown(now, p.id) // of another incarnation
		}
		g.linked[p.id] = p
		r.LinkUp(now, p.id)
	})
}

// leave is the end of that link.
func (g *relays) leave(p *Pair) {
	g.call(func(r *gossip.Router, now time.Time) {
		if g.linked[p.id] == p {
			delete(g.linked, p.id)
			r.LinkDown(now, p.id)
		}
	})
	p.out.clear()
}

// Measured tells the round trip to the peer, by which it is judged how long its answers may
// take.
func (p *Pair) Measured(rtt time.Duration) {
	g := p.x.relays
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.linked[p.id] == p {
		g.router.Measured(p.id, rtt)
	}
}

// enroll makes the router the judge of the peer's broadcasts, which goes on where the pair
// has come. The caller holds p.hand.
func (p *Pair) enroll() {
	if p.routed.Load() {
		return
	}
	p.mu.Lock()
	in := p.in[frame.Broadcast]
	received, whole, part := in.Place()
	opened, came := in.Opened(), in.Came()
	p.mu.Unlock()
	p.routed.Store(true)
	p.x.relays.callFor(p, func(r *gossip.Router, now time.Time) {
		switch at := (gossip.Place{Received: received, Whole: whole, Part: part}); {
		case came:
			r.Begin(now, p.member(), at)
		case opened: // others may know of what the peer published before
			r.Opened(now, p.member(), at)
		}
	})
}

// handOver hands on what the router has delivered of the peer. The caller holds p.hand.
func (p *Pair) handOver() {
	g := p.x.relays
	for {
		g.mu.Lock()
		batch := p.ready
		p.ready = p.handed[:0]
		g.mu.Unlock()
		for i := range batch {
			p.handOne(&batch[i])
		}
		clear(batch) // so that they keep no memory alive
		if p.handed = batch; cap(batch) > handedMax {
			p.handed = nil
		}
		if len(batch) == 0 {
			return
		}
	}
}

// handOne hands on one delivery of the router. The caller holds p.hand.
func (p *Pair) handOne(d *gossip.Delivery) {
	if d.Unknown {
		p.x.box.Lost(mailbox.Loss{From: p.id, Unknown: true})
		return
	}
	p.lost(frame.Broadcast, d.Lost)
	switch {
	case d.Batch.Last == 0: // a loss and no more
	case d.Batch.Frames == nil:
		p.handBare(d)
	default:
		p.handBatch(d)
	}
}
