package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

const (
	// logMax is how much each send log holds, in bytes. It is below the real limit so
	// that logs do fill up here.
	logMax = 48 << 10

	// windowMax is the window of each lane, in bytes.
	windowMax = 128 << 10
)

// node is what the engine is in a real process: it owns a core, carries its actions out
// and keeps the sessions.
type node struct {
	proc  *process
	self  instance
	epoch time.Time // what this node's clock shows when the run begins
	core  *core.Core

	links     map[core.LinkID]*link
	lastLink  core.LinkID
	view      core.View
	broadcast *session.Log
	pairings  []*pairing // in the order in which they began
	peak      int        // the most that a send log held, in bytes
	leaving   bool
	wake      time.Time // the earliest tick that is scheduled; zero for none
}

// newNode returns the node of a process that is about to begin.
func newNode(p *process, public []byte) *node {
	w := p.world
	r := rand.New(rand.NewPCG(w.rand.Uint64(), w.rand.Uint64())) //nolint:gosec // a replay needs it weak
	n := &node{
		proc: p, links: map[core.LinkID]*link{},
		self: instance{ident.IDOf(public), ident.Incarnation(r.Uint64() >> 1)},
		// Clocks of different machines do not agree, and nothing may depend on it.
		epoch: time.Unix(r.Int64N(1<<32), r.Int64N(1e9)),
	}
	n.broadcast = n.newLog(frame.Broadcast)
	c := core.Config{
		Self: n.self.id,
		Record: frame.Record{
			Public: public, Incarnation: n.self.inc, Name: p.name(), Host: p.name(),
			Addrs: []frame.Addr{{Scheme: "tcp", Addr: p.addr.String()}},
		},
		Sign: sign, Vouch: vouch, Rand: r, Seeds: w.seedsOf(p.host),
		MinPeers: w.config.MinPeers, MaxPeers: w.config.MaxPeers,
	}
	if n.bugs(BugHasty) {
		c.SuspectAfter, c.RemoveAfter = 20*time.Millisecond, 40*time.Millisecond
	}
	var err error
	n.core, err = core.New(n.now(), c)
	n.must(err)
	return n
}

func (n *node) newLog(lane frame.Lane) *session.Log {
	limit := logMax
	if n.bugs(BugHoard) {
		limit = 1 << 30
	}
	return session.NewLog(lane, session.Limits{BytesMax: limit})
}

// begin starts the node.
func (n *node) begin() {
	n.carry()
	n.proc.after(n.pause(), n.publish)
}

// now is what this node's clock shows.
func (n *node) now() time.Time { return n.epoch.Add(n.proc.world.loop.now) }

// record appends to the history.
func (n *node) record(e Entry) {
	e.Node = n.proc.number
	n.proc.world.record(e)
}

// must ends the run at an error that no honest node may cause.
func (n *node) must(err error) {
	if err != nil {
		//nolint:forbidigo // the run has to stop at the instant of the mistake
		panic(fmt.Sprintf("sim: seed %d at %v node %d: %v",
			n.proc.world.config.Seed, n.proc.world.loop.now, n.proc.number, err))
	}
}

// bugs reports whether the run plants a bug.
func (n *node) bugs(b Bug) bool { return n.proc.world.config.Bug == b }

// carry carries out what the core decided and plans its next tick.
func (n *node) carry() {
	for acts := n.core.Take(); len(acts) > 0; acts = n.core.Take() {
		for _, a := range acts {
			n.act(a)
		}
	}
	at, ok := n.core.Next()
	if !ok || !n.wake.IsZero() && !at.Before(n.wake) {
		return
	}
	n.wake = at
	n.proc.after(at.Sub(n.now()), func() {
		if n.wake != at {
			return // another tick is planned before this one or was
		}
		n.wake = time.Time{}
		n.core.Tick(n.now())
		n.carry()
	})
}

func (n *node) act(a core.Action) {
	switch a := a.(type) {
	case core.Send:
		if l := n.links[a.Link]; l != nil {
			l.send(a.Frame)
		}
	case core.CloseLink:
		if l := n.links[a.Link]; l != nil && (!n.bugs(BugCrowd) || a.Code != frame.CodeFull) {
			l.close(frame.Bye{Code: a.Code, Reason: a.Reason})
		}
	case core.Dial:
		n.dial(a)
	case core.Change:
		n.changed(a)
	case core.View:
		if !n.bugs(BugStaleView) || len(a.Members) > len(n.view.Members) {
			n.view = a
		}
		for _, p := range n.pairings {
			p.greet()
		}
	}
}

