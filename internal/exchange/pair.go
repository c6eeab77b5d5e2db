package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/session"
)

// ErrBreach reports a peer that does not keep to the protocol; its link is closed.
var ErrBreach = errors.New("exchange: protocol breach")

// errNotOpen reports a peer whose first data frame on a link is not OPEN.
var errNotOpen = fmt.Errorf("%w: the link has no OPEN yet", ErrBreach)

// Link is what a pair needs of the link that carries it.
type Link interface {
	// Wake tells the writer that Fill has something. It never blocks.
	Wake()

	// Send queues a frame that goes before what Fill gives next. It never blocks, and
	// never drops the frame unless the link ends.
	Send(f []byte) error
}

// Pair is the session with one incarnation of one node, in both directions. It
// outlives links: Attach gives it one, Detach takes it away.
type Pair struct {
	x    *Exchange
	id   ident.NodeID
	inc  ident.Incarnation
	name string

	methods   atomic.Pointer[[]frame.Method] // what the peer serves, by name; nil for not told yet
	listening atomic.Pointer[[]string]       // the services it listens on, likewise

	turn   chan struct{}             // holds a token while a link carries the pair
	link   atomic.Pointer[attached]  // nil while there is none
	needed atomic.Pointer[time.Time] // when a link was asked for last

	acks []byte    // scratch of the writer of the link alone
	made time.Time // when it was
	out  outbox    // what is passed on to the peer

	cursor  *session.Cursor // on the broadcast log; nil before the first link of peers, and long after
	without time.Time       // since when there is no such link
	going   bool            // the session began and has not ended; these three are guarded by x.mu

	public []byte            // the key of the peer; guarded by x.relays.mu
	ready  []gossip.Delivery // broadcasts of the peer that came by way of others; likewise

	// hand is held while broadcasts of the peer are handed on, whoever brought them. It is
	// taken before all other locks. It guards what parts has of broadcasts; the rest of that is
	// the reader's alone, or that of expire while there is no link.
	hand     sync.Mutex
	parts    [lanes]arrival
	routed   atomic.Bool // the router knows the peer; only set and unset under hand
	arriving arriving
	handed   []gossip.Delivery // the room of those handed on last

	mu         sync.Mutex // guards what follows; taken before x.mu where both are
	joined     bool       // the peer is a neighbour on this link
	opened     bool       // the peer's OPEN came on this link
	opening    bool       // our OPEN is to be sent on this link, once the peer is a member
	announcing bool       // it has not been told what this node's groups subscribe to
	untold     bool       // it is about to tell what its own subscribe to
	fresh      bool       // the peer has not been met in this session, or not for long
	spoke      bool       // it published something in this session
	in         [lanes]*session.Inbox
	owed       [lanes]ident.Seq  // to acknowledge with the next Fill; 0 for nothing
	errands    []session.Message // wait for room in log
	answers    []answer          // to the peer's questions; the first is under way
	log        *session.Log      // direct messages
	counted    int               // what x.direct has of them, in bytes; see count
	direct     *session.Cursor   // the peer's cursor on log
	calls      desk
	room       room
	timer      *time.Timer // wakes the writer for an acknowledgement
	alarm      time.Time   // when timer goes off; zero while it is not set
	unlinked   time.Time   // since when there is no link; zero while there is one
}

// arrival is what the reader of a link knows about one lane.
type arrival struct {
	session.Assembler
	skipping bool          // the rest of a message that is too large is still coming
	route    mailbox.Route // where the last run went
	topic    string        // the last one that was checked
	held     int           // what the exchange counts of the message in progress, in bytes
}

func newPair(x *Exchange, k key, name string) *Pair {
	p := &Pair{
		x: x, id: k.id, inc: k.inc, name: name, turn: make(chan struct{}, 1),
		made: time.Now(), unlinked: time.Now(), announcing: true, fresh: true,
	}
	p.log = session.NewLog(frame.Direct, session.Limits{
		BytesMax: logBytesMax,
		EventMax: max(x.cfg.EventMax, frame.InterestsMax), // the root holds users to theirs
	})
	p.direct = p.log.Open()
	p.calls = newDesk(x.cfg.EventMax)
	for i := range p.parts {
		p.parts[i].EventMax = x.cfg.EventMax
		p.in[i] = session.NewInbox(logBytesMax)
	}
	p.parts[frame.Calls].EventMax += frame.CallOverhead
	return p
}

