package gossip_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/agenda"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

// network carries frames between routers in virtual time, over links that keep the order
// and lose nothing but the batches that a full queue drops.
type network struct {
	start, now time.Time
	rand       *rand.Rand
	agenda     *agenda.Agenda[time.Time, func()]
	config     gossip.Config // of every router, besides who it is
	bug        bug
	procs      []*proc // by slot: the present one, or the last one
	slots      map[ident.NodeID]int
	books      map[gossip.Member]*book
	cut        func(a, b int) bool // nothing gets through between two slots
	payloads   int                 // RELAY frames that arrived
	marks      int                 // marks that arrived
	violations []string
}

// proc is one start of a node: a router and its surroundings.
type proc struct {
	net     *network
	slot    int
	self    gossip.Member
	r       *gossip.Router
	dead    bool
	linked  time.Time     // when its first link came up; zero before
	links   map[int]*link // by slot of the peer
	wake    time.Time     // the tick that counts
	source  ident.NodeID  // who sent what the actions follow from; zero if nobody did
	batch   ident.Seq     // what that was
	readers map[gossip.Member]*reader
	hops    map[ident.Seq]int       // of the first arrival, by the first number of a batch
	arrived map[ident.Seq]time.Time // when that was
	writer  *writer
	view    []gossip.Member             // ascending
	graph   *gossip.Graph               // of it
	listed  map[gossip.Member]time.Time // since when it lists somebody
	hasty   map[gossip.Member]bool      // whom it listed too shortly to know that nothing was published
}

// link is one end of a link.
type link struct {
	peer  *proc
	other *link
	down  bool
	ready time.Time // when the last frame to the peer arrives
	full  time.Time // the queue drops batches until then
}

// newNetwork returns a network of so many nodes, none of which runs.
func newNetwork(seed uint64, slots int) *network {
	w := &network{
		agenda: agenda.New[time.Time, func()](time.Time.Compare),
		start:  time.Unix(1_000_000, 0), rand: rand.New(rand.NewPCG(seed, 0)),
		procs: make([]*proc, slots), slots: map[ident.NodeID]int{}, books: map[gossip.Member]*book{},
		cut: func(int, int) bool { return false },
	}
	w.now = w.start
	for slot := range slots {
		w.slots[idOf(slot)] = slot
	}
	return w
}

// idOf returns the ID of a slot: a hash, as IDs are.
func idOf(slot int) ident.NodeID { return ident.IDOf(binary.BigEndian.AppendUint32(nil, uint32(slot))) }

// boot starts a process in a slot.
func (w *network) boot(slot int) *proc {
	p := &proc{
		net: w, slot: slot, self: gossip.Member{ID: idOf(slot), Incarnation: ident.Incarnation(w.rand.Uint64N(1<<60) + 1)},
		links: map[int]*link{}, readers: map[gossip.Member]*reader{},
		listed: map[gossip.Member]time.Time{}, hasty: map[gossip.Member]bool{},
	}
	c := w.config
	c.Self, c.Incarnation = p.self.ID, p.self.Incarnation
	if w.bug == hoard {
		c.StoreMax = 1 << 30
	}
	p.r = gossip.New(w.now, c)
	p.writer = &writer{self: p.self, next: 1, message: 1}
	w.procs[slot] = p
	w.books[p.self] = &book{listed: map[gossip.Member]*ident.Seq{}}
	return p
}

// at runs f at a moment, or now if that has passed.
func (w *network) at(t time.Time, f func()) {
	w.agenda.Add(t, f)
}

func (w *network) after(d time.Duration, f func()) { w.at(w.now.Add(d), f) }

// run lets time pass.
func (w *network) run(d time.Duration) {
	end := w.now.Add(d)
	for at, do, ok := w.agenda.Due(end); ok; at, do, ok = w.agenda.Due(end) {
		if at.After(w.now) {
			w.now = at
		}
		do()
	}
	w.now = end
}

// below draws a time.
func (w *network) below(d time.Duration) time.Duration { return time.Duration(w.rand.Int64N(int64(d))) }

// hop draws the time of one hop: 0.4 to 0.6 ms.
func (w *network) hop() time.Duration { return 400*time.Microsecond + w.below(200*time.Microsecond) }

// connect makes a link between two processes, unless they have one.
func (w *network) connect(a, b *proc) {
	if a.dead || b.dead || a == b || a.links[b.slot] != nil || b.links[a.slot] != nil || w.cut(a.slot, b.slot) {
		return
	}
	la, lb := &link{peer: b}, &link{peer: a}
	la.other, lb.other = lb, la
	a.links[b.slot], b.links[a.slot] = la, lb
	for _, end := range []struct{ p, q *proc }{{a, b}, {b, a}} {
		if end.p.linked.IsZero() {
			end.p.linked = w.now
		}
		end.p.r.LinkUp(w.now, end.q.self.ID)
		end.p.carryOut(0)
	}
}

// disconnect takes one end of a link down.
func (p *proc) disconnect(l *link) {
	if l.down {
		return
	}
	l.down = true
	if p.links[l.peer.slot] == l {
		delete(p.links, l.peer.slot)
	}
	if !p.dead {
		p.r.LinkDown(p.net.now, l.peer.self.ID)
		p.carryOut(0)
	}
}

// linkTo returns the link to a node, nil if there is none.
func (p *proc) linkTo(id ident.NodeID) *link { return p.links[p.net.slots[id]] }

