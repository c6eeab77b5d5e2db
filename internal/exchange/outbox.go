package exchange

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// outboxMax is how much waits for one link of what is passed on, in bytes. Beyond it batches
// are dropped, and the peer asks for them.
const outboxMax = 4 << 20

// outbox is what is passed on over one link. It is bounded and nobody waits for it.
type outbox struct {
	used atomic.Bool // something waits; saves the writer the lock

	mu     sync.Mutex // guards what follows
	own    [][]byte   // of this node, beyond what the lane carries
	others [][]byte
	bytes  int
}

// put adds a batch, unless the outbox is full, and wakes the writer of p's link.
func (o *outbox) put(p *Pair, b *frame.Relay) {
	if o.add(b, p.x.cfg.Self) {
		p.wake()
	} else {
		p.x.crowded.Add(1)
	}
}

// add is put under the lock. It reports whether there was room.
func (o *outbox) add(b *frame.Relay, self ident.NodeID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bytes+len(b.Raw) > outboxMax {
		return false
	}
	if b.Origin == self {
		raw := slices.Clone(b.Raw)
		raw[0] = byte(frame.TypeRepeat)
		o.own = append(o.own, raw)
	} else {
		o.others = append(o.others, b.Raw)
	}
	o.bytes += len(b.Raw)
	o.used.Store(true)
	return true
}

// owes reports whether something of this node waits, which goes before the lane.
func (o *outbox) owes() bool {
	if !o.used.Load() {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.own) > 0
}

// take appends about bytesMax bytes of frames to dst, but at least one: first those of this
// node, so that what a peer may keep for others comes before what follows it.
func (o *outbox) take(dst [][]byte, bytesMax int) [][]byte {
	if !o.used.Load() {
		return dst
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for taken := 0; taken < bytesMax && len(o.own)+len(o.others) > 0; {
		from := &o.own
		if len(o.own) == 0 {
			from = &o.others
		}
		f := (*from)[0]
		(*from)[0] = nil
		if *from = (*from)[1:]; len(*from) == 0 {
			*from = nil
		}
		dst = append(dst, f)
		taken += len(f)
		o.bytes -= len(f)
	}
	o.used.Store(o.bytes > 0)
	return dst
}

// clear drops what waits for a link that has ended.
func (o *outbox) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.own, o.others, o.bytes = nil, nil, 0
	o.used.Store(false)
}
