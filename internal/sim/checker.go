package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Violation is a broken promise.
type Violation struct {
	Invariant string // M1 to M5 and D1 to D6 of the fault catalogue, and A24: the links
	At        time.Duration
	Node      int // number of the process that saw it
	Text      string
}

// String returns one line without the seed.
func (v Violation) String() string {
	return fmt.Sprintf("%s: at %v node %d: %s", v.Invariant, v.At, v.Node, v.Text)
}

// checker reads a history once, from its beginning, and notes what must not be. It
// knows what nodes cannot: who runs, who is frozen and what is cut.
type checker struct {
	now      time.Duration
	out      []Violation
	procs    map[int]*procTruth
	cuts     map[path]*cutTruth
	calm     bool
	views    uint64        // hash of the records in the first view at the end
	lossy    bool          // segments get lost
	lost     time.Duration // when they got lost last
	accepted map[pair]bool
	listed   map[pair]bool // added and not removed since
	linked   map[pair]bool // peer_added and not peer_removed since
	lanes    map[laneKey]*laneTruth
	messages map[uint64]Entry // EventPublish, by message
	sent     map[laneKey]uint64
	peers    map[int]int  // how many peers a node has
	known    map[int]bool // accepted by anybody
	refused  map[pair]bool
	most     int           // links of a node, if the mesh is partial; else 0
	cut      int           // directions that are cut now
	healed   time.Duration // when the last one was healed
	ends     map[pair]bool // links at the end
}

// procTruth is what really became of a process.
type procTruth struct {
	host    int
	started time.Duration
	died    bool
	exited  bool // it died after a goodbye
	diedAt  time.Duration
	paused  bool
	resumed time.Duration // when the last pause ended
}

// cutTruth is what really became of a direction.
type cutTruth struct {
	cut    bool
	healed time.Duration
}

// pair is a node and whom it speaks of.
type pair struct{ node, peer int }

// check holds a history against the invariants.
func check(h History, c Config) []Violation {
	k := &checker{
		procs: map[int]*procTruth{}, cuts: map[path]*cutTruth{}, accepted: map[pair]bool{},
		listed: map[pair]bool{}, linked: map[pair]bool{}, lanes: map[laneKey]*laneTruth{},
		messages: map[uint64]Entry{}, sent: map[laneKey]uint64{}, peers: map[int]int{},
		known: map[int]bool{}, refused: map[pair]bool{}, most: c.MaxPeers, ends: map[pair]bool{},
	}
	for a := range c.Nodes {
		for b := range c.Nodes {
			k.cuts[path{a, b}] = &cutTruth{}
		}
	}
	for _, e := range h {
		k.now = e.At
		k.world(e)
		k.membership(e)
		k.delivery(e)
	}
	k.resolved()
	k.network()
	return k.out
}

func (k *checker) fail(invariant string, node int, format string, args ...any) {
	k.out = append(k.out, Violation{
		Invariant: invariant, At: k.now, Node: node, Text: fmt.Sprintf(format, args...),
	})
}

// world follows what really happens.
func (k *checker) world(e Entry) {
	switch e.Event {
	case EventStart:
		k.procs[e.Node] = &procTruth{host: e.Host, started: e.At}
	case EventKill, EventExit:
		p := k.procs[e.Node]
		p.died, p.diedAt, p.exited = true, e.At, e.Event == EventExit
	case EventPause:
		k.procs[e.Node].paused = true
	case EventResume:
		k.procs[e.Node].paused, k.procs[e.Node].resumed = false, e.At
	case EventCut:
		k.cuts[path{e.Host, e.To}].cut = true
		k.cut++
	case EventHeal:
		k.cuts[path{e.Host, e.To}] = &cutTruth{healed: e.At}
		k.cut--
		k.healed = e.At
	case EventCalm:
		if k.lossy {
			k.lost = e.At
		}
		k.calm, k.lossy = true, false
	case EventLoss:
		k.lossy = e.Count > 0
	default:
	}
}

// membership checks M1 to M5.
func (k *checker) membership(e Entry) {
	p := pair{e.Node, e.Peer}
	switch e.Event {
	case EventRefuse:
		k.refused[p] = true
	case EventAccept:
		k.accepted[p], k.known[e.Peer] = true, true
	case "added_node":
		k.m1(p, e)
		k.m2(!k.listed[p], p, e)
		k.m5(p)
		k.listed[p] = true
	case "removed_node":
		k.m2(k.listed[p], p, e)
		if e.Text == "failed" {
			k.m4(p)
		}
		k.listed[p] = false
	case "updated_node", "suspected_node":
		k.m1(p, e)
		k.m2(k.listed[p], p, e)
	case "peer_added":
		k.m1(p, e)
		k.m2(k.listed[p] && !k.linked[p], p, e)
		k.linked[p] = true
		k.peers[e.Node]++
		k.degree(e.Node)
	case "peer_removed":
		k.m2(k.linked[p], p, e)
		k.linked[p] = false
		k.peers[e.Node]--
	case "connected":
		k.m2(k.peers[e.Node] == 1, p, e)
	case "disconnected":
		k.m2(k.peers[e.Node] == 0, p, e)
	case EventView:
		k.m3(e)
	default:
	}
}

