// Package exchange is the data room of a node: it numbers what the node publishes,
// keeps it until the members have it, and hands what arrives to the subscriptions.
//
// It stands beside the owner goroutine, not behind it. Publishers, the readers and
// the writers of links call it directly; the machines of package session decide
// behind short locks, which are never held while waiting:
//
//	publisher → Broadcast → log → Pair.Fill (writer of a link) → network
//	network → Pair.Receive (reader of a link) → session.Inbox → mailbox.Box
//
// A broadcast is encoded once, into a log that all members share; each member with a link
// has a cursor on it, so fan-out copies nothing. Members without a link get it by way of
// others: then it is signed (signing.go), and the router of package gossip says what is
// passed on to whom (relays.go). What goes to one member alone is in a log of that member's
// own. The node itself is a member like the others: its link is a goroutine that hands what
// Fill gives to Receive.
package exchange

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/espial-go/espial/internal/crew"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/session"
)

// Errors of publishing.
var (
	ErrNoMember = errors.New("exchange: no such member")
	ErrClosed   = errors.New("exchange: closed")

	ErrTooManyGroups = errors.New("exchange: too many subscriptions of groups")
)

// Limits and times of the exchange.
const (
	// logBytesMax bounds each log: the broadcast log of the node and the direct log
	// of each member. A message counts its bytes and 64 more.
	logBytesMax = 4 << 20

	// directBytesMax bounds the direct logs of a node, and those of calls, together.
	directBytesMax = 256 << 20

	// stallMax is how long a member that takes nothing may hold up the others while
	// the broadcast log is full; then it loses what it has not taken.
	stallMax = 2 * time.Second

	// unlinkedMax ends a session that has no link for this long.
	unlinkedMax = 30 * time.Second

	// lookAgain is how long a publisher waits at most before it looks whether the member
	// is still one, and whether all direct logs together have room.
	lookAgain = time.Second

	// assemblingMax bounds the large messages of all members that are in progress
	// together, or the largest event if that is more; what exceeds it is lost and told.
	assemblingMax = 64 << 20

	// pairsMax bounds what is remembered of former members: the numbers that make a
	// loss exact when they return.
	pairsMax = 4096
)

// notSelf is the bit of a message's class that tells the origin not to deliver the
// broadcast to itself. Other nodes ignore it.
const notSelf = 0x80

// Config says who publishes and what may be published.
type Config struct {
	Self        ident.NodeID
	Incarnation ident.Incarnation
	Name        string
	EventMax    int // bytes of one payload, for what is sent and what is accepted

	// InDoubt is told when a session ends: count messages to peer were queued and not
	// acknowledged, so they may or may not have arrived. It is called without a lock
	// and must not block.
	InDoubt func(peer ident.NodeID, inc ident.Incarnation, count uint64)

	// Stale reports whether a later term of an election is known than the one in which a
	// leader published, so that its messages are refused; nil for never. It is called for
	// such messages only, by the readers of links, without a lock, and must not block.
	Stale func(election []byte, term ident.Term) bool

	// Sign signs with the key of this node, for what others pass on; nil where nothing is
	// passed on. Public returns the key of a listed member, nil if it is not known. Both
	// are called under locks, and must not block.
	Sign   func(msg []byte) ([]byte, error)
	Public func(id ident.NodeID) []byte

	// Need is told when something waits for a link with a member that has none: at once, and
	// about once a second while it does. Nil where all have links anyway; then a session ends
	// that has none for 30 seconds, even if nothing waits. It is called under locks, and must
	// not block.
	Need func(id ident.NodeID)

	// Offer is told of each method that a member, or this node, begins or ceases to serve to this
	// node; nil for nobody. Of a member that comes with methods it is told then, and of one that
	// goes it is not. It is called without a lock and must not block.
	Offer func(peer ident.NodeID, name, method string, served bool)

	// Listen is the same for the services on which a member, or this node, listens.
	Listen func(peer ident.NodeID, name, service string, open bool)

	// Opened is told when [Pair.Opened] or [Pair.Ready] has become true. It is called without a
	// lock and must not block.
	Opened func()
}

