package exchange

import (
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// uncounted is how far the count of all direct logs may be behind that of one of them, in
// bytes: to keep it exact would cost each message what adding it to the log does.
const uncounted = 4 << 10

// Post is the short way of [Exchange.Direct] for a message that is nothing but its bytes. It
// returns false where that needs more than a link and a place in the frame that is being
// filled; then it has done nothing, and Direct does it, or says why not. It takes the place of
// id, for to copy it would cost a fifth of the whole.
func (x *Exchange) Post(id *ident.NodeID, topic string, codec uint8, payload []byte) bool {
	m := x.members.Load()
	p := m.last.Load()
	if p == nil || p.id != *id {
		p = m.find(*id)
	}
	if p == nil || p.link.Load() == nil || x.over() || !p.extend(topic, codec, payload) {
		return false
	}
	p.wake()
	return true
}

// extend adds a direct message to the open frame, if that takes it.
func (p *Pair) extend(topic string, codec uint8, payload []byte) bool {
	p.mu.Lock()
	ok := p.x.direct.Load() <= directBytesMax && p.log.Extend(topic, codec, frame.ClassReliable, payload)
	if ok && p.held() > p.counted+uncounted {
		p.count()
	}
	p.mu.Unlock()
	return ok
}

// count adds what the logs hold now to the count of all direct logs. The caller holds mu.
func (p *Pair) count() {
	held := p.held()
	p.x.direct.Add(int64(held - p.counted))
	p.counted = held
}

// held returns what the logs hold, in bytes. The caller holds mu.
func (p *Pair) held() int { return p.log.Held() + p.calls.log.Held() }
