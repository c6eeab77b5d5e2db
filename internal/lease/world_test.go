package lease_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/agenda"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// epoch is the real time of the beginning.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is some nodes and the network between them, in real time of one nanosecond. Each
// node has a clock of its own. Nothing is left to chance but what the seed decides.
type world struct {
	rand    *rand.Rand
	lease   time.Duration
	rule    lease.Electorate
	rates   [2]int64                    // of the clocks above real time, in millionths
	slow    time.Duration               // longest latency
	plant   func(e *lease.Election)     // plants a bug in each new election
	tamper  func(m *lease.Message)      // plants a bug in what is sent, or looks at it
	crowd   bool                        // more run than the electorate allows: two may lead
	durable bool                        // nodes have disks, and then their clocks may say anything
	wild    time.Duration               // a time of day is so wrong at most, anew at each start
	store   func(n *node, t ident.Term) // what a node does to keep a term
	now     time.Duration               // real, since the beginning
	nodes   []*node
	voters  int        // the nodes from this one on are ineligible; 0 for none
	cuts    [8][8]bool // one way, by sender and receiver
	agenda  *agenda.Agenda[time.Duration, func()]
	joins   uint64
	sent    int
	wrong   []string // broken invariants
	history []string
	terms   map[ident.Term]int // who led
	highest ident.Term
}

// node is one node; what happens to it while it is paused happens when it goes on.
type node struct {
	w          *world
	index      int
	id         ident.NodeID
	e          *lease.Election
	inc        ident.Incarnation
	rate       int64         // of its clock above real time, in millionths
	offset     time.Duration // of its clock
	wall       time.Duration // of its time of day from the real one
	join       uint64
	dead       bool
	ineligible bool
	disk       ident.Term    // what is written
	full       bool          // it takes nothing
	paused     time.Duration // until then
	trap       int           // 1 + the kind of question after which it pauses, or 0
	backlog    []func()
	links      map[int]*link
	traffic    int // messages sent and taken
	wake       int // the serial of its present wake-up
	view       map[int]bool
	heard      map[int]time.Duration // until when another could hear it, L5

	leader   lease.Leader
	reign    ident.Term // while promoted
	conflict []ident.NodeID
	lost     int // times the quorum was lost
	demoted  []lease.Demoted
	elected  []time.Duration // when it was promoted
}

// link is one connection; its directions are FIFO and keep what a cut delays.
type link struct {
	down  bool
	ready map[int]time.Duration // by receiver: the last arrival
	held  map[int][]func()      // by receiver
}

// name is the ID of a node: its order by ID is not that of its index.
func name(i int) ident.NodeID { return ident.NodeID{byte(i * 101), 1, byte(i)} }

// newWorld makes n nodes that are not linked yet.
func newWorld(seed uint64, n int, rule lease.Electorate, l time.Duration) *world {
	return &world{
		agenda: agenda.New[time.Duration, func()](cmp.Compare[time.Duration]),
		rand:   rand.New(rand.NewPCG(seed, uint64(n))), lease: l, rule: rule, rates: [2]int64{-10_000, 10_000},
		slow: 5 * time.Millisecond, terms: map[ident.Term]int{}, store: (*node).write,
		nodes: make([]*node, n),
	}
}

// start starts all nodes and links them.
func (w *world) start() *world {
	for i := range w.nodes {
		w.add(i)
	}
	w.linkAll(0)
	return w
}

// add makes and starts node i.
func (w *world) add(i int) *node {
	rate := w.rates[w.rand.IntN(2)] // the limits are where it breaks
	if w.rand.IntN(2) == 0 {
		rate = w.rates[0] + w.rand.Int64N(w.rates[1]-w.rates[0])
	}
	n := &node{
		w: w, index: i, id: name(i), rate: rate,
		offset:     time.Duration(w.rand.Int64N(int64(time.Hour))),
		ineligible: w.voters > 0 && i >= w.voters,
		wall:       time.Duration(w.rand.Int64N(int64(100*time.Millisecond))) - 50*time.Millisecond,
	}
	w.nodes[i] = n
	n.start()
	return n
}