// ID returns the node at the other end.
func (p *Pair) ID() ident.NodeID { return p.id }

// Incarnation returns the start of that node.
func (p *Pair) Incarnation() ident.Incarnation { return p.inc }

// Acquire waits until no other link carries the pair, so that the messages of one link
// never overtake those of the one before it. It fails if ctx ends or closed is closed
// first. Between Acquire and release the caller attaches and detaches its link.
func (p *Pair) Acquire(ctx context.Context, closed <-chan struct{}) (release func(), err error) {
	select {
	case p.turn <- struct{}{}:
		return func() { <-p.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-closed:
		return nil, ErrClosed
	}
}

// append adds a direct message, or returns where to wait for room. The peer is asked for a
// receipt unless r is nil.
func (p *Pair) append(m session.Message, r *Receipts) (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.x.direct.Load() > directBytesMax {
		return p.room.wait(), session.ErrFull
	}
	number, err := p.log.Append(m)
	if err != nil {
		return p.room.wait(), err
	}
	if r != nil {
		p.x.expect(r, p, number)
	}
	p.count()
	return nil, nil
}

// Fill appends frames for the link to dst, about bytesMax bytes of them: first what
// opens the session, then acknowledgements, then messages. The writer of the link
// calls it; the frames stay valid until its next call.
func (p *Pair) Fill(dst [][]byte, bytesMax int) [][]byte {
	before := len(dst)
	p.acks = p.acks[:0]
	p.mu.Lock()
	if p.opening && p.x.members.Load().byID[p.id] == p {
		p.opening = false
		p.acks = p.open().Append(p.acks)
	}
	opened := p.carries()
	joins := p.joins()
	if opened {
		p.run()
		dst = p.take(dst, bytesMax/2)
		dst = p.direct.Take(dst, bytesMax/2)
	}
	p.mu.Unlock()
	if joins {
		p.x.relays.join(p)
	}
	if opened {
		if !p.onDemand() {
			dst = p.out.take(p.fillBroadcasts(dst, bytesMax), bytesMax)
		}
		p.acknowledge(len(dst) > before)
	}
	if len(p.acks) > 0 {
		dst = slices.Insert(dst, before, p.acks)
	}
	return dst
}

// fillBroadcasts is Fill for what this node publishes to all.
func (p *Pair) fillBroadcasts(dst [][]byte, bytesMax int) [][]byte {
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	if p.cursor == nil {
		return dst
	}
	if p.x.signing.on && p != p.x.self {
		more := p.x.log.Sign(signMost)
		if p.out.owes() {
			return dst // the lane comes after that
		}
		if more {
			defer p.wake()
		}
	}
	return p.cursor.Take(dst, bytesMax)
}

// joins reports whether the peer becomes a neighbour now, because messages travel on this link
// from now on. The caller holds mu, and makes it one.
func (p *Pair) joins() bool {
	now := !p.joined && p.carries() && p != p.x.self && !p.onDemand()
	p.joined = p.joined || now
	return now
}

// carries reports whether messages travel: both ends opened the session on this link. The
// caller holds mu.
func (p *Pair) carries() bool { return p.opened && !p.opening }

// open returns the frame that opens the session on a new link. The caller holds mu.
func (p *Pair) open() frame.Open {
	o := frame.Open{Groups: p.announcing && p.x.interests.Load() != nil}
	for lane := range o.Lanes {
		o.Lanes[lane] = frame.OpenLane{Received: p.in[lane].Received(), Window: uint32(p.in[lane].Window())}
	}
	o.Calls = p.calls.open(p.in[frame.Calls])
	o.Methods, o.Services = p.calls.methods.telling, p.calls.services.telling
	d, b := &o.Lanes[frame.Direct], &o.Lanes[frame.Broadcast]
	d.First, d.Message = p.direct.First(), p.direct.Message()
	if p.onDemand() {
		*b = idleLane()
		return o
	}
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	c := p.cursor
	if c == nil { // the session ended while this link came up
		c = p.x.log.Open()
		defer c.Close()
	}
	b.First, b.Message = c.First(), c.Message()
	return o
}

// Receive takes one data frame. Only the reader of the attached link calls it. It
// never waits. Every error is a breach of the protocol by the peer.
func (p *Pair) Receive(raw frame.Raw) error {
	if raw.Type == frame.TypeEvents {
		ev, err := frame.DecodeEvents(raw.Payload)
		if err != nil {
			return err
		}
		return p.events(ev, session.Cost(len(raw.Payload), ev.Count))
	}
	if raw.Type.Gossip() {
		return p.gossip(raw)
	}
	f, err := frame.Decode(raw)
	if err != nil {
		return err
	}
	switch f := f.(type) {
	case frame.Open:
		return p.resume(f)
	case frame.Acked:
		return p.acked(f)
	default:
		return fmt.Errorf("%w: %v is no data frame", ErrBreach, raw.Type)
	}
}

// resume takes the peer's OPEN: what it has is not sent again, and what it cannot send
// any more is lost.
func (p *Pair) resume(o frame.Open) error {
	p.mu.Lock()
	if p.opened {
		p.mu.Unlock()
		return fmt.Errorf("%w: a second OPEN", ErrBreach)
	}
	b := o.Lanes[frame.Broadcast]
	if p.onDemand() {
		b = frame.OpenLane{}
	}
	var before gossip.Place
	before.Received, before.Whole, before.Part = p.in[frame.Broadcast].Place()
	lost, err := p.start([lanes]frame.OpenLane{b, o.Lanes[frame.Direct], o.Calls})
	fresh := p.fresh
	p.untold = p.untold || o.Groups
	p.announced(o)
	p.mu.Unlock()
	p.x.mu.Lock()
	if p.cursor != nil && err == nil && b.First != 0 {
		err = p.cursor.Resume(b.Received, int(b.Window))
	}
	p.x.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: OPEN: %w", ErrBreach, err)
	}
	if b.First != 0 {
		p.begins(b, before, lost[frame.Broadcast])
	}
	for lane := frame.Direct; lane < lanes; lane++ {
		p.lost(lane, lost[lane])
	}
	if lost[frame.Direct] > 0 { // the session ended there, and receipts with it
		p.x.awaited.loseAll(p)
	}
	p.x.questions.meet(p, fresh)
	p.mu.Lock()
	p.opened, p.fresh = true, false
	joins := p.joins()
	p.mu.Unlock()
	if joins {
		p.x.relays.join(p)
	}
	p.wake()
	if p.x.cfg.Opened != nil {
		p.x.cfg.Opened()
	}
	return nil
}