// lists reports whether an incarnation of a node is a member.
func (n *node) lists(i instance) bool {
	return slices.ContainsFunc(n.view.Members, func(m core.Member) bool {
		return m.Record.ID == i.id && m.Record.Incarnation == i.inc
	})
}

// changed records a report to the user.
func (n *node) changed(c core.Change) {
	e := Entry{Event: Event(c.Kind.String()), Text: c.Cause.String()}
	if c.Kind == core.NodeRejected {
		e.Text = string(c.Code)
	}
	r := c.Member.Record
	e.Peer = n.proc.world.byNode[instance{r.ID, r.Incarnation}]
	n.record(e)
	switch {
	case n.bugs(BugGhost) && c.Kind == core.RemovedNode:
		n.proc.after(2*time.Second, func() {
			n.record(Entry{Event: "added_node", Peer: e.Peer})
			n.record(Entry{Event: "removed_node", Peer: e.Peer})
		})
	case n.bugs(BugStutter) && c.Kind == core.AddedNode:
		n.record(e)
	}
}

// dial begins a dial.
func (n *node) dial(d core.Dial) {
	addr, err := netip.ParseAddrPort(d.Addr)
	n.must(err)
	n.proc.world.net.dial(n.proc, addr, func(e *end, failed dialError) {
		switch failed {
		case dialRefused:
			n.dialed(d, dial.Outcome{Kind: dial.Refused})
		case dialTimedOut:
			n.dialed(d, dial.Outcome{Kind: dial.TimedOut})
		case dialOK:
			n.newLink(e, &d)
		}
	})
}

func (n *node) dialed(d core.Dial, o dial.Outcome) {
	n.core.DialDone(n.now(), d.Number, o)
	n.carry()
}

// accept takes an inbound connection.
func (n *node) accept(e *end) { n.newLink(e, nil) }

// pairingWith returns the session with a peer, a new one if there is none.
func (n *node) pairingWith(peer instance) *pairing {
	i := slices.IndexFunc(n.pairings, func(p *pairing) bool { return p.peer == peer })
	if i < 0 {
		i = len(n.pairings)
		n.pairings = append(n.pairings, n.newPairing(peer))
	}
	return n.pairings[i]
}

// leave says goodbye and ends the process a little later.
func (n *node) leave() {
	n.leaving = true
	n.core.Leave(n.now())
	n.core.Close(n.now())
	n.carry()
	n.proc.world.loop.after(exitAfter, func() {
		n.record(Entry{Event: EventExit})
		n.proc.kill()
	})
}

// report records what the node knows at the end of a run.
func (n *node) report() {
	var peers []int
	for _, m := range n.view.Members {
		peers = append(peers, n.proc.world.byNode[instance{m.Record.ID, m.Record.Incarnation}])
	}
	slices.Sort(peers)
	var links []int
	for _, l := range n.links {
		links = append(links, n.proc.world.byNode[l.peer])
	}
	slices.Sort(links)
	n.record(Entry{Event: EventView, Peers: peers, Links: links, Count: n.hash()})
	n.record(Entry{Event: EventMemory, Count: uint64(n.peak)})
}

// hash returns a number that two nodes share whose views have the same records.
func (n *node) hash() uint64 {
	members := slices.Clone(n.view.Members)
	slices.SortFunc(members, func(a, b core.Member) int { return a.Record.ID.Compare(b.Record.ID) })
	sum := fnv.New64a()
	for _, m := range members {
		_, _ = sum.Write(m.Record.Raw) // a hash takes every byte
	}
	return sum.Sum64()
}

// sign signs a record with a hash in place of a signature: nobody forges one here, and
// the real thing would take half of the time.
func sign(r *frame.Record) error {
	return r.Sign(func(msg []byte) ([]byte, error) {
		sum := sha256.Sum256(append(msg, r.Public...))
		return sum[:], nil
	})
}

// vouch signs a suspicion likewise. Nobody checks it.
func vouch(s *frame.Suspicion) error {
	return s.Sign(func([]byte) ([]byte, error) { return []byte{1}, nil })
}

var errSignature = errors.New("sim: record changed on its way")

// recordOf decodes a record and checks what sign made, once for all nodes.
func (w *world) recordOf(raw []byte) (frame.Record, error) {
	if r, ok := w.records[string(raw)]; ok {
		return r, nil
	}
	r, err := frame.DecodeRecord(raw)
	if err != nil {
		return r, err
	}
	again := r
	if err := sign(&again); err != nil {
		return r, err
	}
	if !slices.Equal(again.Raw, r.Raw) {
		return r, errSignature
	}
	w.records[string(raw)] = r
	return r, nil
}