// send brings something to the peer of a link, behind all that was sent before.
func (p *proc) send(l *link, do func(to *proc)) {
	w := p.net
	if l.ready = l.ready.Add(time.Microsecond); l.ready.Before(w.now.Add(w.hop())) {
		l.ready = w.now.Add(w.hop())
	}
	w.at(l.ready, func() {
		if !l.other.down && !l.peer.dead && !w.cut(p.slot, l.peer.slot) {
			do(l.peer)
		}
	})
}

// carryOut does what the router asks for. Batches are the farther from their origin the
// more hops they made before.
func (p *proc) carryOut(hops int) {
	acts := p.r.Take()
	for _, d := range acts.Deliveries {
		p.read(d)
	}
	for _, f := range acts.Forwards {
		if p.net.bug == echo && !p.source.IsZero() {
			f.To = append(slices.Clone(f.To), p.source)
		}
		for _, id := range f.To {
			if id == p.source && f.Batch.First == p.batch {
				p.net.fail("%d passes batch %d back to where it came from", p.slot, p.batch)
			}
			p.relay(id, f.Batch, hops)
		}
	}
	for _, d := range acts.Digests {
		m := frame.Marks{Greeting: d.Marks.Greeting, List: slices.Clone(d.Marks.List)}
		for _, id := range d.To {
			if l := p.linkTo(id); l != nil {
				p.send(l, func(to *proc) { to.marked(p, m) })
			}
		}
	}
	for _, q := range acts.Pulls {
		if l := p.linkTo(q.To); l != nil {
			p.send(l, func(to *proc) { to.pulled(p, q.Pull) })
		}
	}
	for _, g := range acts.Greets {
		if l := p.linkTo(g.To); l != nil {
			p.send(l, func(to *proc) { to.greeted(p, g.Greet) })
		}
	}
	for _, f := range acts.Proofs {
		if l := p.linkTo(f.To); l != nil {
			p.send(l, func(to *proc) { to.proved(f.Proof) })
		}
	}
	p.arm()
}

// relay sends a batch, unless the queue of the link is full.
func (p *proc) relay(to ident.NodeID, b frame.Relay, hops int) {
	l := p.linkTo(to)
	if l == nil || l.full.After(p.net.now) {
		return
	}
	p.send(l, func(to *proc) { to.received(p, b, hops+1) })
}

// received takes a batch from a neighbour, as the reader of a link does.
func (p *proc) received(from *proc, b frame.Relay, hops int) {
	w := p.net
	w.payloads++
	news := p.r.Wants(w.now, from.self.ID, &b)
	if news || w.bug == twice {
		p.r.Receive(w.now, from.self.ID, b)
	}
	if news && p.hops != nil {
		p.hops[b.First], p.arrived[b.First] = hops, w.now
	}
	if w.bug == twice && !news {
		p.read(gossip.Delivery{Origin: b.Origin, Incarnation: b.Incarnation, Batch: b})
	}
	p.source, p.batch = from.self.ID, b.First
	p.carryOut(hops)
	p.source = ident.NodeID{}
}

func (p *proc) marked(from *proc, m frame.Marks) {
	p.net.marks += len(m.List)
	p.r.Marked(p.net.now, from.self.ID, m)
	p.carryOut(0)
}

func (p *proc) greeted(from *proc, g frame.Greet) {
	p.r.Greeted(from.self.ID, g)
	p.carryOut(0)
}

func (p *proc) proved(f frame.Proof) {
	if p.r.WantsProof(&f) {
		p.r.Proved(p.net.now, f)
		p.carryOut(0)
	}
}

func (p *proc) pulled(from *proc, q frame.Pull) {
	p.r.Pulled(p.net.now, from.self.ID, q)
	p.carryOut(p.hops[q.First])
}

// arm makes sure that the router is woken in time.
func (p *proc) arm() {
	at, ok := p.r.Next()
	if !ok || !p.wake.IsZero() && !at.Before(p.wake) {
		return
	}
	p.wake = at
	p.net.at(at, func() {
		if p.dead || !p.wake.Equal(at) {
			return
		}
		p.wake = time.Time{}
		p.r.Tick(p.net.now)
		p.carryOut(0)
	})
}

// sees gives a process a view, and the graph that follows from it.
func (p *proc) sees(members []gossip.Member) {
	p.view, p.graph = members, rings(members)
	p.r.View(p.net.now, p.graph)
	p.carryOut(0)
}

// rings returns the graph of four rings, each of which orders the members by another part
// of their IDs, and links each with the next.
func rings(members []gossip.Member) *gossip.Graph {
	n := len(members)
	g := &gossip.Graph{Members: members, Links: make([][]uint32, n)}
	if n < 2 {
		return g
	}
	order := make([]uint32, n)
	for ring := range 4 {
		for i := range order {
			order[i] = uint32(i)
		}
		slices.SortFunc(order, func(a, b uint32) int {
			x, y := members[a].ID, members[b].ID
			return cmp.Or(slices.Compare(x[8*ring:8*ring+8], y[8*ring:8*ring+8]), x.Compare(y))
		})
		for i, a := range order {
			b := order[(i+1)%n]
			g.Links[a] = append(g.Links[a], b)
			g.Links[b] = append(g.Links[b], a)
		}
	}
	for i := range g.Links {
		slices.Sort(g.Links[i])
		g.Links[i] = slices.Compact(g.Links[i])
	}
	return g
}

// byID sorts members.
func byID(a, b gossip.Member) int { return a.ID.Compare(b.ID) }

func (w *network) fail(format string, args ...any) {
	w.violations = append(w.violations, fmt.Sprintf("%v: ", w.now.Sub(w.start))+fmt.Sprintf(format, args...))
}
