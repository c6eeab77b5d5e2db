package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/mux"
)

// ErrNotLinked reports a member with which there was no link in time, so that no stream can
// be opened to it.
var ErrNotLinked = errors.New("engine: no link with the member")

// Limits and times of the connections for streams.
const (
	// streamIdleMax is how long the end that dialled keeps a connection without a stream.
	// The next one costs a handshake, a millisecond of CPU at both ends together.
	streamIdleMax = 30 * time.Second

	// carriersMax bounds the connections that one incarnation of a node may have dialled to
	// this one: one that is retired beside its successor, and as many again that this end
	// has not seen end.
	carriersMax = 4

	// unlistedMax ends the streams with an incarnation that was no member for so long: a
	// split may heal before.
	unlistedMax = 30 * time.Second

	// openTries is how often another connection is tried when one ended before it had taken
	// the stream.
	openTries = 3
)

// streams are the services of a node, and its connections for streams. They stand beside
// the owner: it tells them what the members are, and no byte of a stream passes it.
type streams struct {
	services  mux.Services
	poke      chan struct{} // holds a token when there is something to dial
	refused   atomic.Uint64 // connections that others dialled
	unwrapped atomic.Uint64 // streams that wrappers failed
	telling   sync.Mutex    // held while members are told what the services are; taken first

	mu      sync.Mutex    // guards what follows
	links   chan struct{} // closed when there may be another link
	peers   map[streamKey]*streamPeer
	queue   []*streamDial
	leaving bool
}

// streamKey names one start of a node, as the sessions of events do.
type streamKey struct {
	id  ident.NodeID
	inc ident.Incarnation
}

// streamPeer is what there is between this node and one start of another.
type streamPeer struct {
	carriers []*carrier  // the latest last
	inbound  int         // connections that the peer dialled, carriers or about to be
	bulkIn   int         // the same for those of a bulk stream each
	bulkOut  int         // and those that this end dialled, or is about to
	dial     *streamDial // under way; nil for none
	unlisted time.Time   // since when it is no member; zero while it is one
	timer    *time.Timer // ends the streams when that has been too long
}

// carrier is a connection that carries streams.
type carrier struct {
	session *mux.Session
	conn    *link.Carrier // nil within this node
	bulk    bool          // for one stream
}

// streamDial is a connection that somebody waits for.
type streamDial struct {
	key   streamKey
	addrs []string      // to try in turn
	bulk  bool          // for one stream
	done  chan struct{} // closed when there is a carrier, or err
	err   error

	carrier   *carrier // of a bulk stream
	abandoned bool     // who wanted a bulk stream gave up
}

func newStreams() *streams {
	return &streams{
		poke: make(chan struct{}, 1), links: make(chan struct{}), peers: map[streamKey]*streamPeer{},
	}
}

// Listen opens a listener on a service of this node.
func (e *Engine) Listen(service string) (*mux.Listener, error) {
	return e.streams.services.Listen(e.cfg.Key.ID().String(), service)
}

// listening tells the members on what this node listens. Names that no user can dial are for
// this node's own use, and nobody is told.
func (e *Engine) listening() {
	e.streams.telling.Lock()
	defer e.streams.telling.Unlock()
	e.exchange.SetListening(slices.DeleteFunc(e.streams.services.Names(), func(name string) bool {
		return glob.CheckName(name) != nil
	}))
}

// OpenStream opens a stream to a service of a member, which may be this node. Besides the
// errors of [mux.Session.Open] it returns [exchange.ErrNoMember], [ErrNotLinked],
// [ErrClosed], and what a dial failed with.
func (e *Engine) OpenStream(ctx context.Context, id ident.NodeID, service string) (*mux.Stream, error) {
	for try := 1; ; try++ {
		s, err := e.streamSession(ctx, id)
		if err != nil {
			return nil, err
		}
		st, err := s.Open(ctx, service)
		if !errors.Is(err, mux.ErrEnded) || try == openTries {
			return st, err
		}
		s.Retire() // it ends, and may not know it yet
	}
}

// streamSession returns a session with a member, and makes one if there is none.
func (e *Engine) streamSession(ctx context.Context, id ident.NodeID) (*mux.Session, error) {
	for {
		m, ok := e.member(id)
		if !ok {
			return nil, exchange.ErrNoMember
		}
		key := streamKey{id, m.Record.Incarnation}
		if s := e.streams.find(key, e.cfg.RotateRecords/2); s != nil {
			return s, nil
		}
		addrs, err := e.streamAddrs(ctx, m)
		if err != nil {
			return nil, err
		}
		d := e.streams.dial(key, addrs)
		select {
		case <-d.done:
		case <-e.ended:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if d.err != nil {
			return nil, d.err
		}
	}
}

// find returns a session that may take a stream, or nil. A connection with so many records
// takes none any more.
func (s *streams) find(key streamKey, recordsMax uint64) *mux.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[key]
	if p == nil {
		return nil
	}
	for _, c := range slices.Backward(p.carriers) {
		if c.bulk {
			continue
		}
		if c.conn != nil && c.conn.Records() >= recordsMax {
			c.session.Retire()
		}
		if c.session.Usable() {
			return c.session
		}
	}
	return nil
}

