package mux

import (
	"context"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"github.com/espial-go/espial/internal/crew"
)

// Limits and times of a session.
const (
	// StreamsMax bounds the streams of a session that each end opened, counted at both
	// ends, unless [Config] says otherwise.
	StreamsMax = 1024

	// openingMax bounds the streams that this end opens at once and that the other has not
	// answered. yamux refuses more than twice as many.
	openingMax = 128
	backlog    = 2 * openingMax

	// lagMax is by how many streams one end may lag behind the other in counting closed
	// ones, before yamux refuses new ones without saying why.
	lagMax = 256

	// keepAlive is the time without a byte after which a session asks whether the other end
	// is there; without an answer within writeWithin it ends.
	keepAlive = 15 * time.Second

	// writeWithin bounds a write to the connection. A peer that takes nothing for so long
	// loses the session.
	writeWithin = 10 * time.Second

	// closeWithin bounds the end of a session: the reasons for the other end, and what is
	// queued before them.
	closeWithin = 100 * time.Millisecond

	// messageMax is the most that yamux sends of one stream before it is the turn of
	// another, in bytes: 64 KiB with what yamux adds, so that a block of that size is one
	// message and not a second one of a few bytes.
	messageMax = 64<<10 + 12

	// sparesMax is how many goroutines of a session wait for something to do. A stream needs
	// three at its two ends.
	sparesMax = 16

	// readSize is the size of the reader's buffer, in bytes: a record of TLS. What is larger
	// goes past it.
	readSize = 16 << 10
)

// Config says what a session is for.
type Config struct {
	// Dialed reports that this end dialled the connection.
	Dialed bool

	// Services are the listeners of this node.
	Services *Services

	// Local and Remote are the IDs of the nodes, for the addresses of streams.
	Local, Remote string

	// StreamsMax bounds the streams that each end opened, counted at both ends. Default
	// [StreamsMax].
	StreamsMax int

	// Wrap gives a stream to wrappers; nil for none. It returns what is to be used in place of
	// the stream, or an error, and with that what is to be closed, if anything. It does not
	// panic. [Stream.Wrap] calls it, for each stream that the other end opened as well.
	Wrap func(st *Stream) (net.Conn, error)

	// Unwrapped is told of a stream that was reset because Wrap failed. May be nil.
	Unwrapped func(st *Stream, err error)

	// Report is told what becomes of each stream; nil for nobody. It is called without a lock and
	// must not block.
	Report func(Report)

	// IdleMax is the time without a stream after which the session ends. 0 is never.
	IdleMax time.Duration
}

// Session carries the streams over one connection.
type Session struct {
	cfg     Config
	y       *yamux.Session
	growth  growth
	opening chan struct{} // holds a token for each stream that Open has not done with
	tasks   *crew.Crew

	mu       sync.Mutex // guards what follows
	streams  map[*Stream]struct{}
	opened   int // streams that this end opened, and is opening
	accepted int // streams that the other end opened
	idle     *time.Timer
	retired  bool // takes no new streams, and ends with the last one
	closing  bool
	over     bool // no task may start
}

// New makes a session of a connection, which it closes in the end. Run carries it.
func New(nc net.Conn, c Config) (*Session, error) {
	if c.StreamsMax == 0 {
		c.StreamsMax = StreamsMax
	}
	s := &Session{cfg: c, opening: make(chan struct{}, openingMax), streams: map[*Stream]struct{}{}}
	role := yamux.Server
	if c.Dialed {
		role = yamux.Client
	}
	var err error
	s.y, err = role(nc, &yamux.Config{
		AcceptBacklog: backlog, MaxIncomingStreams: uint32(c.StreamsMax + lagMax), PingBacklog: 32,
		EnableKeepAlive: true, KeepAliveInterval: keepAlive, MeasureRTTInterval: keepAlive,
		ConnectionWriteTimeout: writeWithin, MaxMessageSize: messageMax, ReadBufSize: readSize,
		InitialStreamWindowSize: windowMin, MaxStreamWindowSize: windowMax,
		LogOutput: io.Discard, // what it has to say, its errors say
	}, s.growth.span)
	if err != nil {
		return nil, err
	}
	s.tasks = crew.New(sparesMax, s.y.CloseChan())
	s.rest()
	return s, nil
}

