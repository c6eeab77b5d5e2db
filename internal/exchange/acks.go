package exchange

import (
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Release notes that the subscriptions took the messages of lane up to last, so that
// they can be acknowledged. Mailboxes call it, once for each run.
func (p *Pair) Release(lane frame.Lane, last ident.Seq) {
	now := time.Now()
	p.mu.Lock()
	in := p.in[lane]
	in.Release(last)
	n, due := in.Ack(now, false)
	if due {
		p.owed[lane] = n
	} else {
		p.schedule(now)
	}
	p.mu.Unlock()
	if due {
		p.wake()
	}
}

// acknowledge appends what is to be acknowledged to acks: what is due, or, if frames
// leave anyway, all.
func (p *Pair) acknowledge(anyway bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acks = p.appendAcks(p.acks, now, anyway)
	p.schedule(now)
}

// appendAcks appends what is to be acknowledged: what is due, or, if frames leave anyway,
// all. The caller holds mu.
func (p *Pair) appendAcks(dst []byte, now time.Time, anyway bool) []byte {
	for lane, in := range p.in {
		if !p.carriesLane(frame.Lane(lane)) {
			continue
		}
		if n, ok := in.Ack(now, anyway); ok {
			p.owed[lane] = n
		}
		if n := p.owed[lane]; n > 0 {
			dst = frame.Acked{Lane: frame.Lane(lane), Number: n}.Append(dst)
			p.owed[lane] = 0
		}
	}
	return dst
}

// schedule sets the timer for the next acknowledgement that falls due without help.
// The caller holds mu.
func (p *Pair) schedule(now time.Time) {
	var next time.Time
	for lane := range p.in {
		at, ok := p.in[lane].Next()
		if ok && p.carriesLane(frame.Lane(lane)) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	// A timer that goes off early does no harm, and setting it for every run would
	// cost more than the acknowledgements.
	if next.IsZero() || !p.alarm.IsZero() && !next.Before(p.alarm) {
		return
	}
	p.alarm = next
	if p.timer == nil {
		p.timer = time.AfterFunc(next.Sub(now), p.ring)
	} else {
		p.timer.Reset(next.Sub(now))
	}
}

// ring makes the writer look for acknowledgements.
func (p *Pair) ring() {
	p.mu.Lock()
	p.alarm = time.Time{}
	p.mu.Unlock()
	p.wake()
}

// Farewell returns the acknowledgement of everything that is in the queues, encoded, for
// a node that is about to close its links: without it the peers would take their last
// messages for undelivered.
func (p *Pair) Farewell(now time.Time) (frames []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.carries() {
		return nil
	}
	return p.appendAcks(nil, now, true)
}

// acked takes an acknowledgement of the peer: it makes room in the log, and in the
// peer's window.
func (p *Pair) acked(a frame.Acked) error {
	var err error
	var pending bool
	if !p.Opened() {
		return errNotOpen
	}
	switch a.Lane {
	case frame.Broadcast:
		if p.onDemand() {
			return fmt.Errorf("%w: ACKED of broadcasts on a link on demand", ErrBreach)
		}
		pending, err = p.ackedBroadcasts(a.Number)
	case frame.Calls:
		pending, err = p.ackedCalls(a.Number)
	case frame.Direct:
		p.mu.Lock()
		err = p.direct.Acked(a.Number)
		p.count()
		pending = p.direct.Pending() || p.due()
		p.room.open()
		p.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("%w: ACKED: %w", ErrBreach, err)
	}
	if pending {
		p.wake()
	}
	return nil
}

// ackedBroadcasts is acked for the lane of broadcasts.
func (p *Pair) ackedBroadcasts(number ident.Seq) (pending bool, err error) {
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	if p.cursor != nil {
		err = p.cursor.Acked(number)
		pending = p.cursor.Pending()
	}
	p.x.room.open()
	return pending, err
}
