package exchange

import (
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
)

const (
	// signAfter is how long a member may have no link before broadcasts are signed for
	// others to pass on. A link that is replaced, or breaks and comes back at once, costs
	// nothing; what is published meanwhile is signed when the time has come.
	signAfter = 100 * time.Millisecond

	// signOn is how long they are signed after the last member got its link: longer than
	// anybody hopes for what is missing. So whatever comes without a signature says that
	// nothing before it is still to come.
	signOn = 5 * time.Second

	// signMost is how many frames are signed under one hold of the lock: about 1 ms.
	signMost = 16
)

// signing is whether broadcasts are signed. The lock of the log guards it.
type signing struct {
	on      bool
	lacks   bool      // a member has no link
	lacked  time.Time // when that was last so
	since   []byte    // the field that says with which batch it began; nil before that
	backlog bool      // some of what the log held at the beginning may not be signed yet
}

// review begins to sign, or ends it, as the members have links. The caller holds mu.
func (x *Exchange) review(now time.Time) {
	if x.cfg.Sign == nil {
		return
	}
	lacks, must := false, false
	for _, p := range x.members.Load().byID {
		if p == x.self || p.near() {
			continue
		}
		lacks = true
		// Nothing is kept for a member without a cursor, so that there is no time to lose.
		must = must || p.cursor == nil || now.Sub(p.without) >= signAfter
	}
	s := &x.signing
	if lacks || s.lacks {
		s.lacked = now
	}
	s.lacks = lacks
	switch {
	case must && !s.on:
		x.relays.enter(nil, x.sent) // while all that was not signed is known
		s.on, s.backlog, s.since = true, true, nil
		x.log.SignWith(x.sign)
		x.self.wake() // its loop signs what nobody takes
	case s.on && !lacks && now.Sub(s.lacked) >= signOn:
		s.on = false
		x.log.SignWith(nil)
	}
}

// reviewNow is review for a timer.
func (x *Exchange) reviewNow() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.review(time.Now())
}

// sign makes a RELAY of a frame of the log, and has the router keep it; nil if that fails. It
// is the [session.Signer] of the log, so the caller holds mu.
func (x *Exchange) sign(b frame.Relay) []byte {
	b.Origin, b.Incarnation = x.cfg.Self, x.cfg.Incarnation
	if b.Fields = x.signing.since; b.Fields == nil {
		b.Fields = frame.AppendSince(nil, b.First, b.Message)
	}
	if b.Sign(x.cfg.Sign) != nil {
		return nil
	}
	x.signing.since = b.Fields
	g := x.relays
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.router.Publish(now, b)
	for _, f := range g.router.Take().Forwards {
		for _, id := range f.To {
			// Who still takes the frame from the log gets the RELAY there.
			if p := g.linked[id]; p != nil && (p.cursor == nil || p.cursor.Passed(b.First)) {
				p.out.put(p, &b)
			}
		}
	}
	g.schedule(now)
	return b.Raw
}

// sent tells the router how far this node has published, if nothing of the last is signed. The
// caller holds mu. Nothing is delivered for it.
func (x *Exchange) sent(r *gossip.Router, now time.Time) {
	if !x.signing.on {
		last, whole := x.log.Place()
		r.Sent(now, gossip.Place{Received: last, Whole: whole})
	}
}

// signBacklog signs some of what the log held when signing began, and reports whether there
// is more. Without it what one member missed would wait for the next message to all.
func (x *Exchange) signBacklog() (more bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.signing.backlog {
		x.signing.backlog = x.log.Sign(signMost)
	}
	return x.signing.backlog
}