// m1: no event for a node without ACCEPT: this node's own or, in a partial mesh, that of
// some member, unless this node refused it.
func (k *checker) m1(p pair, e Entry) {
	if !k.accepted[p] && (k.most == 0 || !k.known[p.peer] || k.refused[p]) {
		k.fail("M1", p.node, "%s for node %d before their ACCEPT", e.Event, p.peer)
	}
}

// m2: the changes of one (ID, incarnation) alternate and nest: added, then linked, then
// not linked, then removed.
func (k *checker) m2(ok bool, p pair, e Entry) {
	if !ok {
		k.fail("M2", p.node, "%s for node %d while listed %t, linked %t, %d peers",
			e.Event, p.peer, k.listed[p], k.linked[p], k.peers[p.node])
	}
}

// m3: when faults stopped all views are equal: whoever runs, and nobody else.
func (k *checker) m3(e Entry) {
	if !k.calm {
		return
	}
	var want []int
	for n, p := range k.procs {
		if !p.died {
			want = append(want, n)
		}
	}
	slices.Sort(want)
	for _, n := range e.Peers {
		if p := k.procs[n]; p == nil || p.died {
			k.fail("M5", e.Node, "the view has node %d, which ended", n)
		}
	}
	if !slices.Equal(e.Peers, want) {
		k.fail("M3", e.Node, "the view is %v, running are %v", e.Peers, want)
	}
	if k.views == 0 {
		k.views = e.Count
	}
	if e.Count != k.views {
		k.fail("M3", e.Node, "the records in the view are not those of the others")
	}
	k.links(e, slices.DeleteFunc(want, func(n int) bool { return n == e.Node }))
}

// linkGrace is for how long after a cut or a pause silence is no surprise: a stream
// that was cut for nearly userTimeout tries again only after as long once more, and
// then silence runs for RemoveAfter.
const linkGrace = 2*userTimeout + 3*time.Second

// removalMax is how long it may take in a partial mesh until all know that a member ended.
const removalMax = 6 * time.Second

// m4: nobody is removed as failed whose links answered all the time: who runs and ran,
// over paths that were open both ways, at a node that itself ran. Where segments get
// lost a link may stall for as long as a removal takes; then it takes a third node that
// saw both to say that this was a mistake. In a partial mesh the two may have no link, and
// each of those between them may stall.
func (k *checker) m4(p pair) {
	n, x := k.procs[p.node], k.procs[p.peer]
	if x == nil || k.quiet(n, x) < linkGrace {
		return
	}
	if k.most > 0 && (k.lossy || k.lost > 0 && k.now < k.lost+removalMax) {
		return
	}
	helped := func(h *procTruth) bool {
		return h != n && h != x && k.now-h.started >= linkGrace &&
			k.quiet(n, h) >= linkGrace && k.quiet(h, x) >= linkGrace
	}
	if !k.lossy || slices.ContainsFunc(slices.Collect(maps.Values(k.procs)), helped) {
		k.fail("M4", p.node, "removed node %d, which answered all the time", p.peer)
	}
}

// quiet returns for how long nothing came between two processes: no end, no pause and no
// cut.
func (k *checker) quiet(a, b *procTruth) time.Duration {
	if a.died || b.died || a.paused || b.paused {
		return 0
	}
	since := max(a.resumed, b.resumed)
	for _, dir := range []path{{a.host, b.host}, {b.host, a.host}} {
		if k.cuts[dir].cut {
			return 0
		}
		since = max(since, k.cuts[dir].healed)
	}
	return k.now - since
}

// m5: no ghost: nobody is added who ended before. What was on its way may still arrive,
// at a frozen node when it runs again, and the kernel of a process that closed its
// connections goes on sending what they hold. In a partial mesh a record is passed on by
// whoever does not know of the end yet, as beyond a cut.
func (k *checker) m5(p pair) {
	n, x := k.procs[p.node], k.procs[p.peer]
	onItsWay, since := time.Second, max(x.diedAt, n.resumed)
	if x.exited {
		onItsWay += userTimeout
	}
	if k.most > 0 {
		onItsWay, since = max(onItsWay, removalMax), max(since, k.healed)
	}
	if x.died && k.now > since+onItsWay && (k.most == 0 || k.cut == 0) {
		k.fail("M5", p.node, "added node %d, which ended at %v", p.peer, x.diedAt)
	}
}
