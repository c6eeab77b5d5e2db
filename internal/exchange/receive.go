package exchange

import (
	"errors"
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/session"
)

// events takes a run of messages that came over the pair's link: duplicates are dropped, a
// jump of the numbers is reported, the rest goes to the subscriptions. It runs on the one
// goroutine that reads the link, so runs reach the queues in the order of their numbers.
func (p *Pair) events(ev frame.Events, cost int) error {
	if !p.carriesLane(ev.Lane) {
		return fmt.Errorf("%w: a broadcast on a link on demand", ErrBreach)
	}
	if ev.Lane == frame.Broadcast {
		return p.broadcast(ev, cost)
	}
	skip, lost, err := p.accept(&ev, cost)
	if err != nil {
		return err
	}
	p.lost(ev.Lane, lost)
	if skip == ev.Count {
		return nil
	}
	last := ev.First + ident.Seq(ev.Count) - 1
	owned, whole, err := p.join(&ev, skip, p)
	switch {
	case !whole:
	case p.internal(ev, owned):
		p.Release(ev.Lane, last)
	default:
		p.spread(ev, last, owned, p)
	}
	return err
}

// broadcast is events for what the peer published to all. Others bring that, too.
func (p *Pair) broadcast(ev frame.Events, cost int) error {
	p.hand.Lock()
	defer p.hand.Unlock()
	skip, lost, err := p.accept(&ev, cost)
	if err != nil {
		return err
	}
	if p.routed.Load() {
		if known, err := p.unsigned(ev, skip); known {
			return err
		}
	}
	p.lost(ev.Lane, lost)
	if skip == ev.Count {
		return nil
	}
	return p.handOn(ev, skip, p)
}

// accept counts a run of the lane that came over the pair's link; see [session.Inbox.Accept].
func (p *Pair) accept(ev *frame.Events, cost int) (skip int, lost uint64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.carries() {
		return 0, 0, errNotOpen
	}
	if !p.spoke { // what exchanges tell each other is not published
		p.spoke = ev.Lane != frame.Calls && !glob.Reserved(string(ev.Topic))
	}
	if skip, lost, err = p.in[ev.Lane].Accept(*ev, cost); err != nil {
		return 0, 0, fmt.Errorf("%w: EVENTS: %w", ErrBreach, err)
	}
	return skip, lost, nil
}

// handOn hands a run of broadcasts to the subscriptions. Who waits for it to be in their
// queues is told; nil for nobody, because it came by way of others. The caller holds p.hand.
func (p *Pair) handOn(ev frame.Events, skip int, rel mailbox.Releaser) error {
	last := ev.First + ident.Seq(ev.Count) - 1
	owned, whole, err := p.join(&ev, skip, rel)
	if whole {
		p.spread(ev, last, owned, rel)
	}
	return err
}

// join joins the pieces of large messages, and cuts off the first skip messages of a run. It
// reports whether ev is to be handed on now, and whether its bytes are nobody else's.
func (p *Pair) join(ev *frame.Events, skip int, rel mailbox.Releaser) (owned, whole bool, err error) {
	last := ev.First + ident.Seq(ev.Count) - 1
	owned, more := p.parts[ev.Lane].Wants(*ev), ev.More
	whole, err = p.assemble(ev)
	if err != nil || !whole && more {
		return false, false, err // the last piece releases the others
	}
	if !whole {
		release(rel, ev.Lane, last)
		return false, false, nil
	}
	for range skip {
		_, ev.Run = frame.NextPayload(ev.Run)
	}
	ev.Message, ev.Count = ev.Message+ident.Seq(skip), ev.Count-skip
	return owned, true, nil
}

// spread hands a run that is whole to the subscriptions.
func (p *Pair) spread(ev frame.Events, last ident.Seq, owned bool, rel mailbox.Releaser) {
	if p.unwanted(ev) {
		p.refuse(&ev)
		release(rel, ev.Lane, last)
		return
	}
	r := mailbox.Run{Last: last, Owned: owned, Loose: rel == nil}
	if !owned && len(ev.Run) > p.x.cfg.EventMax {
		p.sift(&ev, r, rel)
	}
	if ev.Count > 0 {
		p.deliver(ev, r, rel)
	}
}

// release tells who waits that a run needs no more care.
func release(rel mailbox.Releaser, lane frame.Lane, last ident.Seq) {
	if rel != nil {
		rel.Release(lane, last)
	}
}

// internal takes calls, and what the exchange of the peer says to this one, and reports whether it
// was that. What was said together came in one run, whose bytes are kept if they are owned.
func (p *Pair) internal(ev frame.Events, owned bool) bool {
	if ev.Lane == frame.Calls {
		p.called(ev, owned)
		return true
	}
	var take func(payload []byte)
	switch string(ev.Topic) {
	case frame.TopicReceipt:
		take = p.receipt
	case frame.TopicInterests:
		take = p.interested
	case frame.TopicReplay:
		take = p.replay
	case frame.TopicReplayed:
		take = p.replayed
	default:
		return false
	}
	for run := ev.Run; len(run) > 0; {
		var payload []byte
		payload, run = frame.NextPayload(run)
		take(payload)
	}
	return true
}

// unwanted reports whether a run is for nobody here: this node left itself out, the peer
// forged the topic, or it published as a leader whose reign is over.
func (p *Pair) unwanted(ev frame.Events) bool {
	switch {
	case p == p.x.self && ev.Class&notSelf != 0:
	case !p.publishable(ev):
		p.x.forged.Add(uint64(ev.Count))
	case p.x.outdated(&ev):
		p.x.stale.Add(uint64(ev.Count))
	default:
		return false
	}
	return true
}

