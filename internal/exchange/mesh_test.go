package exchange_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/session"
)

// hop is how long a frame travels from one station to the next.
const hop = 500 * time.Microsecond

// mesh is some nodes with the links that a test gives them. They list each other, whoever has
// a link with whom.
type mesh struct {
	t        *testing.T
	stations []*station
	byID     map[ident.NodeID]*station
	cables   map[[2]int]*cable

	mu     sync.Mutex // guards what follows
	frames map[frame.Type]int
}

// station is a node with a key, and with a reader that counts.
type station struct {
	*node
	at        int
	key       *ident.Key
	published int  // messages to all
	late      bool // it begins with whatever comes first
	queue     *mailbox.Queue

	mu   sync.Mutex // guards what follows
	come map[ident.NodeID]*tally
}

// tally is what came of one origin.
type tally struct {
	first, next uint64 // the first message that came, and the one that comes next
	lost, parts uint64 // messages that are missing, and in how many parts that was told
	unknown     bool
	wrong       string // the first violation
	last        time.Time
}

// newMesh returns stations without links, ascending by ID.
func newMesh(t *testing.T, count int) *mesh {
	m := &mesh{t: t, byID: map[ident.NodeID]*station{}, cables: map[[2]int]*cable{}, frames: map[frame.Type]int{}}
	for i := range count {
		key, err := ident.NewKey(bytes.NewReader(bytes.Repeat([]byte{byte(i + 1)}, 32)))
		if err != nil {
			t.Fatal(err)
		}
		m.stations = append(m.stations, &station{key: key, come: map[ident.NodeID]*tally{}})
	}
	slices.SortFunc(m.stations, func(a, b *station) int { return a.key.ID().Compare(b.key.ID()) })
	for i, s := range m.stations {
		s.at, s.node = i, &node{t: t, id: s.key.ID()}
		m.byID[s.id] = s
		s.Exchange = exchange.New(exchange.Config{
			Self: s.id, Incarnation: 1, Name: fmt.Sprint("node-", i), EventMax: 1 << 20, InDoubt: s.inDoubt,
			Sign: s.key.Sign, Public: func(id ident.NodeID) []byte { return m.byID[id].key.Public() },
		})
		s.run(t.Context())
		s.queue = s.subscribe(mailbox.Options{MessagesMax: 1 << 20, BytesMax: 1 << 30})
	}
	return m
}

// read reads until the end of the test.
func (m *mesh) read(s *station) {
	ctx, cancel := context.WithCancel(m.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			batch, err := s.queue.Next(ctx)
			if err != nil {
				return
			}
			for i := range batch {
				s.count(&batch[i])
			}
		}
	})
	m.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// count takes an entry. Messages begin with their number.
func (s *station) count(e *mailbox.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := e.From
	if e.Count == 0 {
		from = e.Lost.From
	}
	c := s.come[from]
	if c == nil {
		c = &tally{next: 1}
		s.come[from] = c
	}
	if c.last = time.Now(); e.Count == 0 {
		c.lost += e.Lost.Count
		c.next += e.Lost.Count
		c.unknown = c.unknown || e.Lost.Unknown
		c.parts++
		return
	}
	for run := e.Data; len(run) > 0; {
		var payload []byte
		payload, run = frame.NextPayload(run)
		n := binary.BigEndian.Uint64(payload)
		if c.first == 0 {
			if c.first = n; s.late {
				c.next = n
			}
		}
		if n != c.next && c.wrong == "" {
			c.wrong = fmt.Sprintf("message %d where %d comes next", n, c.next)
		}
		c.next++
	}
}

// got returns what came at s of an origin.
func (s *station) got(origin *station) tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.come[origin.id]; c != nil {
		return *c
	}
	return tally{next: 1}
}

// say publishes messages to all.
func (s *station) say(count, size int) {
	s.t.Helper()
	for range count {
		s.published++
		payload := make([]byte, max(size, 8))
		binary.BigEndian.PutUint64(payload, uint64(s.published))
		m := session.Message{Topic: "a", Payload: payload}
		if err := s.Broadcast(s.t.Context(), false, m, nil); err != nil {
			s.t.Fatalf("Broadcast: %v", err)
		}
	}
}

// list makes the stations for which in is true list each other, with links as wanted says, and
// no others.
func (m *mesh) list(in func(i int) bool, wanted func(a, b int) bool) {
	var side []*station
	for _, s := range m.stations {
		if in(s.at) {
			side = append(side, s)
		}
	}
	graph := &gossip.Graph{Links: make([][]uint32, len(side))}
	for i, a := range side {
		graph.Members = append(graph.Members, gossip.Member{ID: a.id, Incarnation: 1})
		for k, b := range side {
			if i != k && wanted(min(a.at, b.at), max(a.at, b.at)) {
				graph.Links[i] = append(graph.Links[i], uint32(k))
			}
		}
	}
	for _, s := range side {
		var pairs []*exchange.Pair
		for _, o := range side {
			if o != s {
				pairs = append(pairs, s.Pair(o.id, 1, fmt.Sprint("node-", o.at)))
			}
		}
		s.Exchange.SetMembers(pairs, graph)
	}
}

