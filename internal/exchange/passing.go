package exchange

import (
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/session"
)

// arriving is what the reader of the pair's link is handing to the router. It is to be
// released, as far as it is news to the inbox, whether or not it is news to the router.
type arriving struct {
	ev   frame.Events // without a signature
	rel  mailbox.Releaser
	done bool // the router delivered it
	err  error

	first ident.Seq // of a batch on the lane; 0 for none, or once the router delivered it
	after ident.Seq // the inbox had all up to it
}

// gossip takes a frame of gossip. The reader of the attached link calls it.
func (p *Pair) gossip(raw frame.Raw) error {
	if err := p.mayGossip(); err != nil {
		return err
	}
	if raw.Type == frame.TypeRelay || raw.Type == frame.TypeRepeat {
		b, err := frame.DecodeRelay(raw.Payload)
		switch {
		case err != nil:
			return err
		case raw.Type == frame.TypeRelay && b.Origin == p.id && b.Incarnation == p.inc:
			return p.signed(&b)
		}
		return p.passed(&b)
	}
	f, err := frame.Decode(raw)
	if err != nil {
		return err
	}
	g := p.x.relays
	switch f := f.(type) {
	case frame.Marks:
		for i := range f.List {
			g.meet(gossip.Member{ID: f.List[i].Origin, Incarnation: f.List[i].Incarnation})
		}
		g.call(func(r *gossip.Router, now time.Time) { r.Marked(now, p.id, f) })
	case frame.Pull:
		g.call(func(r *gossip.Router, now time.Time) { r.Pulled(now, p.id, f) })
	case frame.Greet:
		p.greeted(f)
	case frame.Proof:
		return p.proved(f)
	default:
		return fmt.Errorf("%w: %v is no data frame", ErrBreach, raw.Type)
	}
	return nil
}

// greeted takes the greeting of a new neighbour, which is told how far this node is, too.
func (p *Pair) greeted(f frame.Greet) {
	x := p.x
	x.mu.Lock()
	due := x.relays.enter(nil, func(r *gossip.Router, now time.Time) {
		x.sent(r, now)
		r.Greeted(p.id, f)
	})
	x.mu.Unlock()
	handOver(due)
}

// meet makes the router the judge of a member's broadcasts before it hears of that member.
func (g *relays) meet(m gossip.Member) {
	g.mu.Lock()
	p := g.pairs[m]
	g.mu.Unlock()
	if p != nil && !p.routed.Load() {
		p.hand.Lock()
		p.enroll()
		p.hand.Unlock()
	}
}

// passed takes a batch that counts for nothing on this link: others published it, or the
// peer repeats it.
func (p *Pair) passed(b *frame.Relay) error {
	p.x.relays.meet(gossip.Member{ID: b.Origin, Incarnation: b.Incarnation})
	wanted, err := p.wants(b)
	if wanted && err == nil {
		own := b.Clone()
		p.x.relays.call(func(r *gossip.Router, now time.Time) { r.Receive(now, p.id, own) })
	}
	return err
}

// signed takes a batch of the peer itself, which counts like the runs in it.
func (p *Pair) signed(b *frame.Relay) error {
	p.hand.Lock()
	p.enroll()
	after, err := p.acceptAll(b)
	p.hand.Unlock()
	if err != nil {
		return err
	}
	wanted, err := p.wants(b)
	if err != nil {
		return err
	}
	p.hand.Lock()
	defer p.hand.Unlock()
	p.arriving = arriving{first: b.First, after: after}
	if wanted {
		own := b.Clone()
		p.x.relays.callFor(p, func(r *gossip.Router, now time.Time) { r.Receive(now, p.id, own) })
	}
	if p.arriving.first != 0 { // others brought it, or it has to wait for its turn
		p.eachRun(b, after, func(ev frame.Events, _ int, rel mailbox.Releaser) { p.pass(&ev, rel) })
	}
	p.arriving = arriving{}
	return nil
}

// acceptAll counts the runs of a batch of the peer itself. It returns the number up to which
// all came before.
func (p *Pair) acceptAll(b *frame.Relay) (after ident.Seq, err error) {
	p.mu.Lock()
	after = p.in[frame.Broadcast].Received()
	p.mu.Unlock()
	p.eachRun(b, 0, func(ev frame.Events, size int, _ mailbox.Releaser) {
		if err == nil {
			_, _, err = p.accept(&ev, session.Cost(size, ev.Count))
		}
	})
	return after, err
}

