package council_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// latency is how long a frame takes.
const latency = time.Millisecond

// pair is one direction between two nodes.
type pair struct{ from, to int }

// packet is a frame on its way.
type packet struct {
	pair
	at     time.Time
	inc    ident.Incarnation // of the sender
	toward ident.Incarnation
	frame  []byte
}

// world is councils that are wired in memory: what is sent arrives in order after the
// latency, unless the link is down then.
type world struct {
	t         *testing.T
	start     time.Time
	now       time.Time
	nodes     []*node
	down      map[pair]bool   // links
	blind     map[pair]bool   // from does not list to
	links     map[pair]uint64 // how often each was replaced
	packets   []packet        // by time
	incs      ident.Incarnation
	exclusive []string // elections in which at most one may lead
	durable   bool     // nodes have disks
}

// node is one council and what it said.
type node struct {
	w        *world
	slot     int
	id       ident.NodeID
	inc      ident.Incarnation
	eligible bool
	c        *council.Council // nil if it does not run
	log      []string         // reports and holds
	hold     map[string]council.Hold
	disk     map[string]council.Mark // outlives x
	sent     int
}

// newWorld returns n nodes that run, list and are linked with each other, but have no
// election open. The one in slot 0 is the oldest.
func newWorld(t *testing.T, n int) *world {
	start := time.Unix(1_700_000_000, 0)
	w := &world{t: t, start: start, now: start, down: map[pair]bool{}, blind: map[pair]bool{}, links: map[pair]uint64{}}
	for i := range n {
		x := &node{w: w, slot: i, id: idOf(i), eligible: true, disk: map[string]council.Mark{}}
		w.nodes = append(w.nodes, x)
		x.boot()
	}
	w.view()
	return w
}

// idOf returns the ID of the node in a slot.
func idOf(slot int) ident.NodeID { return ident.NodeID{byte(slot + 1)} }

// boot starts x, anew if it runs. It is listed by the next view.
func (x *node) boot() {
	x.w.incs++
	x.inc = x.w.incs
	x.hold = map[string]council.Hold{}
	c := council.Config{Self: x.id, Incarnation: x.inc, Eligible: x.eligible}
	if x.w.durable {
		c.Kept = x.disk
	}
	x.c = council.New(c)
	x.c.SetWall(x.w.now, x.w.now)
}

// stop ends x without a word.
func (x *node) stop() { x.c = nil; x.w.view() }

func (w *world) linked(a, b int) bool {
	return !w.down[pair{a, b}] && !w.down[pair{b, a}] && w.nodes[a].c != nil && w.nodes[b].c != nil
}

// number returns the number of the link between two nodes, 0 if there is none.
func (w *world) number(a, b int) uint64 {
	if a == b || !w.linked(a, b) {
		return 0
	}
	return w.links[pair{min(a, b), max(a, b)}] + 1
}

// relink replaces the link between a and b: what is on its way is lost.
func (w *world) relink(a, b int) {
	w.links[pair{min(a, b), max(a, b)}]++
	w.packets = slices.DeleteFunc(w.packets, func(p packet) bool {
		return p.pair == pair{a, b} || p.pair == pair{b, a}
	})
	w.view()
}

// link makes the link between a and b come up or go down.
func (w *world) link(a, b int, up bool) {
	w.down[pair{a, b}] = !up
	w.view()
}

// split leaves links and listings only within the sides; none heals.
func (w *world) split(sides ...[]int) {
	side := make([]int, len(w.nodes))
	for s, slots := range sides {
		for _, i := range slots {
			side[i] = s
		}
	}
	for a := range w.nodes {
		for b := range w.nodes {
			w.down[pair{a, b}] = side[a] != side[b]
			w.blind[pair{a, b}] = side[a] != side[b]
		}
	}
	w.view()
}

// view tells every node its members.
func (w *world) view() {
	for _, x := range w.nodes {
		if x.c == nil {
			continue
		}
		var list []council.Member
		for _, y := range w.nodes {
			if y.c == nil || w.blind[pair{x.slot, y.slot}] {
				continue
			}
			list = append(list, council.Member{
				ID: y.id, Incarnation: y.inc, Join: uint64(y.slot) + 1, Eligible: y.eligible,
				Link: w.number(x.slot, y.slot),
			})
		}
		x.c.View(w.now, list)
		x.carry()
	}
}

// open opens an election at the nodes in slots, all if there are none.
func (w *world) open(name string, m council.Mode, slots ...int) {
	w.t.Helper()
	for i, x := range w.nodes {
		if len(slots) > 0 && !slices.Contains(slots, i) {
			continue
		}
		if err := x.c.Open(w.now, name, m); err != nil {
			w.t.Fatalf("Open(%q, %+v) at node %d: %v", name, m, i, err)
		}
		x.carry()
	}
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	const stepsMax = 50_000
	for range stepsMax {
		at, what := end.Add(1), -1
		if len(w.packets) > 0 {
			at = w.packets[0].at
		}
		for i, x := range w.nodes {
			if x.c == nil {
				continue
			}
			if t, ok := x.c.Next(); ok && t.Before(at) {
				at, what = t, i
			}
		}
		if at.After(end) {
			w.now = end
			return
		}
		if at.After(w.now) {
			w.now = at
		}
		if what >= 0 {
			w.nodes[what].c.Tick(w.now)
			w.nodes[what].carry()
			continue
		}
		p := w.packets[0]
		w.packets = w.packets[1:]
		w.deliver(p)
	}
	w.t.Fatalf("more than %d steps in %v: a council stays due", stepsMax, d)
}