// start takes what OPEN says of each lane; nothing of those that the peer does not know or the
// link does not carry. The caller holds mu.
func (p *Pair) start(opens [lanes]frame.OpenLane) (lost [lanes]uint64, err error) {
	d := opens[frame.Direct]
	err = errors.Join(p.direct.Resume(d.Received, int(d.Window)), p.resumeCalls(opens[frame.Calls]))
	for lane, l := range opens {
		if l == (frame.OpenLane{}) {
			continue
		}
		var lerr error
		if lost[lane], lerr = p.in[lane].Start(l.First, l.Message); lerr != nil {
			err = lerr
		}
	}
	return lost, err
}

// begins takes what the peer says of its broadcasts when the session opens, and where this node
// was before. What is lost is the router's to tell if it knows the peer, or where not everybody
// has a link with it, because others may have it.
func (p *Pair) begins(o frame.OpenLane, before gossip.Place, lost uint64) {
	p.hand.Lock()
	defer p.hand.Unlock()
	switch routed := p.routed.Load(); {
	case !routed && (lost == 0 || p.x.Unlinked() == 0):
		p.lost(frame.Broadcast, lost)
		return
	case !routed:
		p.routed.Store(true)
		p.x.relays.callFor(p, func(r *gossip.Router, now time.Time) { r.Begin(now, p.member(), before) })
	}
	p.x.relays.callFor(p, func(r *gossip.Router, now time.Time) {
		r.Opened(now, p.member(), gossip.Place{Received: o.First - 1, Whole: o.Message - 1})
	})
}