// start begins a new incarnation.
func (n *node) start() {
	w := n.w
	n.inc, n.dead = ident.Incarnation(w.rand.Uint64()|1), false
	w.joins++
	n.join, n.links, n.view, n.backlog = w.joins, map[int]*link{}, map[int]bool{}, nil
	n.leader, n.reign, n.conflict, n.heard = lease.Leader{}, 0, nil, map[int]time.Duration{}
	if w.wild > 0 {
		n.wall = w.draw(-w.wild, w.wild)
	}
	e, err := lease.New(n.clock(), lease.Config{
		Self: n.id, Incarnation: n.inc, Electorate: w.rule, Lease: w.lease, Ineligible: n.ineligible,
		Durable: w.durable, Kept: n.disk,
	})
	if err != nil {
		panic(err)
	}
	if w.plant != nil {
		w.plant(e)
	}
	n.e = e
	n.log("starts")
	n.input(func(now time.Time) { e.SetWall(now, n.timeOfDay()); e.View(now, n.voters()) })
}

// clock reads the clock of n.
func (n *node) clock() time.Time { return epoch.Add(n.offset + n.local(n.w.now)) }

// local turns real time into what the clock of n has counted.
func (n *node) local(real time.Duration) time.Duration {
	return real + time.Duration(int64(real)/1_000_000*n.rate+int64(real)%1_000_000*n.rate/1_000_000)
}

// real returns the first nanosecond at which the clock of n shows t.
func (n *node) real(t time.Time) time.Duration {
	want := t.Sub(epoch) - n.offset
	r := time.Duration(float64(want)/(1+float64(n.rate)/1e6)) - 4
	for n.local(r) < want {
		r++
	}
	return max(r, n.w.now)
}

func (n *node) timeOfDay() time.Time { return epoch.Add(n.w.now + n.wall) }

// voters returns the view of n.
func (n *node) voters() []lease.Voter {
	all := []lease.Voter{{ID: n.id, Join: n.join, Eligible: !n.ineligible}}
	for i, o := range n.w.nodes {
		if n.view[i] {
			all = append(all, lease.Voter{ID: o.id, Join: o.join, Eligible: !o.ineligible})
		}
	}
	return all
}

func (w *world) at(at time.Duration, do func()) {
	w.agenda.Add(max(at, w.now), do)
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now+d, do) }

// run lets real time pass.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for len(w.wrong) == 0 {
		at, do, ok := w.agenda.Due(end)
		if !ok {
			break
		}
		w.now = at
		do()
	}
	w.now = end
	w.checkMinorities()
}

// input gives n an input and carries out what follows.
func (n *node) input(f func(now time.Time)) {
	if n.dead {
		return
	}
	if n.w.now < n.paused {
		inc := n.inc
		n.backlog = append(n.backlog, func() {
			if n.inc == inc {
				n.input(f)
			}
		})
		return
	}
	now := n.clock()
	f(now)
	for range 100 {
		if at, ok := n.e.Next(); !ok || at.After(now) {
			break
		}
		n.e.Tick(now)
	}
	n.carryOut()
	at, ok := n.e.Next()
	if !ok {
		return
	}
	if !at.After(now) {
		n.w.fail("%v wants a tick again and again", n)
	}
	n.wake++
	wake, inc := n.wake, n.inc
	n.w.at(n.real(at), func() {
		if n.inc == inc && n.wake == wake {
			n.input(n.e.Tick)
		}
	})
}

// pause stops n for some time.
func (n *node) pause(d time.Duration) {
	n.log("pauses for %v", d)
	n.w.touch()
	n.paused = max(n.paused, n.w.now+d)
	n.w.at(n.paused, func() {
		if n.w.now < n.paused {
			return
		}
		backlog := n.backlog
		n.backlog = nil
		n.log("goes on")
		if len(backlog) == 0 || n.w.rand.IntN(2) == 0 { // timers and messages race
			n.input(n.e.Tick)
		}
		for _, f := range backlog {
			f()
		}
	})
}

// kill ends the process of n; the others find out.
func (n *node) kill() {
	n.log("is killed")
	n.w.touch()
	n.dead, n.backlog, n.paused, n.reign = true, nil, 0, 0
	for i, l := range n.links {
		n.w.breakLink(n.index, i, l, n.w.draw(10*time.Millisecond, 200*time.Millisecond))
	}
	n.links = map[int]*link{}
}

// restart starts n again.
func (n *node) restart() {
	n.start()
	for i := range n.w.nodes {
		n.w.link(n.index, i, n.w.draw(20*time.Millisecond, 500*time.Millisecond))
	}
}

func (w *world) draw(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rand.Int64N(int64(most-least)))
}

// linkAll links all nodes that are not linked, each after at most d.
func (w *world) linkAll(d time.Duration) {
	for i := range w.nodes {
		for j := range i {
			w.link(i, j, w.draw(0, d+1))
		}
	}
}