// eachRun calls f for the runs of a batch, with the length of the frame's payload, and with
// who waits for their release: the pair, for those beyond a number.
func (p *Pair) eachRun(b *frame.Relay, after ident.Seq, f func(frame.Events, int, mailbox.Releaser)) {
	for rest := b.Frames; len(rest) > 0; {
		raw, n, err := frame.Next(rest)
		if err != nil {
			return // it cannot be: DecodeRelay looked
		}
		ev, err := frame.DecodeEvents(raw.Payload)
		if err != nil {
			return
		}
		var rel mailbox.Releaser
		if last := ev.First + ident.Seq(ev.Count) - 1; last > after {
			rel = p
		}
		f(ev, len(raw.Payload), rel)
		rest = rest[n:]
	}
}

// pass releases a run that is not handed on. The last piece of a message releases the others.
func (p *Pair) pass(ev *frame.Events, rel mailbox.Releaser) {
	if !ev.More {
		release(rel, ev.Lane, ev.First+ident.Seq(ev.Count)-1)
	}
}

// wants reports whether a batch that came over the pair's link is news, and its signature
// that of its origin. An error is a breach by whoever sent it.
func (p *Pair) wants(b *frame.Relay) (wanted bool, err error) {
	var key []byte
	g := p.x.relays
	g.call(func(r *gossip.Router, now time.Time) {
		if origin := g.pairs[gossip.Member{ID: b.Origin, Incarnation: b.Incarnation}]; origin != nil {
			key = origin.public
		}
		wanted = r.Wants(now, p.id, b)
	})
	if !wanted || key == nil {
		return false, nil
	}
	if err = b.Verify(key); err != nil {
		return false, fmt.Errorf("%w: RELAY: %w", ErrBreach, err)
	}
	return true, nil
}

// proved takes what is left of a batch.
func (p *Pair) proved(f frame.Proof) error {
	var key []byte
	g := p.x.relays
	g.mu.Lock()
	origin := g.pairs[gossip.Member{ID: f.Origin, Incarnation: f.Incarnation}]
	wanted := g.router.WantsProof(&f)
	if origin != nil {
		key = origin.public
	}
	g.mu.Unlock()
	if !wanted || key == nil {
		return nil
	}
	if err := f.Verify(key); err != nil {
		return fmt.Errorf("%w: PROOF: %w", ErrBreach, err)
	}
	g.call(func(r *gossip.Router, now time.Time) { r.Proved(now, f) })
	return nil
}

// unsigned takes a run that the peer sent over its own link, of which the first skip messages
// came before. It reports false, and does nothing, if the router does not know the peer. The
// caller holds p.hand.
func (p *Pair) unsigned(ev frame.Events, skip int) (known bool, err error) {
	p.arriving = arriving{ev: ev}
	if skip < ev.Count {
		p.arriving.rel = p
	}
	b := frame.Relay{
		Origin: p.id, Incarnation: p.inc, First: ev.First, Last: ev.First + ident.Seq(ev.Count) - 1,
		Message: ev.Message, Whole: ev.Message + ident.Seq(ev.Count) - 1, More: ev.More,
	}
	if ev.More {
		b.Whole--
	}
	p.x.relays.callFor(p, func(r *gossip.Router, now time.Time) { known = r.Direct(now, b) })
	if p.routed.Store(known); known && !p.arriving.done {
		p.pass(&ev, p.arriving.rel) // others brought it
	}
	err = p.arriving.err
	p.arriving = arriving{}
	return known, err
}

// handBare hands on the run that came without a signature, in its turn. The caller holds
// p.hand.
func (p *Pair) handBare(d *gossip.Delivery) {
	a := &p.arriving
	a.done = true
	if d.Skip > 0 {
		p.pass(&a.ev, a.rel)
		return
	}
	a.err = p.handOn(a.ev, int(d.Batch.First-a.ev.First), a.rel)
}

// handBatch hands on a batch. The caller holds p.hand.
func (p *Pair) handBatch(d *gossip.Delivery) {
	after, skip := d.Batch.Last, d.Skip
	if d.Batch.First == p.arriving.first {
		after, p.arriving.first = p.arriving.after, 0
	}
	p.eachRun(&d.Batch, after, func(ev frame.Events, _ int, rel mailbox.Releaser) {
		if skip > 0 {
			skip -= ev.Count
			p.pass(&ev, rel)
		} else if p.handOn(ev, 0, rel) != nil { // its origin broke a message, not who passed it on
			p.skip(&ev)
			p.pass(&ev, rel)
		}
	})
}