// dial returns the dial that is under way to one start of a node, and begins one if there is
// none.
func (s *streams) dial(key streamKey, addrs []string) *streamDial {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peer(key)
	if p.dial == nil {
		p.dial = &streamDial{key: key, addrs: addrs, done: make(chan struct{})}
		s.begin(p.dial)
	}
	return p.dial
}

// begin has a dial begun. The caller holds mu.
func (s *streams) begin(d *streamDial) {
	s.queue = append(s.queue, d)
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// peer returns what is known of one start of a node, and begins to know it. The caller
// holds mu.
func (s *streams) peer(key streamKey) *streamPeer {
	p := s.peers[key]
	if p == nil {
		p = &streamPeer{}
		s.peers[key] = p
	}
	return p
}

// tidy forgets a peer of which there is nothing left. The caller holds mu.
func (s *streams) tidy(key streamKey) {
	p := s.peers[key]
	if p == nil || len(p.carriers) > 0 || p.inbound+p.bulkIn+p.bulkOut > 0 || p.dial != nil {
		return
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	delete(s.peers, key)
}

// take returns the dials to begin.
func (s *streams) take() []*streamDial {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue
	s.queue = nil
	return q
}

// dialed ends a dial: c is what came of it, or err says why nothing did. It reports whether
// c is to run.
func (s *streams) dialed(d *streamDial, c *carrier, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peer(d.key)
	if !d.bulk {
		p.dial = nil
	}
	if err == nil && (s.leaving || d.abandoned) {
		err = ErrClosed
	}
	if err == nil {
		p.carriers = append(p.carriers, c)
		d.carrier = c
	}
	d.err = err
	close(d.done)
	s.tidy(d.key)
	return err == nil
}

// reserve counts a connection that a peer dialled, if it may have one more.
func (s *streams) reserve(key streamKey, bulk bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peer(key)
	defer s.tidy(key)
	n, most := &p.inbound, carriersMax
	if bulk {
		n, most = &p.bulkIn, bulkMax
	}
	if s.leaving || *n >= most {
		return false
	}
	*n++
	return true
}

// release takes back what reserve counted.
func (s *streams) release(key streamKey, bulk bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.peers[key]; bulk {
		p.bulkIn--
	} else {
		p.inbound--
	}
	s.tidy(key)
}

// add makes a connection known that a peer dialled. It returns false if the node leaves.
func (s *streams) add(key streamKey, c *carrier) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return false
	}
	p := s.peer(key)
	p.carriers = append(p.carriers, c)
	return true
}

// remove forgets a connection that ended.
func (s *streams) remove(key streamKey, c *carrier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.peers[key]; p != nil {
		p.carriers = slices.DeleteFunc(p.carriers, func(k *carrier) bool { return k == c })
		s.tidy(key)
	}
}

// see tells what the members are. Streams end with the incarnation that they are with: at
// once when another has its place, and when it was no member for 30 s.
func (s *streams) see(v core.View) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, p := range s.peers {
		i := slices.IndexFunc(v.Members, func(m core.Member) bool { return m.Record.ID == key.id })
		switch {
		case i >= 0 && v.Members[i].Record.Incarnation != key.inc:
			p.end()
		case i >= 0:
			p.unlisted = time.Time{}
			if p.timer != nil {
				p.timer.Stop()
			}
		case p.unlisted.IsZero():
			p.unlisted = now
			p.timer = time.AfterFunc(unlistedMax, func() { s.expire(p) })
		}
	}
}

// stir makes those who wait for a link look again.
func (s *streams) stir() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.links)
	s.links = make(chan struct{})
}

// moved returns a channel that stir closes.
func (s *streams) moved() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links
}

// expire is the timer's call.
func (s *streams) expire(p *streamPeer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.unlisted.IsZero() && time.Since(p.unlisted) >= unlistedMax {
		p.end()
	}
}

// end ends the streams with one start of a node.
func (s *streams) end(key streamKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.peers[key]; p != nil {
		p.end()
	}
}

// end ends all connections. The caller holds the mutex of the streams.
func (p *streamPeer) end() {
	for _, c := range p.carriers {
		c.session.Close(mux.CodeLeave)
	}
}

// close ends everything: the node leaves.
func (s *streams) close() {
	s.services.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	for _, p := range s.peers {
		p.end()
	}
}

// figures returns how many streams and connections there are.
func (s *streams) figures() (open, connections uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.peers {
		connections += uint64(len(p.carriers))
		for _, c := range p.carriers {
			open += uint64(c.session.Streams())
		}
	}
	return open, connections
}