// outdated reports whether a run was published in a term that a later one has followed.
func (x *Exchange) outdated(ev *frame.Events) bool {
	election, term := ev.Reign()
	return term != 0 && x.cfg.Stale != nil && x.cfg.Stale(election, term)
}

// publishable reports whether Publish would have taken the topic. A member that sends
// others forges: its event must not pass for a change.
func (p *Pair) publishable(ev frame.Events) bool {
	known := &p.parts[ev.Lane].topic // runs of one topic come in droves
	if *known != "" && *known == string(ev.Topic) {
		return true
	}
	topic := string(ev.Topic)
	if glob.CheckTopic(topic) != nil || glob.Reserved(topic) {
		return false
	}
	*known = topic
	return true
}

// deliver hands a run to the subscriptions. Of r is set what the frame does not say.
func (p *Pair) deliver(ev frame.Events, r mailbox.Run, rel mailbox.Releaser) {
	_, r.Term = ev.Reign()
	r.From, r.Name, r.Inc, r.At = p.id, p.name, p.inc, time.Now()
	r.Lane, r.First, r.Count, r.Data = ev.Lane, ev.Message, ev.Count, ev.Run
	r.Codec, r.Group = ev.Codec, ev.Group()
	if past := ev.Past(); past.Number != 0 {
		p.past(ev, past, r, rel)
		return
	}
	wish := ev.Wish()
	if wish == frame.WishHandled {
		r.Slip = p.slip(&ev)
	}
	queues := p.x.box.Deliver(&p.parts[ev.Lane].route, ev.Topic, r, rel)
	switch {
	case wish != frame.WishQueued:
	case queues == 0:
		p.refuse(&ev)
	default:
		p.answer(verdict(&ev, frame.VerdictQueued))
	}
}

// sift loses the messages of a run that are above this node's limit, which must be below
// that of the peer and that of one frame. It delivers what comes before the last of them
// and leaves in ev what follows it; if that is nothing it releases the run.
func (p *Pair) sift(ev *frame.Events, r mailbox.Run, rel mailbox.Releaser) {
	rest := *ev
	rest.Count = 0
	for run := ev.Run; len(run) > 0; {
		var payload []byte
		begin := run
		if payload, run = frame.NextPayload(run); len(payload) <= p.x.cfg.EventMax {
			rest.Count++
			continue
		}
		if rest.Run = rest.Run[:len(rest.Run)-len(begin)]; rest.Count > 0 {
			p.deliver(rest, r, nil)
		}
		p.x.box.Lost(mailbox.Loss{From: p.id, Topic: string(ev.Topic), Lane: ev.Lane, Count: 1})
		large := rest
		large.Message, large.Count = rest.Message+ident.Seq(rest.Count), 1
		p.refuse(&large)
		rest.Message += ident.Seq(rest.Count) + 1
		rest.Run, rest.Count = run, 0
	}
	if *ev = rest; ev.Count == 0 {
		release(rel, ev.Lane, r.Last)
	}
}

// assemble joins pieces. It reports whether ev holds whole messages now; the last
// piece of a large one brings all of it. A message above this node's limit is lost to
// it, which is no fault of the peer's, whose limit may be higher.
func (p *Pair) assemble(ev *frame.Events) (whole bool, err error) {
	parts := &p.parts[ev.Lane]
	switch {
	case parts.skipping:
		p.skip(ev)
		return false, nil
	case !parts.Wants(*ev):
		return true, nil
	}
	run, broken := parts.Add(*ev)
	if p.x.count(parts) > max(assemblingMax, int64(p.x.cfg.EventMax)) && run == nil {
		parts.Reset()
		p.x.count(parts)
		broken = session.ErrTooLarge
	}
	if errors.Is(broken, session.ErrTooLarge) {
		p.skip(ev)
		return false, nil
	}
	if broken != nil {
		return false, fmt.Errorf("%w: EVENTS: %w", ErrBreach, broken)
	}
	ev.Run, ev.More = run, false
	return run != nil, nil
}

// count counts what a message in progress holds, and returns what all of them hold.
func (x *Exchange) count(a *arrival) int64 {
	held := a.Held()
	total := x.assembling.Add(int64(held - a.held))
	a.held = held
	return total
}

// skip passes over a piece of a message that is too large. The last piece tells the
// loss; if that gets lost itself, the jump of the numbers does.
func (p *Pair) skip(ev *frame.Events) {
	if p.parts[ev.Lane].skipping = ev.More; !ev.More {
		if ev.Lane == frame.Calls {
			p.tell(frame.Answer{Number: ev.Message, Outcome: frame.OutcomeTooLarge})
			return
		}
		p.refuse(ev)
		p.x.box.Lost(mailbox.Loss{From: p.id, Topic: string(ev.Topic), Lane: ev.Lane, Count: 1})
	}
}

// lost reports messages of the peer that will never come.
func (p *Pair) lost(lane frame.Lane, count uint64) {
	if count == 0 {
		return
	}
	p.parts[lane].Reset()
	p.x.count(&p.parts[lane])
	p.parts[lane].skipping = false
	if lane == frame.Calls {
		p.hungUp()
		return
	}
	p.x.box.Lost(mailbox.Loss{From: p.id, Lane: lane, Count: count})
}
