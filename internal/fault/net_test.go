package fault_test

import (
	"fmt"
	"hash"
	"math/rand/v2"
	"time"

	"github.com/espial-go/espial/internal/agenda"
	"github.com/espial-go/espial/internal/fault"
	"github.com/espial-go/espial/internal/ident"
)

// event is something that happens at one node.
type event struct {
	node int
	do   func(*node)
}

// network carries frames between detectors in virtual time, over links that lose nothing
// and keep order, as TCP does: what is lost on the way arrives late.
type network struct {
	start, now time.Time
	seed       uint64
	rand       *rand.Rand
	agenda     *agenda.Agenda[time.Time, event]
	nodes      []*node
	loss       func(from, to int) float64 // of a segment
	cut        func(from, to int) bool    // everything is lost
	verdicts   []verdict
	watchers   [][]int     // of each node, who are linked with it; nil where all are
	trace      hash.Hash64 // of all actions, if not nil
}

// node is one detector and its surroundings.
type node struct {
	net    *network
	n      int
	d      *fault.Detector
	killed bool
	until  time.Time         // paused until then
	grain  time.Duration     // runs only at multiples of it
	links  map[int]int       // peer → generation of the link
	last   map[int]time.Time // peer → arrival of the last frame to it
	wake   time.Time         // the tick that counts
	gone   map[int]bool      // dead in its eyes
	began  map[int]time.Time // when a peer became suspect
	news   news              // in a partial mesh
}

// verdict is what one node found about another.
type verdict struct {
	at     time.Duration // since the fault
	by, of int
	dead   bool
	silent bool
}

func (v verdict) String() string {
	word := "suspect"
	if v.dead {
		word = "dead"
	}
	return fmt.Sprintf("%v: %d finds %d %s", v.at, v.by, v.of, word)
}

// later returns the last of two moments.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

const latency = 200 * time.Microsecond

func idOf(n int) ident.NodeID    { return ident.NodeID{byte(n + 1)} }
func nodeOf(id ident.NodeID) int { return int(id[0]) - 1 }

// newNetwork returns a full mesh of n nodes that have run for some time.
func newNetwork(seed uint64, n int) *network { return newMesh(seed, n, nil) }

// newMesh returns nodes that have run for some time, all linked or each with its watchers.
func newMesh(seed uint64, n int, watchers [][]int) *network {
	w := &network{
		watchers: watchers,
		agenda:   agenda.New[time.Time, event](time.Time.Compare),
		start:    time.Unix(1_000_000, 0), seed: seed, rand: rand.New(rand.NewPCG(seed, 0)),
		loss: func(int, int) float64 { return 0 },
		cut:  func(int, int) bool { return false },
	}
	w.now = w.start
	for i := range n {
		w.nodes = append(w.nodes, &node{
			net: w, n: i, links: map[int]int{}, last: map[int]time.Time{},
			gone: map[int]bool{}, began: map[int]time.Time{},
			d: fault.New(fault.Config{Self: idOf(i), Incarnation: incOf(idOf(i))}, rand.New(rand.NewPCG(seed, uint64(i+1)))),
		})
	}
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a != b {
				a.d.Add(w.now, idOf(b.n), incOf(idOf(b.n)))
			}
			if a != b && w.linked(a.n, b.n) {
				a.links[b.n] = 1
				a.d.LinkUp(w.now, idOf(b.n))
			}
		}
		a.watch()
		a.settle()
	}
	w.run(3*time.Second + time.Duration(w.rand.Int64N(int64(time.Second))))
	w.verdicts, w.start = nil, w.now
	return w
}

// at puts an event of node n on the queue.
func (w *network) at(when time.Time, n int, do func(*node)) {
	w.agenda.Add(when, event{n, do})
}

// run lets d pass.
func (w *network) run(d time.Duration) {
	end := w.now.Add(d)
	for at, e, ok := w.agenda.Due(end); ok; at, e, ok = w.agenda.Due(end) {
		n := w.nodes[e.node]
		w.now = at
		if n.killed {
			continue
		}
		if free := n.free(at); free.After(at) {
			w.at(free, e.node, e.do)
			continue
		}
		e.do(n)
		n.settle()
	}
	w.now = end
}

