package exchange

import (
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

// needEvery is how long after a link was asked for the next time is.
const needEvery = time.Second

// neighbours returns with whom a node keeps links.
func neighbours(g *gossip.Graph, id ident.NodeID) map[ident.NodeID]bool {
	near := map[ident.NodeID]bool{}
	for i, m := range g.Members {
		if m.ID == id {
			for _, k := range g.Links[i] {
				near[g.Members[k].ID] = true
			}
		}
	}
	return near
}

// far reports whether a member is no neighbour, so that it has a link only while there is
// something to say.
func (x *Exchange) far(p *Pair) bool { return x.cfg.Need != nil && !x.members.Load().near[p.id] }

// AttachOnDemand is [Pair.Attach] for a link on demand.
func (p *Pair) AttachOnDemand(l Link) { p.attach(&attached{l, true}) }

// onDemand reports whether the pair has a link on demand.
func (p *Pair) onDemand() bool {
	l := p.link.Load()
	return l != nil && l.onDemand
}

// near reports whether the pair has a link that carries broadcasts.
func (p *Pair) near() bool {
	l := p.link.Load()
	return l != nil && !l.onDemand
}

// carriesLane reports whether the pair's link carries a lane.
func (p *Pair) carriesLane(lane frame.Lane) bool { return lane != frame.Broadcast || !p.onDemand() }

// mayGossip returns why the pair's link carries no gossip now, nil if it does.
func (p *Pair) mayGossip() error {
	if p.onDemand() {
		return fmt.Errorf("%w: gossip on a link on demand", ErrBreach)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.carries() {
		return errNotOpen
	}
	return nil
}

// idleLane returns what OPEN says of a lane that the link does not carry.
func idleLane() frame.OpenLane { return frame.OpenLane{First: 1, Message: 1} }

// reach is wake for who has something to say to the peer: without a link it asks for one.
func (p *Pair) reach() {
	if l := p.link.Load(); l != nil {
		l.Wake()
	} else {
		p.need()
	}
}

// need asks for a link with the peer, once in needEvery. It never blocks.
func (p *Pair) need() {
	if p.x.cfg.Need == nil || p.x.over() || p == p.x.self || p.x.Member(p.id) != p {
		return
	}
	now := time.Now()
	last := p.needed.Load()
	if last != nil && now.Sub(*last) < needEvery || !p.needed.CompareAndSwap(last, &now) {
		return
	}
	p.x.cfg.Need(p.id)
}

// needs asks for a link if something waits for one.
func (p *Pair) needs() {
	if p.link.Load() != nil {
		return
	}
	p.mu.Lock()
	wanted := p.waits() || p.due() || p.calls.telling()
	p.mu.Unlock()
	if wanted {
		p.need()
	}
}

// waits reports whether something waits for a link or for the peer, and is lost when the
// session ends. The caller holds mu.
func (p *Pair) waits() bool {
	d := &p.calls
	return len(p.errands)+len(p.answers)+len(d.errands) > 0 || p.direct.Waiting()+d.cursor.Waiting() > 0
}

// sleeps reports whether the session needs no link: there is nothing to say, and the members
// can have a link as soon as there is. The caller holds mu.
func (p *Pair) sleeps() bool {
	return p.x.cfg.Need != nil && p.x.Member(p.id) == p && !p.waits()
}

// lapse ends what is kept of broadcasts for a member without a link of peers, of whose session
// nothing else ends. It returns how many may not have arrived: none, if others bring them.
func (x *Exchange) lapse(p *Pair, now time.Time) (doubt uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p.cursor == nil || p == x.self || p.near() || now.Sub(p.without) < unlinkedMax {
		return 0
	}
	if !x.signing.on {
		doubt = p.cursor.Waiting()
	}
	p.cursor.Close()
	p.cursor = nil
	x.room.open()
	return doubt
}

// meetFar has the questions put to members that have no link, as to those at the end of one.
func (qs *questions) meetFar(pairs []*Pair) {
	for _, p := range pairs {
		if p.x.cfg.Need == nil || p.link.Load() != nil {
			continue
		}
		qs.mu.Lock()
		_, met := qs.met[p]
		qs.mu.Unlock()
		if met {
			continue
		}
		p.mu.Lock()
		p.x.begin(p, true)
		p.fresh = false // it is asked now, and its answer can only come over a link
		p.mu.Unlock()
		qs.meet(p, false)
	}
}