// link links two nodes after d, if nothing speaks against it then.
func (w *world) link(i, j int, d time.Duration) {
	a, b := w.nodes[i], w.nodes[j]
	if i == j || a == nil || b == nil {
		return
	}
	incs := [2]ident.Incarnation{a.inc, b.inc}
	w.after(d, func() {
		if a.dead || b.dead || w.cuts[i][j] || w.cuts[j][i] ||
			a.links[j] != nil || b.links[i] != nil || incs != [2]ident.Incarnation{a.inc, b.inc} {
			return
		}
		l := &link{ready: map[int]time.Duration{}, held: map[int][]func(){}}
		a.links[j], b.links[i] = l, l
		for _, e := range [][2]*node{{a, b}, {b, a}} {
			n, o := e[0], e[1]
			n.input(func(now time.Time) {
				n.view[o.index] = true
				n.e.View(now, n.voters())
				n.e.Linked(now, o.id)
			})
		}
	})
}

// breakLink ends a link at once; each end finds out after at most d.
func (w *world) breakLink(i, j int, l *link, d time.Duration) {
	if l.down {
		return
	}
	l.down = true
	for _, e := range [][2]int{{i, j}, {j, i}} {
		n, o := w.nodes[e[0]], e[1]
		inc := n.inc
		w.after(w.draw(0, d+1), func() {
			if n.inc != inc || n.links[o] != l {
				return
			}
			delete(n.links, o)
			n.input(func(now time.Time) {
				if n.links[o] == nil {
					delete(n.view, o)
					n.e.View(now, n.voters())
				}
			})
			w.link(n.index, o, w.draw(0, time.Second))
		})
	}
}

// cut sets who cannot reach whom. Links that are cut break after at most 3 s; what was
// said meanwhile arrives late if they do not.
func (w *world) cut(f func(from, to int) bool) {
	w.touch()
	for i := range w.nodes {
		for j := range w.nodes {
			if i == j {
				continue
			}
			was, is := w.cuts[i][j], f(i, j)
			w.cuts[i][j] = is
			var l *link
			if w.nodes[i] != nil {
				l = w.nodes[i].links[j]
			}
			switch {
			case l == nil:
				if was && !is {
					w.link(i, j, w.draw(0, time.Second))
				}
			case is && !was:
				w.after(w.draw(300*time.Millisecond, 3*time.Second), func() {
					if w.cuts[i][j] {
						w.breakLink(i, j, l, 200*time.Millisecond)
					}
				})
			case was && !is:
				held := l.held[j]
				l.held[j] = nil
				for _, f := range held {
					f()
				}
			}
		}
	}
}

func (w *world) heal() { w.cut(func(_, _ int) bool { return false }) }

// split separates the nodes into sides.
func (w *world) split(side func(i int) int) {
	w.cut(func(i, j int) bool { return side(i) != side(j) })
}

// send carries a message of n to the node with the ID to.
func (n *node) send(to ident.NodeID, m lease.Message) {
	w := n.w
	j := slices.IndexFunc(w.nodes, func(o *node) bool { return o != nil && o.id == to })
	l := n.links[j]
	if j < 0 || l == nil || l.down {
		return
	}
	if w.tamper != nil {
		w.tamper(&m)
	}
	w.sent++
	n.traffic++
	if a, ok := m.(lease.Ask); ok && n.trap > 0 && a.Kind == lease.Kind(n.trap-1) {
		n.trap = 0
		w.after(0, func() { n.pause(w.draw(0, 4*w.lease)) })
	}
	o := w.nodes[j]
	inc := o.inc
	deliver := func() {
		at := max(w.now+w.draw(100*time.Microsecond, w.slow), l.ready[j])
		l.ready[j] = at
		w.at(at, func() {
			if !l.down && o.inc == inc {
				o.traffic++
				o.input(func(now time.Time) { o.e.Receive(now, n.id, m) })
			}
		})
	}
	if w.cuts[n.index][j] {
		l.held[j] = append(l.held[j], deliver)
		return
	}
	deliver()
}

func (n *node) String() string { return fmt.Sprintf("node %d", n.index) }

func (n *node) log(format string, args ...any) {
	n.w.history = append(n.w.history, fmt.Sprintf("%12v %v ", n.w.now, n)+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf("%v: ", w.now)+fmt.Sprintf(format, args...))
}