// Exchange carries the events of one node.
type Exchange struct {
	cfg Config
	box *mailbox.Box

	// members are the pairs that direct messages may name: those that the owner lists
	// and the node itself. Replaced as a whole, never modified.
	members atomic.Pointer[members]

	// linked are the pairs with a link, which a broadcast wakes. As members.
	linked atomic.Pointer[[]*Pair]

	assembling atomic.Int64    // bytes of large messages in progress, of all members
	direct     atomic.Int64    // bytes in the direct logs of all pairs
	forged     atomic.Uint64   // messages dropped for a topic that nobody may publish under
	stale      atomic.Uint64   // messages dropped because their sender leads no more
	closed     chan struct{}   // closed by Close
	life       context.Context // of the calls at work; ends with Close
	endCalls   context.CancelFunc
	unanswered atomic.Uint64 // messages of the exchange itself for which there was no room
	busy       atomic.Uint64 // calls refused because too many are at work
	crowded    atomic.Uint64 // batches that were not passed on for want of room
	relays     *relays
	awaited    awaited
	services   services
	listening  atomic.Pointer[[]string] // on what this node listens, by name; nil before it did
	waiters    sync.Pool                // of *waiter
	directory  directory
	shelves    shelves
	questions  questions
	interests  atomic.Pointer[[]byte] // of this node's groups, encoded; nil before there was one
	regrouping sync.Mutex             // held while interests are replaced; taken first

	advertising sync.Mutex // held while a pair is told what this node offers; taken first
	once        sync.Once

	mu    sync.Mutex    // guards what follows, and every cursor on log
	log   *session.Log  // what is published to all
	room  room          // waiting for room in log
	pairs map[key]*Pair // everybody known, listed or not
	order []*Pair       // pairs by the time they became known
	self  *Pair

	signing signing
	givenUp uint64 // broadcasts that members lost because they took nothing
}

// members are the sessions with the listed nodes.
type members struct {
	byID map[ident.NodeID]*Pair
	near map[ident.NodeID]bool // with whom this node keeps links
	last atomic.Pointer[Pair]  // found last: messages to one member come in droves
}

// find returns the session with a member, or nil.
func (m *members) find(id ident.NodeID) *Pair {
	if p := m.last.Load(); p != nil && p.id == id {
		return p
	}
	p := m.byID[id]
	if p != nil {
		m.last.Store(p)
	}
	return p
}

// key names one session: the other end and its incarnation. This end's incarnation
// is the same for the life of the exchange.
type key struct {
	id  ident.NodeID
	inc ident.Incarnation
}

// New returns an exchange whose only member is the node itself. Run carries it.
func New(c Config) *Exchange {
	x := &Exchange{
		cfg: c, pairs: map[key]*Pair{}, closed: make(chan struct{}),
		awaited: awaited{pairs: map[*Pair]map[place]*Receipts{}},
		log:     session.NewLog(frame.Broadcast, session.Limits{BytesMax: logBytesMax, EventMax: c.EventMax}),
	}
	x.services.crew = crew.New(sparesMax, x.closed)
	x.life, x.endCalls = context.WithCancel(context.Background())
	x.directory = directory{seats: map[*Pair]*glob.Index[seat]{}, topics: map[string][]*Group{}}
	x.shelves.topics = map[string]*shelf{}
	x.questions = questions{asked: map[uint64]*question{}, met: map[*Pair]bool{}}
	x.box = mailbox.New(x.regrouped)
	x.relays = newRelays(x)
	x.linked.Store(&[]*Pair{})
	x.self = x.Pair(c.Self, c.Incarnation, c.Name)
	x.self.announcing = false // regrouped tells it at once
	x.self.cursor, x.self.going = x.log.OpenBare(), true
	x.SetMembers(nil, &gossip.Graph{})
	return x
}

// Pair returns the session with incarnation inc of the node id, and makes it on first
// use. From its first link on broadcasts are kept for it, until it had none for 30 seconds.
func (x *Exchange) Pair(id ident.NodeID, inc ident.Incarnation, name string) *Pair {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := key{id, inc}
	p := x.pairs[k]
	if p == nil {
		p = newPair(x, k, name)
		x.pairs[k] = p
		x.order = append(x.order, p)
	}
	return p
}

// SetMembers tells whom the owner lists, and who of them and this node keeps links with whom,
// from which follows what is passed on to whom. The graph must not change any more.
func (x *Exchange) SetMembers(pairs []*Pair, graph *gossip.Graph) {
	x.relays.view(pairs, graph) // before they open their sessions
	m := &members{byID: make(map[ident.NodeID]*Pair, len(pairs)+1)}
	m.byID[x.cfg.Self] = x.self
	for _, p := range pairs {
		m.byID[p.id] = p
	}
	m.near = neighbours(graph, x.cfg.Self)
	former := x.members.Swap(m)
	for _, p := range pairs {
		if former.byID[p.id] != p {
			p.advertise(false) // now that it is known whom a target means
			p.offered(nil)     // where the session goes on
			p.listens(nil)     // likewise
			p.wake()           // its OPEN waits for this
		}
	}
	member := func(p *Pair) bool { return m.byID[p.id] == p }
	former.hangUp(member)
	x.awaited.leave(member)
	x.questions.list(member)
	x.questions.meetFar(pairs)
	x.reviewNow()
}

// Member returns the session with a member, nil if the owner does not list it.
func (x *Exchange) Member(id ident.NodeID) *Pair { return x.members.Load().find(id) }

// Unlinked returns how many members have no link with this node but perhaps one on demand.
func (x *Exchange) Unlinked() (count int) {
	for _, p := range x.members.Load().byID {
		if p != x.self && !p.near() {
			count++
		}
	}
	return count
}

