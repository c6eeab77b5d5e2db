package exchange

import (
	"context"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// sweepInterval is how often sessions are looked at that nobody uses.
const sweepInterval = time.Second

// Run carries messages of the node to itself and ends the sessions of nodes that
// are gone, until ctx ends.
func (x *Exchange) Run(ctx context.Context) error {
	t := time.NewTicker(sweepInterval)
	defer t.Stop()
	l := newLoop(x.self)
	x.self.Attach(l)
	defer x.self.Detach()
	for {
		select {
		case <-l.wake:
			if err := l.turn(); err != nil { //nolint:contextcheck // a call has the context of its caller
				return err
			}
		case now := <-t.C:
			x.sweep(now)
		case <-ctx.Done():
			return nil
		}
	}
}

// loop is the link of a node to itself.
type loop struct {
	p      *Pair
	wake   chan struct{}
	frames [][]byte
}

// Send implements [Link]. The node is no neighbour of itself, so that there is nothing to send.
func (l *loop) Send([]byte) error { return nil }

func newLoop(p *Pair) *loop { return &loop{p: p, wake: make(chan struct{}, 1)} }

// Wake implements [Link].
func (l *loop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// turnMax is how many bytes the node hands itself between two looks at the clock.
const turnMax = 64 << 10

// turn hands the node some of what is there for it, and wakes the loop for the rest: a
// publisher who never pauses must not keep the node from ending.
func (l *loop) turn() error {
	l.frames = l.p.Fill(l.frames[:0], turnMax)
	for _, b := range l.frames {
		if err := l.frame(b); err != nil {
			return err
		}
	}
	if more := l.p.x.signBacklog(); more || len(l.frames) > 0 {
		l.Wake()
	}
	return nil
}

// frame receives one buffer of Fill, which holds one frame or several.
func (l *loop) frame(b []byte) error {
	for len(b) > 0 {
		raw, n, err := frame.Next(b)
		if err == nil {
			err = l.p.Receive(raw)
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// sweep ends sessions without a link and forgets the oldest ones that ended.
func (x *Exchange) sweep(now time.Time) {
	x.mu.Lock()
	x.log.Trim()
	x.review(now)
	x.mu.Unlock()
	for _, p := range x.all() {
		doubt, ended := x.expire(p, now)
		if ended {
			if !p.routed.Load() || x.Member(p.id) != p { // else others bring what it says
				x.silent(p)
			}
			x.dismiss(p)
		}
		x.inDoubt(p, doubt)
		p.needs()
	}
	x.questions.prune()
	x.forget(now)
	x.advertiseAll() // to whom this node serves what may depend on the leader, and on metadata
}

// expire is end for a session without a link for too long, unless it sleeps. It looks and
// ends under one lock, or it would end the session under a link that comes at this moment,
// which would then never carry a broadcast.
func (x *Exchange) expire(p *Pair, now time.Time) (doubt uint64, ended bool) {
	p.hand.Lock()
	defer p.hand.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.Trim()
	p.calls.log.Trim()
	if len(p.answers) > 0 {
		p.wake() // what other members took may have left room for it
	}
	if p.unlinked.IsZero() || now.Sub(p.unlinked) < unlinkedMax || p.sleeps() {
		return x.lapse(p, now), false
	}
	p.giveUpPieces()
	return x.giveUp(p), true
}

// giveUpPieces throws away messages of which some pieces came. Thousands of sessions that
// are over are remembered, and each could hold two messages of EventMax bytes. Should a
// rest come after all, it is skipped and the message counted as lost. The caller holds
// p.hand and p.mu, and p has no link, so that nobody reads.
func (p *Pair) giveUpPieces() {
	for lane := range p.parts {
		if lane == int(frame.Broadcast) && p.routed.Load() && p.x.Member(p.id) == p {
			continue // others bring the rest
		}
		if a := &p.parts[lane]; a.Wants(frame.Events{}) {
			a.Reset()
			p.x.count(a)
			a.skipping = true
		}
		p.in[lane].GiveUp()
	}
}

// End ends the session with one incarnation of a node that left.
func (x *Exchange) End(id ident.NodeID, inc ident.Incarnation) {
	x.mu.Lock()
	p := x.pairs[key{id, inc}]
	x.mu.Unlock()
	if p != nil && p != x.self {
		p.mu.Lock()
		p.spoke = false // it said goodbye
		p.mu.Unlock()
		x.end(p)
	}
}

// Supersede ends the sessions with all other incarnations of a node, of which inc is the one
// that runs now.
func (x *Exchange) Supersede(id ident.NodeID, inc ident.Incarnation) {
	x.mu.Lock()
	var over []*Pair
	for _, p := range x.order {
		if p.id == id && p.inc != inc && p != x.self {
			over = append(over, p)
		}
	}
	x.mu.Unlock()
	for _, p := range over {
		x.silent(p)
		x.end(p)
	}
}

// end gives up what p has not acknowledged, and again what was published to it alone
// since it was ended. The numbers go on: should p return, they tell it what it missed.
func (x *Exchange) end(p *Pair) {
	p.mu.Lock()
	doubt := x.giveUp(p)
	p.mu.Unlock()
	x.dismiss(p)
	x.inDoubt(p, doubt)
}

// dismiss forgets what was asked of the peer of a session that ended, and what its groups
// subscribed to. The caller holds no lock.
func (x *Exchange) dismiss(p *Pair) {
	x.questions.over(p)
	x.directory.set(p, nil)
	p.methods.Store(nil)
	p.listening.Store(nil)
}

// giveUp is end but for the report: it returns how many messages are in doubt. The caller
// holds p.mu.
func (x *Exchange) giveUp(p *Pair) (doubt uint64) {
	x.mu.Lock()
	p.going = false
	if p.cursor != nil {
		doubt = p.cursor.Waiting()
		p.cursor.Close()
		p.cursor = nil
		x.room.open()
	}
	x.mu.Unlock()
	doubt += p.direct.GiveUp()
	p.errands, p.answers = nil, nil
	p.hangUp()
	x.awaited.loseAll(p)
	p.count()
	p.room.open()
	return doubt
}

// inDoubt reports messages that may not have arrived. The caller holds no lock.
func (x *Exchange) inDoubt(p *Pair, count uint64) {
	if count > 0 && x.cfg.InDoubt != nil {
		x.cfg.InDoubt(p.id, p.inc, count)
	}
}

// silent tells the subscriptions that p went without a goodbye: it may have published
// more than came, and nobody can say how much. Nodes that never published are left
// out.
func (x *Exchange) silent(p *Pair) {
	p.mu.Lock()
	spoke := p.spoke
	p.spoke = false
	p.mu.Unlock()
	if spoke {
		x.box.Lost(mailbox.Loss{From: p.id, Unknown: true})
	}
}

// forget drops the oldest ended sessions beyond the limit, but for those of members.
func (x *Exchange) forget(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	over := len(x.order) - pairsMax
	x.order = slices.DeleteFunc(x.order, func(p *Pair) bool {
		if over <= 0 || p.going || p.link.Load() != nil || x.Member(p.id) == p ||
			now.Sub(p.made) < unlinkedMax {
			return false
		}
		over--
		delete(x.pairs, key{p.id, p.inc})
		x.relays.forget(p)
		return true
	})
}

// Opened reports whether messages can travel both ways now.
func (p *Pair) Opened() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Ready is Opened, and that the groups, methods and services of the peer are known here if it has
// any: whatever is published then is for all who subscribed before, and a call finds who serves it.
func (p *Pair) Ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened && !p.untold && !p.calls.methods.untold && !p.calls.services.untold
}

// Drained reports whether every member has acknowledged everything, also one whose link
// is about to come back.
func (x *Exchange) Drained() bool {
	for _, p := range x.members.Load().byID {
		if p != x.self && !p.drained() {
			return false
		}
	}
	return true
}

// ended reports whether the session ended, and has not begun anew.
func (p *Pair) ended() bool {
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	return !p.going
}

func (p *Pair) drained() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	return len(p.errands) == 0 && p.direct.Waiting() == 0 && p.calls.idle() &&
		(p.cursor == nil || p.cursor.Waiting() == 0)
}

// Figures returns what waits and what was lost, for people.
func (x *Exchange) Figures() (queues, dropped map[string]uint64) {
	waiting, overflow := x.box.Figures()
	x.mu.Lock()
	defer x.mu.Unlock()
	queues = map[string]uint64{
		"subscriptions":   waiting,
		"broadcast_bytes": uint64(x.log.Held()),
		"direct_bytes":    uint64(max(x.direct.Load(), 0)),
	}
	dropped = map[string]uint64{
		"subscriptions": overflow,
		"stalled":       x.givenUp,
		"topics":        x.forged.Load(),
		"stale_terms":   x.stale.Load(),
		"receipts":      x.unanswered.Load(),
		"busy_calls":    x.busy.Load(),
		"relays":        x.crowded.Load(),
	}
	return queues, dropped
}

// Subscribe adds a subscription to a checked pattern, and in o to a checked group. The error
// is [ErrTooManyGroups] where those of groups exceed [frame.InterestsMax] or the groups
// [frame.GroupsMax], or that the box is closed.
func (x *Exchange) Subscribe(pattern string, o mailbox.Options) (*mailbox.Queue, error) {
	if o.Group != "" {
		list := x.box.Interests()
		groups := map[string]bool{o.Group: true}
		for _, i := range list {
			groups[i.Group] = true
		}
		more := frame.Interest{Group: o.Group, Pattern: pattern, Except: o.Except}.Append(encode(list))
		if len(more) > frame.InterestsMax || len(groups) > frame.GroupsMax {
			return nil, ErrTooManyGroups
		}
	}
	return x.box.Subscribe(pattern, o)
}

// Topics returns what is known of topics; see [mailbox.Box.Topics].
func (x *Exchange) Topics() []mailbox.Topic { return x.box.Topics() }