func (w *world) deliver(p packet) {
	from, to := w.nodes[p.from], w.nodes[p.to]
	if !w.linked(p.from, p.to) || from.inc != p.inc || to.inc != p.toward {
		return
	}
	raw, _, err := frame.Next(p.frame)
	if err != nil {
		w.t.Fatalf("Next(%x): %v", p.frame, err)
	}
	f, err := frame.Decode(raw)
	if err != nil {
		w.t.Fatalf("Decode(%v): %v", raw, err)
	}
	to.c.Receive(w.now, from.id, f)
	to.carry()
}

// carry carries out what x decided.
func (x *node) carry() {
	w := x.w
	for _, a := range x.c.Take() {
		switch a := a.(type) {
		case council.Send:
			for _, y := range w.nodes {
				if y == x || !a.To.IsZero() && a.To != y.id || !w.linked(x.slot, y.slot) {
					continue
				}
				x.sent++
				w.packets = append(w.packets, packet{
					pair: pair{x.slot, y.slot}, at: w.now.Add(latency), inc: x.inc, toward: y.inc,
					frame: a.Frame.Append(nil),
				})
			}
		case council.Hold:
			if last := x.hold[a.Election]; last.Term != a.Term || a.Term == 0 {
				x.note("%shold %s", prefix(a.Election), x.w.term(a.Term))
			} else if !a.Until.After(last.Until) {
				w.t.Errorf("node %d: %+v after %+v: want a later Until", x.slot, a, last)
			}
			x.hold[a.Election] = a
			w.checkAlone(a.Election)
		case council.Keep:
			if last := x.disk[a.Election]; !w.durable || a.Mark.Term <= last.Term {
				w.t.Errorf("node %d: %+v after %+v, disks: %t", x.slot, a, last, w.durable)
			}
			x.disk[a.Election] = a.Mark
			x.c.Kept(w.now, a.Election, a.Mark)
			defer x.carry()
		case council.Report:
			x.note("%s", w.text(a))
		}
	}
}

// note logs what happened at x.
func (x *node) note(format string, args ...any) { x.log = append(x.log, fmt.Sprintf(format, args...)) }

// took returns the log of x since the last took.
func (x *node) took() string {
	s := strings.Join(x.log, "; ")
	x.log = nil
	return s
}

// forget empties the logs.
func (w *world) forget() {
	for _, x := range w.nodes {
		x.log, x.sent = nil, 0
	}
}

// leads reports whether x leads now, as its owner would find.
func (x *node) leads(name string) bool {
	h := x.hold[name]
	return x.c != nil && h.Term != 0 && (h.Until.IsZero() || x.w.now.Before(h.Until))
}

// checkAlone fails where two lead an election with a majority.
func (w *world) checkAlone(name string) {
	var who []int
	for i, x := range w.nodes {
		if x.leads(name) {
			who = append(who, i)
		}
	}
	if len(who) > 1 && slices.Contains(w.exclusive, name) {
		w.t.Errorf("at %v nodes %v lead %q at the same time", w.now.Sub(w.start), who, name)
	}
}

// agree fails unless the nodes in slots, all if there are none, follow the one in a slot,
// and it holds the leadership.
func (w *world) agree(name string, leader int, slots ...int) {
	w.t.Helper()
	var term ident.Term
	for i, x := range w.nodes {
		if x.c == nil || len(slots) > 0 && !slices.Contains(slots, i) {
			continue
		}
		r, ok := x.c.Leader(name)
		if !ok || r.ID != idOf(leader) || term != 0 && r.Term != term {
			w.t.Errorf("at %v node %d says of %q: %v leads in term %d (%v); want node %d in term %d",
				w.now.Sub(w.start), i, name, r.ID.Short(), r.Term, ok, leader, term)
		}
		term = r.Term
		if x.leads(name) != (i == leader) {
			w.t.Errorf("node %d: Hold of %q is %+v, want node %d to lead", i, name, x.hold[name], leader)
		}
		if i == leader && x.hold[name].Term != term {
			w.t.Errorf("node %d holds term %d of %q, and it leads in term %d", i, x.hold[name].Term, name, term)
		}
	}
}

// text returns a report in short: nodes by slot.
func (w *world) text(r council.Report) string {
	s := prefix(r.Election) + r.Kind.String()
	switch r.Kind {
	case council.NewLeader, council.Promotion, council.Demotion:
		s += fmt.Sprintf(" %s %s", slotOf(r.Leader), w.term(r.Term))
		if r.Kind == council.Promotion && r.Token != r.Term {
			s += fmt.Sprintf(" token %d", r.Token)
		}
	case council.ElectorateConflict:
		for _, id := range r.Surplus {
			s += " " + slotOf(id)
		}
	case council.QuorumLost:
		s += fmt.Sprintf(" %d/%d", r.Have, r.Need)
	}
	if r.Cause != "" {
		s += " " + r.Cause
	}
	return s
}

// term returns a term as text: t for one that follows the clock.
func (w *world) term(t ident.Term) string {
	if uint64(t) >= uint64(w.start.UnixMilli()) {
		return "t"
	}
	return fmt.Sprint(uint64(t))
}

func prefix(election string) string {
	if election == "" {
		return ""
	}
	return election + ": "
}

func slotOf(id ident.NodeID) string {
	if id.IsZero() {
		return "nobody"
	}
	return fmt.Sprintf("n%d", id[0]-1)
}