// free returns when n runs next: the time is its own, or somebody else's.
func (n *node) free(at time.Time) time.Time {
	if at.Before(n.until) {
		return n.until
	}
	if n.grain == 0 {
		return at
	}
	// Nodes are starved at different moments.
	off := time.Duration(n.n) * n.grain / 7
	since := at.Sub(n.net.start) + time.Hour + off
	if since%n.grain == 0 {
		return at
	}
	return at.Add(n.grain - since%n.grain)
}

// settle carries out the actions of n and sets its timer.
func (n *node) settle() {
	for _, a := range n.d.Take() {
		n.act(a)
	}
	if at, ok := n.d.Next(); ok {
		at = later(at, n.net.now)
		if at.Equal(n.wake) {
			return
		}
		n.wake = at
		n.net.at(at, n.n, func(n *node) {
			if n.wake.Equal(at) {
				n.wake = time.Time{}
				n.d.Tick(n.net.now)
			}
		})
	}
}

func (n *node) act(a fault.Action) {
	w := n.net
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%v %d %s\n", w.now.Sub(w.start), n.n, words(a))
	}
	note := func(id ident.NodeID, dead, silent bool) {
		w.verdicts = append(w.verdicts, verdict{w.now.Sub(w.start), n.n, nodeOf(id), dead, silent})
	}
	switch a := a.(type) {
	case fault.Probe:
		n.send(nodeOf(a.ID), func(to *node) {
			to.send(n.n, func(*node) { n.d.Acked(w.now, a.ID, a.Number) })
		})
	case fault.Request:
		n.send(nodeOf(a.Helper), func(to *node) {
			to.d.Asked(w.now, idOf(n.n), fault.Ask{Number: a.Number, Target: a.Target, Incarnation: a.Incarnation})
		})
	case fault.Answer:
		n.send(nodeOf(a.To), func(to *node) { to.d.Result(w.now, idOf(n.n), a.Number, a.Alive) })
	case fault.Tell:
		if w.watchers != nil {
			n.accuse(a)
		} else {
			n.tell(a)
		}
	case fault.Redial:
		n.redial(nodeOf(a.ID))
	case fault.Refute:
		if w.watchers != nil {
			n.refute()
			return
		}
		for p := range w.nodes {
			n.send(p, func(to *node) { to.d.Refuted(w.now, idOf(n.n)) })
		}
	case fault.Suspect:
		note(a.ID, false, false)
	case fault.Alive:
		n.news.cleared++
	case fault.Dead:
		n.gone[nodeOf(a.ID)] = true
		note(a.ID, true, a.Silent)
	}
}

func (n *node) tell(a fault.Tell) {
	for p := range n.net.nodes {
		n.send(p, func(to *node) {
			to.d.Suspected(n.net.now, idOf(n.n), a.ID, a.Incarnation, a.Refused)
		})
	}
}

// send puts a frame on the link to p, if there is one.
func (n *node) send(p int, receive func(*node)) {
	w := n.net
	link := n.links[p]
	if p == n.n || link == 0 || w.cut(n.n, p) {
		return
	}
	delay := latency
	for again := 200 * time.Millisecond; w.rand.Float64() < w.loss(n.n, p); again *= 2 {
		delay += again
	}
	arrives := w.now.Add(delay)
	arrives = later(arrives, n.last[p]) // behind what is being retransmitted
	n.last[p] = arrives
	w.at(arrives, p, func(to *node) {
		if to.links[n.n] == link && !w.cut(n.n, p) {
			to.d.Heard(w.now, idOf(n.n), w.now)
			receive(to)
		}
	})
}

// kill ends a process: the kernel closes its links and refuses redials.
func (w *network) kill(n int) {
	w.nodes[n].killed = true
	for _, p := range w.nodes {
		if p.links[n] != 0 {
			w.at(w.now.Add(latency), p.n, func(p *node) {
				p.links[n] = 0
				p.d.LinkDown(w.now, idOf(n), true)
				p.redial(n)
			})
		}
	}
}

// redial asks the kernel of node p, which takes a round trip, and again after a second.
func (n *node) redial(p int) {
	w := n.net
	if n.links[p] != 0 || n.gone[p] || w.cut(n.n, p) || w.cut(p, n.n) {
		return
	}
	w.at(w.now.Add(2*latency), n.n, func(n *node) {
		if w.nodes[p].killed {
			n.d.Refused(w.now, idOf(p))
		}
	})
	w.at(w.now.Add(time.Second), n.n, func(n *node) { n.redial(p) })
}
