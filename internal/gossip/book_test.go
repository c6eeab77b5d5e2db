package gossip_test

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

// bug is a mistake that the surroundings of every router make, so that a test can show
// that the checker finds it.
type bug uint8

const (
	none     bug = iota
	twice        // what comes twice is delivered twice
	miscount     // a loss is told as one message less than it was
	echo         // a batch goes back to where it came from
	hoard        // the store has no bound
)

// writer makes the batches of one origin.
type writer struct {
	self    gossip.Member
	next    ident.Seq // number of the next message or piece
	message ident.Seq // number of the message that it belongs to
	open    bool      // of that message some pieces are out
}

// frame is one EVENTS frame to come: so many messages, or a piece of one that goes on.
type piece struct {
	count int
	size  int // bytes of each payload
	more  bool
}

// filler is what payloads are cut from.
var filler = make([]byte, frame.BatchMax)

// batch returns the next batch. Nobody looks at its signature.
func (o *writer) batch(pieces ...piece) frame.Relay {
	b := frame.Relay{
		Origin: o.self.ID, Incarnation: o.self.Incarnation, First: o.next, Message: o.message, Continues: o.open,
	}
	for _, p := range pieces {
		start := len(b.Frames)
		b.Frames = frame.BeginEvents(b.Frames, frame.Events{
			First: o.next, Message: o.message, More: p.more, Topic: []byte("t"),
		})
		for range p.count {
			b.Frames = frame.AppendPayload(b.Frames, filler[:p.size])
		}
		frame.Seal(b.Frames[start:])
		o.next += ident.Seq(p.count)
		if o.open = p.more; !p.more {
			o.message += ident.Seq(p.count)
		}
	}
	b.Last = o.next - 1
	if err := b.Sign(func([]byte) ([]byte, error) { return []byte("signed"), nil }); err != nil {
		panic(err)
	}
	return b
}

// book is the truth about one origin.
type book struct {
	batches []frame.Relay
	times   []time.Time                  // when each was published
	begins  map[ident.Seq]ident.Seq      // the first number of each message
	listed  map[gossip.Member]*ident.Seq // the last message when a node was listed
	closed  bool                         // nothing more will come
}

// add notes a batch that was published.
func (k *book) add(now time.Time, b frame.Relay) {
	k.times = append(k.times, now)
	if k.begins == nil {
		k.begins = map[ident.Seq]ident.Seq{}
	}
	k.batches = append(k.batches, b)
	for rest := b.Frames; len(rest) > 0; {
		e, n := next(rest)
		rest = rest[n:]
		for i := range ident.Seq(e.Count) {
			if _, known := k.begins[e.Message+i]; !known {
				k.begins[e.Message+i] = e.First + i
			}
		}
	}
}

// last returns the number of the last message that is out as a whole.
func (k *book) last() ident.Seq {
	if len(k.batches) == 0 {
		return 0
	}
	return k.batches[len(k.batches)-1].Whole
}

// since returns when a message was complete.
func (k *book) since(message ident.Seq) time.Time {
	at, _ := slices.BinarySearchFunc(k.batches, message, func(b frame.Relay, m ident.Seq) int {
		return cmp.Compare(b.Whole, m)
	})
	return k.times[at]
}

// next decodes the first of some EVENTS frames.
func next(frames []byte) (e frame.Events, size int) {
	raw, n, err := frame.Next(frames)
	if err == nil {
		e, err = frame.DecodeEvents(raw.Payload)
	}
	if err != nil {
		panic(err)
	}
	return e, n
}

// reader is what the subscriptions of one node got of one origin: it puts messages
// together as they do.
type reader struct {
	begun   bool
	start   ident.Seq // the message before the first one that was delivered or told as lost
	number  ident.Seq // the last that was delivered or skipped
	message ident.Seq // the last that was delivered as a whole, or told as lost
	open    bool      // of the next one some pieces were delivered
	lost    uint64
	told    int    // losses
	before  uint64 // of lost, what was told before the first delivery
	over    bool
}

// read takes a delivery and holds it against what was published.
func (p *proc) read(d gossip.Delivery) {
	w, from := p.net, gossip.Member{ID: d.Origin, Incarnation: d.Incarnation}
	r := p.readers[from]
	if r == nil {
		r = &reader{}
		p.readers[from] = r
	}
	if w.bug == miscount && d.Lost > 0 {
		d.Lost--
	}
	k := w.books[from]
	switch {
	case r.over:
		w.fail("D2: %d gets something of %d after its end", p.slot, w.slots[from.ID])
	case d.Unknown:
		r.over = true
		return
	case d.Batch.Frames == nil:
		r.lose(d.Lost)
		return
	}
	at := -1
	if k != nil {
		at = k.find(d.Batch.First)
	}
	if at < 0 || !bytes.Equal(k.batches[at].Frames, d.Batch.Frames) || k.batches[at].Last != d.Batch.Last {
		w.fail("D4: %d gets batch %d of %d, which was never published", p.slot, d.Batch.First, w.slots[from.ID])
		return
	}
	if why := r.deliver(k, d); why != "" {
		w.fail("%s: %d gets batch %d to %d of %d, skip %d, lost %d, after number %d, message %d",
			why, p.slot, d.Batch.First, d.Batch.Last, w.slots[from.ID], d.Skip, d.Lost, r.number, r.message)
	}
}

// find returns the place of the batch that begins with a number, -1 if there is none.
func (k *book) find(first ident.Seq) int {
	for i := range k.batches {
		if k.batches[len(k.batches)-1-i].First == first {
			return len(k.batches) - 1 - i
		}
	}
	return -1
}

// lose takes a loss that nothing follows yet.
func (r *reader) lose(n uint64) {
	r.lost += n
	r.told++
	r.open = false
	if r.begun {
		r.message += ident.Seq(n)
	} else {
		r.before += n
	}
}

// deliver goes through a batch, and returns which invariant it breaks.
func (r *reader) deliver(k *book, d gossip.Delivery) string {
	b := &d.Batch
	if !r.begun {
		r.begun = true
		r.message = b.Message - 1
		if d.Skip > 0 {
			r.message++ // a message that began before is none of this node's
		}
		r.start = r.message - ident.Seq(d.Lost+r.before)
		r.number = b.First - 1
	} else {
		if b.First <= r.number {
			return "D1 or D2"
		}
		if b.First > r.number+1 {
			r.open = false
		}
		r.number = b.First - 1
		r.message += ident.Seq(d.Lost)
	}
	if r.lost += d.Lost; d.Lost > 0 {
		r.told++
	}
	if d.Skip > 0 && (!b.Continues || r.message != b.Message || d.Skip != b.Head) {
		return "D3"
	}
	for rest := b.Frames; len(rest) > 0; {
		e, n := next(rest)
		rest = rest[n:]
		r.number = e.First + ident.Seq(e.Count) - 1
		if d.Skip > 0 {
			d.Skip -= e.Count
			continue
		}
		if e.Message != r.message+1 || !r.open && k.begins[e.Message] != e.First {
			return "D3"
		}
		if r.open = e.More; !e.More {
			r.message += ident.Seq(e.Count)
		}
	}
	return ""
}
