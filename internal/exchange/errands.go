package exchange

import (
	"errors"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/session"
)

// errandsMax is how many messages of the exchange itself, such as receipts, wait for room in
// the direct log of one member.
const errandsMax = 16 << 10

// note returns a message of the exchange itself.
func note(topic string, payload []byte) session.Message {
	return session.Message{Topic: topic, Class: frame.ClassReliable, Payload: payload}
}

// errand puts a message to the peer behind those that wait for room in the log.
func (p *Pair) errand(m session.Message) {
	p.mu.Lock()
	if len(p.errands) < errandsMax {
		p.errands = append(p.errands, m)
	} else {
		p.x.unanswered.Add(1)
	}
	p.mu.Unlock()
	p.reach()
}

// due reports whether the exchange itself has to say something. The caller holds mu.
func (p *Pair) due() bool {
	return len(p.errands)+len(p.answers) > 0 || p.announcing && p.x.interests.Load() != nil
}

// run puts what the exchange has to say into the log as far as there is room. The caller
// holds mu.
func (p *Pair) run() {
	if !p.due() {
		return
	}
	p.announce()
	for len(p.errands) > 0 && p.put(p.errands[0]) {
		p.errands = p.errands[1:]
	}
	if len(p.errands) == 0 {
		p.errands = nil
	}
	p.reply()
	p.count()
}

// put puts a message into the log, and reports whether there was room for it, or never will
// be. The caller holds mu.
func (p *Pair) put(m session.Message) bool {
	_, err := p.log.Append(m)
	return !errors.Is(err, session.ErrFull)
}
