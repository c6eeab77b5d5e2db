package session

import (
	"fmt"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Overhead is what a message counts beyond its bytes against a budget or a window, in
// bytes, so that a flood of empty messages is bounded too.
const Overhead = 64

// Cost returns what an EVENTS frame counts against a budget or a window, in bytes:
// the length of its payload, and [Overhead] for each of its messages. Both ends of a
// session count alike.
func Cost(payload, count int) int { return payload + Overhead*count }

// Sizes of what a log makes.
const (
	// PieceMax is the payload of the largest message that travels whole, in bytes. A
	// larger one is cut into pieces of this size. It leaves room for the rest of the
	// frame, so that two such frames fill one block.
	PieceMax = 32<<10 - 512

	// RunMax is how many messages one frame holds at most, so that a frame of tiny
	// messages stays below [WindowMin] too.
	RunMax = 1024

	// frameTarget is the length at which a frame takes no further message, in bytes:
	// the most that one TLS record holds.
	frameTarget = 16 << 10
)

// Limits bounds a [Log]. The zero Limits means the defaults.
type Limits struct {
	// BytesMax is how much the log holds for its slowest cursor, in bytes as [Cost]
	// counts. Default 4 MiB. An empty log takes any message, however large.
	BytesMax int

	// EventMax is the payload of the largest message, in bytes. Default 1 MiB, at most
	// 64 MiB.
	EventMax int
}

// Defaults and limits of [Limits].
const (
	BytesMaxDefault = 4 << 20
	EventMaxDefault = 1 << 20
	EventMaxMost    = 64 << 20
)

// withDefaults returns o with its zeros filled in.
func (o Limits) withDefaults() Limits {
	if o.BytesMax <= 0 {
		o.BytesMax = BytesMaxDefault
	}
	if o.EventMax <= 0 {
		o.EventMax = EventMaxDefault
	}
	o.EventMax = min(o.EventMax, EventMaxMost)
	return o
}

// Message is what [Log.Append] takes. Nothing of it is kept but the topic and the reign.
type Message struct {
	Topic        string // checked by the caller
	Codec, Class uint8
	Payload      []byte

	// Reign is the one in which a leader publishes; nil for a message that needs no leader.
	// Those that have it in common travel together, so it must not change.
	Reign *Reign

	// Wish asks the receivers for a receipt. What is to be handled travels alone in its
	// frame, so that each message has a receipt of its own.
	Wish frame.Wish

	// Group names the group of subscriptions for which the message is; empty for all.
	Group string

	// Key says what the message is about, for who keeps it. It does not travel.
	Key string

	// Past says of what the message is a replay; nil for a new one. It must not change.
	Past *frame.Past
}

// Reign is one reign of a leader.
type Reign struct {
	Election string     // its name, of [frame.ElectionMax] bytes at most
	Term     ident.Term // at least 1
}

// Log holds the messages of one lane as encoded frames until every [Cursor] is past
// them. Messages without a cursor that waits for them are numbered and forgotten. A
// Log and its cursors must be used by one goroutine at a time.
type Log struct {
	lane   frame.Lane
	limits Limits
	next   ident.Seq // number of the next message or piece
	count  ident.Seq // messages so far: the number of the last one, pieces not counted
	held   int       // cost of the frames in the ring
	full   bool      // Append refused, and nothing was freed since
	owed   bool      // Append refused a message in pieces, and keeps room for it

	ring    ring[entry]
	cursors []*Cursor // in the order of Open

	// The open frame takes messages alike in all but the payload until it is full or
	// wanted. It is the last of the ring, or nil.
	open  *entry
	topic string
	codec uint8
	class uint8
	reign *Reign
	wish  frame.Wish
	group string
	past  *frame.Past

	// tail is the open frame without its end, or empty where the next one begins; its
	// capacity ends with the block.
	tail   []byte
	block  *block
	pool   pool
	fields []byte // scratch of begin

	trimmed ident.Seq // next at the last Trim

	sign   Signer // nil while nothing is signed
	signed uint64 // position before which nothing is to be signed any more
}

// entry is one frame in the ring.
type entry struct {
	bytes []byte // header and payload; nil while open
	block *block
	first ident.Seq
	whole ident.Seq // the first message or the piece's among all messages
	count int       // messages
	cost  int       // as Cost counts
	refs  int       // cursors that have not passed it
	rest  bool      // a piece, and not the first one of its message
	relay []byte    // the frame in a RELAY; nil if nobody signed it
}

// last returns the number of the frame's last message.
func (e *entry) last() ident.Seq { return e.first + ident.Seq(e.count) - 1 }

// NewLog returns an empty log for a lane.
func NewLog(lane frame.Lane, o Limits) *Log {
	return &Log{lane: lane, limits: o.withDefaults(), next: 1, trimmed: 1}
}

// Held returns how much the log holds, in bytes as [Cost] counts.
func (l *Log) Held() int { return l.held }

// Append numbers a message and puts it into the log. It returns the message's number,
// pieces not counted; the receiver reports the same.
// Errors are [ErrFull] and [ErrTooLarge]. Append copies the payload.
//
// Where a message in pieces found the log full, those in one piece find it so too until one
// in pieces was taken, or [Log.Forgo]: otherwise they would take all room as it comes.
func (l *Log) Append(m Message) (ident.Seq, error) {
	size := frame.PayloadSize(len(m.Payload))
	e := l.open
	if e == nil || len(l.tail)+size > min(cap(l.tail), frameTarget) || e.count == RunMax ||
		l.owed || m.Codec != l.codec || m.Class != l.class || m.Topic != l.topic ||
		m.Reign != l.reign || m.Wish != l.wish || m.Group != l.group || m.Past != l.past ||
		len(m.Payload) > l.limits.EventMax {
		return l.appendSlow(m)
	}
	cost := size + Overhead
	if l.held+cost > l.limits.BytesMax {
		l.full = true
		return 0, ErrFull
	}
	l.tail = frame.AppendPayload(l.tail, m.Payload)
	l.held += cost
	e.cost += cost
	e.count++
	l.next++
	l.count++
	return l.count, nil
}

// appendSlow is Append for a message that does not fit the open frame.
func (l *Log) appendSlow(m Message) (ident.Seq, error) {
	if n := len(m.Topic); n > frame.TopicMax {
		return 0, fmt.Errorf("%w: topic has %d bytes, limit %d", ErrTooLarge, n, frame.TopicMax)
	}
	if n := len(m.Payload); n > l.limits.EventMax {
		return 0, fmt.Errorf("%w: %d bytes, limit %d (EventMax)", ErrTooLarge, n, l.limits.EventMax)
	}
	pieces := max(1, (len(m.Payload)+PieceMax-1)/PieceMax)
	if len(l.cursors) == 0 {
		l.owed = l.owed && pieces == 1
		l.next += ident.Seq(pieces)
		l.count++
		return l.count, nil
	}
	last := len(m.Payload) - (pieces-1)*PieceMax
	bare := overhead(m) - frame.HeaderSize
	payloads := pieces*bare + (pieces-1)*frame.PayloadSize(PieceMax) + frame.PayloadSize(last)
	// All pieces or none: they follow each other without another message between them.
	if l.held > 0 && (l.held+Cost(payloads, pieces) > l.limits.BytesMax || l.owed && pieces == 1) {
		l.full = true
		l.owed = l.owed || pieces > 1
		return 0, ErrFull
	}
	l.owed = l.owed && pieces == 1
	l.count++
	for at := 0; at == 0 || at < len(m.Payload); at += PieceMax {
		end := min(at+PieceMax, len(m.Payload))
		l.begin(m, m.Payload[at:end], at > 0, end < len(m.Payload))
	}
	if pieces > 1 || m.Wish == frame.WishHandled {
		l.complete() // the last piece keeps to itself, too
	}
	return l.count, nil
}

// Forgo is for a publisher that waits no more after [ErrFull]: no room is kept for it. If
// others wait with a message in pieces, the first of them to try again keeps it anew.
func (l *Log) Forgo() { l.owed = false }

// overhead returns the size of a frame for m whose run is empty.
func overhead(m Message) int {
	n := frame.EventsOverhead(len(m.Topic))
	if m.Reign != nil {
		n += frame.ReignSize(len(m.Reign.Election))
	}
	if m.Wish != frame.WishNone {
		n += frame.WishSize
	}
	if m.Group != "" {
		n += frame.GroupSize(len(m.Group))
	}
	if m.Past != nil {
		n += frame.PastSize
	}
	return n
}

// begin completes the open frame and opens one that holds payload as its first message,
// which is counted already. Of a message in pieces, rest says that others come before this
// one, and more that others follow.
func (l *Log) begin(m Message, payload []byte, rest, more bool) {
	l.complete()
	size := overhead(m) + frame.PayloadSize(len(payload))
	if cap(l.tail) < size {
		l.block = l.pool.get()
		l.tail = l.block.buf[:0]
	}
	if l.fields = l.fields[:0]; m.Reign != nil {
		l.fields = frame.AppendReign(l.fields, m.Reign.Election, m.Reign.Term)
	}
	if m.Wish != frame.WishNone {
		l.fields = frame.AppendWish(l.fields, m.Wish)
	}
	if m.Group != "" {
		l.fields = frame.AppendGroup(l.fields, m.Group)
	}
	if m.Past != nil {
		l.fields = frame.AppendPast(l.fields, *m.Past)
	}
	l.tail = frame.BeginEvents(l.tail, frame.Events{
		Lane: l.lane, More: more, First: l.next, Message: l.count, Codec: m.Codec, Class: m.Class,
		Topic: []byte(m.Topic), Fields: l.fields,
	})
	l.tail = frame.AppendPayload(l.tail, payload)
	cost := Cost(len(l.tail)-frame.HeaderSize, 1)
	l.block.users++
	l.open = l.ring.push(entry{
		block: l.block, first: l.next, whole: l.count, count: 1, cost: cost, refs: len(l.cursors), rest: rest,
	})
	l.topic, l.codec, l.class = m.Topic, m.Codec, m.Class
	l.reign, l.wish, l.group, l.past = m.Reign, m.Wish, m.Group, m.Past
	l.held += cost
	l.next++
}

// complete completes the open frame, if there is one.
func (l *Log) complete() {
	if l.open == nil {
		return
	}
	frame.Seal(l.tail)
	n := len(l.tail)
	l.open.bytes = l.tail[:n:n]
	l.open = nil
	l.tail = l.tail[n:]
}

// free drops the oldest frames that no cursor waits for.
func (l *Log) free() {
	for l.ring.len() > 0 {
		e := l.ring.at(l.ring.low)
		if e.refs > 0 {
			return
		}
		if l.sign != nil && l.signed <= l.ring.low {
			l.signNext() // members without a link have none but the signed ones
		}
		l.held -= e.cost
		l.full = false
		b := e.block
		l.ring.pop()
		l.drop(b)
	}
}

// drop takes one user from a block and reuses the block when that was the last.
func (l *Log) drop(b *block) {
	b.users--
	switch {
	case b.users > 0:
	case b == l.block:
		l.tail = b.buf[:0]
	default:
		l.pool.put(b, l.limits.BytesMax/blockSize+1)
	}
}

// Open adds a cursor that begins with the next message. It takes nothing before
// [Cursor.Resume] has told it the peer's window.
func (l *Log) Open() *Cursor {
	l.complete() // so that the cursor begins with a frame
	at, before := l.ring.high, l.next-1
	c := &Cursor{log: l, low: at, next: at, acked: before, done: before, sent: before}
	l.cursors = append(l.cursors, c)
	return c
}

// Stalled returns the cursor that keeps a full log from taking more, and since when it has
// taken nothing; nil if the log is not full. It is to be called when Append returned
// [ErrFull], and again until Append succeeds: the time of every cursor that has something
// to take begins with the first call, so that several that take nothing hold the others up
// together and not one after the other, and again with each acknowledgement. Neither GiveUp
// nor a new link ends it: who takes nothing holds the others up once, not each time that the
// log is full. Of several the one that took nothing for the longest time comes first, of
// equals the oldest.
func (l *Log) Stalled(now time.Time) (c *Cursor, since time.Time) {
	if !l.full {
		return nil, time.Time{}
	}
	for _, d := range l.cursors {
		if d.low == l.ring.high {
			continue // has all
		}
		if d.stalled.IsZero() {
			d.stalled = now
		}
		if d.low == l.ring.low && (c == nil || d.stalled.Before(since)) {
			c, since = d, d.stalled
		}
	}
	return c, since
}

// Trim gives up memory that was not needed since the last Trim. A caller that calls it
// every few seconds lets an idle log shrink to nothing and costs a busy one nothing.
func (l *Log) Trim() {
	l.pool.trim()
	if l.trimmed == l.next && l.ring.len() == 0 {
		l.block, l.tail = nil, nil
		l.ring.reset()
	}
	l.trimmed = l.next
}

// remove forgets a cursor that holds nothing any more.
func (l *Log) remove(c *Cursor) {
	if i := slices.Index(l.cursors, c); i >= 0 {
		l.cursors = slices.Delete(l.cursors, i, i+1)
	}
}