// Broadcast publishes m to every listed node, to every other one that was linked within the
// last 30 seconds, and to the node itself unless others is set. It returns when the message is
// in the log. While the log is full it waits for ctx, and at most 2 s for a member
// that takes nothing. The members of that moment are asked for a receipt unless r is nil.
func (x *Exchange) Broadcast(ctx context.Context, others bool, m session.Message, r *Receipts) error {
	if x.over() {
		return ErrClosed
	}
	if others {
		m.Class |= notSelf
	}
	m.Wish = r.wished()
	x.mu.Lock()
	number, err := x.log.Append(m)
	for errors.Is(err, session.ErrFull) {
		room, stall := x.room.wait(), x.stall(time.Now())
		x.mu.Unlock()
		if err := x.wait(ctx, room, stall); err != nil {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.log.Forgo()
			x.room.open()
			return err
		}
		x.mu.Lock()
		number, err = x.log.Append(m)
	}
	if err == nil {
		x.shelves.put(number, m)
		if r != nil {
			x.expectAll(r, number, others)
		}
	}
	x.mu.Unlock()
	if err != nil {
		return err
	}
	for _, p := range *x.linked.Load() {
		p.wake()
	}
	return nil
}

// stall looks who keeps the broadcast log full. A member that took nothing for
// stallMax loses what it has not taken, and the jump of the numbers tells it how much.
// stall returns how long to wait for room before looking again. The caller holds mu.
func (x *Exchange) stall(now time.Time) time.Duration {
	c, since := x.log.Stalled(now)
	if c == nil {
		return 0
	}
	if left := since.Add(stallMax).Sub(now); left > 0 {
		return left
	}
	first := c.Message()
	x.givenUp += c.GiveUp()
	for _, p := range x.order {
		if p.cursor == c {
			x.awaited.lose(p, frame.Broadcast, first)
		}
	}
	return 0
}

// Direct publishes m to the member id alone. It returns when the message is in
// that member's log; while the log is full it waits for ctx, as long as id is a member. The
// member is asked for a receipt unless r is nil.
func (x *Exchange) Direct(ctx context.Context, id ident.NodeID, m session.Message, r *Receipts) error {
	var full *Pair // whose log may keep room for m
	for {
		p := x.Member(id)
		if full != nil && full != p {
			full.forgo()
		}
		room, err := x.try(p, m, r)
		if !errors.Is(err, session.ErrFull) {
			return err
		}
		full = p
		if err := x.wait(ctx, room, lookAgain); err != nil {
			p.forgo()
			return err
		}
	}
}

// TryDirect is Direct that does not wait: it returns [session.ErrFull] instead.
func (x *Exchange) TryDirect(id ident.NodeID, m session.Message, r *Receipts) error {
	p := x.Member(id)
	_, err := x.try(p, m, r)
	if errors.Is(err, session.ErrFull) {
		p.forgo()
	}
	return err
}

// forgo tells the log that a publisher waits for room no more.
func (p *Pair) forgo() {
	p.mu.Lock()
	p.log.Forgo()
	p.room.open()
	due := p.due()
	p.mu.Unlock()
	if due {
		p.wake()
	}
}

// try publishes m to one member, nil for none, or returns where to wait for room.
func (x *Exchange) try(p *Pair, m session.Message, r *Receipts) (<-chan struct{}, error) {
	switch {
	case x.over():
		return nil, ErrClosed
	case p == nil:
		return nil, ErrNoMember
	}
	m.Wish = r.wished()
	room, err := p.append(m, r)
	if err == nil {
		p.reach()
	}
	return room, err
}

// wait waits for room, for the end of ctx or of the exchange, or for d.
func (x *Exchange) wait(ctx context.Context, room <-chan struct{}, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-room:
	case <-t.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-x.closed:
		return ErrClosed
	}
	return nil
}

// room is a broadcast to everybody who waits for room in a log. The lock that guards
// the log guards it.
type room struct{ c chan struct{} }

// wait returns a channel that is closed when there is room.
func (r *room) wait() <-chan struct{} {
	if r.c == nil {
		r.c = make(chan struct{})
	}
	return r.c
}

// open lets everybody try again.
func (r *room) open() {
	if r.c != nil {
		close(r.c)
		r.c = nil
	}
}

// over reports whether the exchange was closed. It costs a publisher next to nothing.
func (x *Exchange) over() bool {
	select {
	case <-x.closed:
		return true
	default:
		return false
	}
}

// Close makes every waiting publisher return, ends all subscriptions, and all sessions:
// what is not acknowledged is in doubt. From then on nothing can be published.
func (x *Exchange) Close() {
	x.once.Do(func() {
		close(x.closed)
		x.endCalls()
		x.relays.close()
		x.box.Close()
		x.members.Load().hangUp(func(*Pair) bool { return false })
		for _, p := range x.all() {
			if p != x.self {
				x.end(p)
			}
		}
	})
}

// all returns everybody known, by the time they became so.
func (x *Exchange) all() []*Pair {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.order)
}
