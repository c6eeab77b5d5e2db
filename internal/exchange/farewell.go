package exchange

import (
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

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