func all(int) bool         { return true }
func always(_, _ int) bool { return true }

// cable is a link between two stations.
type cable struct {
	ends   [2]*plug
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// plug is one end of it.
type plug struct {
	pair *exchange.Pair
	wake chan struct{}
	in   chan []byte

	mu      sync.Mutex // guards what follows
	control []byte
}

// Wake implements [exchange.Link].
func (p *plug) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Send implements [exchange.Link].
func (p *plug) Send(f []byte) error {
	p.mu.Lock()
	p.control = append(p.control, f...)
	p.mu.Unlock()
	p.Wake()
	return nil
}

// take returns what is to be written now.
func (p *plug) take() []byte {
	p.mu.Lock()
	b := p.control
	p.control = nil
	p.mu.Unlock()
	for _, f := range p.pair.Fill(nil, 64<<10) {
		b = append(b, f...)
	}
	return b
}

// connect gives two stations a link, which carries frames until it is cut.
func (m *mesh) connect(a, b int) {
	m.t.Helper()
	name := [2]int{min(a, b), max(a, b)}
	if m.cables[name] != nil {
		return
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	c := &cable{cancel: cancel}
	for i, at := range name {
		self, other := m.stations[at], m.stations[name[1-i]]
		c.ends[i] = &plug{
			pair: self.Pair(other.id, 1, fmt.Sprint("node-", other.at)),
			wake: make(chan struct{}, 1), in: make(chan []byte, 1<<12),
		}
	}
	ended := ctx.Done()
	for i, p := range c.ends {
		p.pair.Attach(p)
		other := c.ends[1-i]
		c.wg.Go(func() { // the writer
			for {
				select {
				case <-p.wake:
				case <-ended:
					return
				}
				for b := p.take(); len(b) > 0; b = p.take() {
					select {
					case other.in <- b:
					case <-ended:
						return
					}
				}
			}
		})
		c.wg.Go(func() { // the reader
			for {
				select {
				case b := <-p.in:
					time.Sleep(hop)
					m.receive(p.pair, b)
				case <-ended:
					return
				}
			}
		})
	}
	m.cables[name] = c
	m.t.Cleanup(func() {
		cancel()
		c.wg.Wait()
	})
}

func (m *mesh) receive(p *exchange.Pair, b []byte) {
	for len(b) > 0 {
		raw, n, err := frame.Next(b)
		if err == nil {
			m.mu.Lock()
			m.frames[raw.Type]++
			m.mu.Unlock()
			err = p.Receive(raw)
		}
		if err != nil {
			m.t.Errorf("a frame %v from %v is refused: %v", raw.Type, p.ID().Short(), err)
			return
		}
		b = b[n:]
	}
}

// seen returns how many frames of a type have arrived since the last call.
func (m *mesh) seen(t frame.Type) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.frames[t]
	m.frames[t] = 0
	return n
}

// cut takes the link of two stations away, and what is on its way.
func (m *mesh) cut(a, b int) {
	name := [2]int{min(a, b), max(a, b)}
	if c := m.cables[name]; c != nil {
		c.cancel()
		c.wg.Wait()
		for _, p := range c.ends {
			p.pair.Detach()
		}
		delete(m.cables, name)
	}
}

// check holds every station to have all messages of all, each once and in order, but for those
// that it may lack.
func (m *mesh) check(lacks func(origin, at *station) (from, to uint64)) {
	m.t.Helper()
	for _, origin := range m.stations {
		for _, s := range m.stations {
			c := s.got(origin)
			from, to := uint64(0), uint64(0)
			if lacks != nil {
				from, to = lacks(origin, s)
			}
			if c.wrong != "" || c.unknown || c.next != uint64(origin.published)+1 || c.lost < from || c.lost > to ||
				cmp.Compare(c.lost, 0) != cmp.Compare(c.parts, 0) || c.parts > 1 {
				m.t.Errorf("%d has come to message %d of %d of %d, %d lost in %d parts, unknown %t, want %d to %d lost; %s",
					s.at, c.next-1, origin.published, origin.at, c.lost, c.parts, c.unknown, from, to, c.wrong)
			}
		}
	}
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, count int, f func(m *mesh)) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, count)
		for _, s := range m.stations {
			m.read(s)
		}
		f(m)
	})
}

// seeds returns how many seeds of n a test plays: few where the race detector slows it down.
func seeds(n uint64) uint64 {
	if raceEnabled {
		return n / 5
	}
	return n
}
