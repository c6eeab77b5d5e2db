package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
)

// goodbyeMax is how long links may take to carry the goodbye.
const goodbyeMax = 250 * time.Millisecond

// rotateAge is how old a link gets before a fresh one replaces it, so that a key that
// leaks gives away a day at most.
const rotateAge = 24 * time.Hour

// rotateRecords is how many TLS records a link sends before a fresh one replaces it:
// 2^24, below the limit of AES-GCM (RFC 8446, section 5.5); Go never updates the key of
// a connection by itself.
const rotateRecords = 1 << 24

// own is the owner goroutine: the only one that touches core, the beacon machine and
// the table of links. It returns when ctx ends, or after the goodbye once leave is
// closed.
func (e *Engine) own(ctx context.Context, leave <-chan struct{}) error {
	defer close(e.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var over <-chan time.Time
	e.turn(ctx)
	for {
		if e.leaving && len(e.links) == 0 {
			return nil
		}
		if at, ok := e.next(); ok {
			timer.Reset(time.Until(at))
		}
		select {
		case f := <-e.inputs:
			f(time.Now())
		case <-timer.C:
			e.tick(time.Now())
		case <-e.poke: // turn looks at the paths
		case <-leave:
			leave, over = nil, time.After(goodbyeMax)
			e.goodbye(time.Now())
		case <-over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		e.turn(ctx)
	}
}

// next returns when tick is due.
func (e *Engine) next() (time.Time, bool) {
	at, ok := e.core.Next()
	if c, cok := e.council.Next(); cok {
		// The council's clock is another one, so only the distance counts.
		if c = time.Now().Add(c.Sub(e.cfg.Awake())); !ok || c.Before(at) {
			at, ok = c, true
		}
	}
	if e.beacons == nil || e.leaving {
		return at, ok
	}
	if b := e.beacons.Next(); !ok || b.Before(at) {
		return b, true
	}
	return at, true
}

// tick tells core who was heard, which the readers only note, and lets time pass.
func (e *Engine) tick(now time.Time) {
	for _, id := range e.linkIDs() {
		l := e.links[id]
		if at := l.conn.Heard(); at.After(l.heard) {
			l.heard = at
			e.core.Heard(now, id, at)
		}
		e.used(now, id, l)
		l.pair.Measured(e.core.RTT(l.pair.ID()))
		if l.conn.Records() >= e.cfg.RotateRecords || now.Sub(l.since) >= rotateAge {
			e.core.Rotate(now, id)
		}
	}
	e.core.Tick(now)
	e.council.SetWall(e.cfg.Awake(), now)
	e.council.Tick(e.cfg.Awake())
	if e.beacons != nil && !e.leaving {
		if b := e.beacons.Tick(now); b != nil {
			e.cfg.Beacons.Send(b)
		}
	}
}

// linkIDs returns the links in order, so that nothing depends on the order of a map.
func (e *Engine) linkIDs() []core.LinkID { return slices.Sorted(maps.Keys(e.links)) }

// goodbye tells every member that this node leaves, and closes the links.
func (e *Engine) goodbye(now time.Time) {
	e.leaving = true
	e.abdicate()
	e.streams.close()
	for _, id := range e.linkIDs() {
		l := e.links[id]
		if b := l.pair.Farewell(now); len(b) > 0 {
			_ = l.conn.Send(b) // a full queue is a peer that does not read
		}
	}
	e.core.Close(now)
}

// turn carries out what core and the council decided.
func (e *Engine) turn(ctx context.Context) {
	e.obey(ctx)
	for e.vote() {
		e.obey(ctx)
	}
	e.updatePaths()
}

// obey carries out what core decided.
func (e *Engine) obey(ctx context.Context) {
	for _, a := range e.core.Take() {
		switch a := a.(type) {
		case core.Send:
			e.send(a)
		case core.CloseLink:
			if l := e.links[a.Link]; l != nil {
				l.conn.Close(frame.Bye{Code: a.Code, Reason: a.Reason})
			}
		case core.Dial:
			e.dial(ctx, a)
		case core.Unspoken:
			e.unspoken(a)
		case core.Change:
			e.report(a)
		case core.View:
			e.show(a)
		}
	}
}

// send queues a control frame. A link whose queue is full is closed: its peer does not
// read.
func (e *Engine) send(a core.Send) {
	l := e.links[a.Link]
	if l == nil {
		return
	}
	if err := l.conn.Send(a.Frame.Append(nil)); err != nil {
		l.conn.Close(frame.Bye{Code: frame.CodeClose, Reason: err.Error()})
	}
}

// report tells the readers of changes, and the data room what concerns it.
func (e *Engine) report(c core.Change) {
	id, inc := c.Member.Record.ID, c.Member.Record.Incarnation
	switch c.Kind {
	case core.AddedNode:
		e.exchange.Supersede(id, inc)
	case core.RemovedNode:
		if c.Cause == core.CauseLeft {
			e.exchange.End(id, inc)
			e.streams.end(streamKey{id, inc})
		}
	case core.NodeRejected:
		e.refuse(core.Rejection{Peer: id, By: c.By, Code: c.Code, Reason: c.Reason})
	case core.NodeAccepted, core.PeerAdded:
		delete(e.refused, id)
	default:
	}
	e.hub.report(Change{Change: c})
}

// show publishes a new view.
func (e *Engine) show(v core.View) {
	e.view.Store(&v)
	h := homesOf(v)
	e.homes.Store(&h)
	pairs := make([]*exchange.Pair, 0, len(v.Members))
	for _, m := range v.Members {
		if !m.Self {
			pairs = append(pairs, e.exchange.Pair(m.Record.ID, m.Record.Incarnation, m.Record.Name))
		}
	}
	e.exchange.SetMembers(pairs, graphOf(v))
	e.streams.see(v)
	e.streams.stir()
	e.assemble(v)
}

// refusedMax bounds the refusals that WaitFor can tell of. A stranger has a new ID
// whenever he likes.
const refusedMax = 64

// refuse notes who refused this node.
func (e *Engine) refuse(r core.Rejection) {
	_, known := e.refused[r.Peer]
	if r.By == core.ByPeer && (known || len(e.refused) < refusedMax) {
		e.refused[r.Peer] = r
	}
}

// Paths is what [Engine.Paths] returns.
type Paths struct {
	Count    int              // members that this node can exchange events with
	Met      bool             // there was one at some time
	Refusals []core.Rejection // by ID: who refused this node, and accepted it not since
	Changed  <-chan struct{}  // closed when this is out of date
}

// Paths tells how many members this node can exchange events with.
func (e *Engine) Paths() Paths {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.paths.Paths
}

// pathState is Paths with the means to end it.
type pathState struct {
	Paths
	changed chan struct{}
}

// poked makes the owner look at the paths again.
func (e *Engine) poked() {
	select {
	case e.poke <- struct{}{}:
	default:
	}
}

// updatePaths replaces the paths if they changed.
func (e *Engine) updatePaths() {
	count := 0
	for _, l := range e.links {
		if !l.onDemand && l.pair.Ready() && e.listed(l.pair) {
			count++
		}
	}
	if count > 0 {
		count += e.exchange.Unlinked() // whom others reach
	}
	refusals := slices.SortedFunc(maps.Values(e.refused), func(a, b core.Rejection) int {
		return a.Peer.Compare(b.Peer)
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.paths.Count == count && slices.Equal(e.paths.Refusals, refusals) {
		return
	}
	close(e.paths.changed)
	changed := make(chan struct{})
	met := e.paths.Met || count > 0
	e.paths = pathState{Paths{Count: count, Met: met, Refusals: refusals, Changed: changed}, changed}
}

// listed reports whether the other end of p is a member.
func (e *Engine) listed(p *exchange.Pair) bool { return e.exchange.Member(p.ID()) == p }