// Run accepts streams until the session ends: because the connection broke, because of
// Close, because it was idle, or because ctx ended, which is Close with [CodeLeave]. It
// returns when every goroutine of the session is gone.
func (s *Session) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { s.Close(CodeLeave) })
	defer stop()
	for {
		ys, err := s.y.AcceptStream()
		if err != nil {
			break
		}
		s.start(func() { s.serve(ctx, ys) })
	}
	s.mu.Lock()
	s.closing, s.over = true, true
	s.rest()
	s.mu.Unlock()
	_ = s.y.Close() // ended before; this waits for its goroutines
	s.tasks.Wait()
	s.bury()
}

// Close resets the streams that are open with code c, sends what is queued, for 100 ms at
// most, and ends the session. It does not wait. Only the first call counts.
func (s *Session) Close(c Code) {
	s.mu.Lock()
	first := !s.closing
	s.closing = true
	s.mu.Unlock()
	if first {
		s.start(func() { s.end(c) })
	}
}

// end says goodbye. What yamux queues is sent in order, and the other end closes the
// connection when it has read the last of it.
func (s *Session) end(c Code) {
	timer := time.AfterFunc(closeWithin, func() {
		_ = s.y.Close() // fails what waits below
	})
	defer timer.Stop()
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.streams))
	s.mu.Unlock()
	for _, st := range all {
		if !st.isClosed() {
			_ = st.ys.ResetWithError(uint32(c)) // never fails; who has the stream still closes it
			continue
		}
		select {
		case <-st.fin: // its last bytes go before the goodbye
		case <-s.y.CloseChan():
		}
	}
	if s.y.GoAway() == nil {
		<-s.y.CloseChan()
	}
	_ = s.y.Close()
}

// Retire makes the session take no new streams from this end, and end with the last one.
func (s *Session) Retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = true
	s.rest()
}

// Usable reports whether Open has a chance.
func (s *Session) Usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closing && !s.retired && !s.y.IsClosed() && s.opened < s.cfg.StreamsMax
}

// Streams returns how many streams are open.
func (s *Session) Streams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened + s.accepted
}

// start runs f on a goroutine for which Run waits. It returns false if Run has ended.
func (s *Session) start(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.tasks.Go(f)
	return true
}

// rest starts the timer that ends an idle session, or stops it. The caller holds mu,
// except in New.
func (s *Session) rest() {
	if s.idle != nil {
		s.idle.Stop()
	}
	wait := s.cfg.IdleMax
	if s.retired {
		wait = 0
	} else if wait == 0 {
		return
	}
	if s.opened+s.accepted == 0 && !s.closing {
		s.idle = time.AfterFunc(wait, s.doze)
	}
}

// doze is the timer's call.
func (s *Session) doze() {
	s.mu.Lock()
	idle := s.opened+s.accepted == 0 && !s.closing
	s.closing = s.closing || idle // no stream comes in between
	s.mu.Unlock()
	if idle {
		s.start(func() { s.end(CodeLeave) })
	}
}

// enter counts a stream before there is one, and says whether there is room.
func (s *Session) enter(opens bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &s.accepted
	if opens {
		n = &s.opened
	}
	switch {
	case s.closing, s.retired && opens:
		return ErrEnded
	case *n >= s.cfg.StreamsMax:
		return ErrFull
	}
	*n++
	s.rest()
	return nil
}

// leave takes back what enter counted.
func (s *Session) leave(opened bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if opened {
		s.opened--
	} else {
		s.accepted--
	}
	s.rest()
}

// add makes the stream known that enter counted.
func (s *Session) add(st *Stream) {
	s.mu.Lock()
	s.streams[st] = struct{}{}
	s.mu.Unlock()
	s.report(Opened, st, CodeNone)
}

// remove forgets a stream that is over, once, and reports how it ended.
func (s *Session) remove(st *Stream, e Event, c Code) {
	s.mu.Lock()
	_, known := s.streams[st]
	delete(s.streams, st)
	s.mu.Unlock()
	if known {
		s.leave(st.opens)
		s.report(e, st, c)
	}
}
