package engine

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// reigns is what everybody may ask about the elections without the owner: who leads,
// and until when this node does.
type reigns struct {
	mu      sync.Mutex // guards what follows
	held    map[string]*Term
	leaders map[string]council.Reign
	terms   map[string]ident.Term // the highest in which anybody led, as this node knows it
	changed chan struct{}         // closed and replaced when this node begins to lead
}

func newReigns() *reigns {
	return &reigns{
		held: map[string]*Term{}, leaders: map[string]council.Reign{},
		terms: map[string]ident.Term{}, changed: make(chan struct{}),
	}
}

// Term is one reign of this node.
type Term struct {
	Number ident.Term

	clock func() time.Time
	ended context.Context //nolint:containedctx // for AfterEnd; it ends with the reign
	end   context.CancelFunc

	mu    sync.Mutex // guards what follows
	until time.Time  // by clock; zero for no end
}

// newTerm returns a reign that begins now.
func newTerm(n ident.Term, until time.Time, clock func() time.Time) *Term {
	t := &Term{Number: n, until: until, clock: clock}
	t.ended, t.end = context.WithCancel(context.Background())
	return t
}

// AfterEnd calls f on a goroutine of its own when the reign is over, unless stop is
// called before. It may come a little late; Over does not.
func (t *Term) AfterEnd(f func()) (stop func() bool) { return context.AfterFunc(t.ended, f) }

// Over reports whether the reign is over at this moment, by the clock: it is right in
// the first instruction after a pause.
func (t *Term) Over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended.Err() != nil || !t.until.IsZero() && !t.clock().Before(t.until)
}

// renew moves the end of the lease.
func (t *Term) renew(until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until = until
}

// publishReigns makes what the council decided known to who asks, all of it at once: whoever is
// told of a change then finds what it says, and a node that leads knows that it does.
func (e *Engine) publishReigns(acts []council.Action) {
	r := e.reigns
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range acts {
		switch a := a.(type) {
		case council.Hold:
			r.hold(a, e.cfg.Awake)
		case council.Report:
			r.lead(a)
		}
	}
}

// hold takes what this node may say about its own reign. The caller has the lock.
func (r *reigns) hold(h council.Hold, clock func() time.Time) {
	t := r.held[h.Election]
	if t != nil && t.Number == h.Term {
		t.renew(h.Until)
		return
	}
	if t != nil {
		t.end()
		delete(r.held, h.Election)
	}
	if h.Term != 0 {
		r.held[h.Election] = newTerm(h.Term, h.Until, clock)
		close(r.changed)
		r.changed = make(chan struct{})
	}
}

// lead takes who leads. The caller has the lock.
func (r *reigns) lead(a council.Report) {
	switch {
	case a.Kind != council.NewLeader:
		return
	case a.Leader.IsZero():
		delete(r.leaders, a.Election)
	default:
		r.leaders[a.Election] = council.Reign{ID: a.Leader, Term: a.Term}
	}
	r.terms[a.Election] = max(a.Term, r.terms[a.Election])
}

// Held returns this node's reign in an election, nil if it does not lead, and a channel
// that is closed when it begins to.
func (e *Engine) Held(election string) (t *Term, changed <-chan struct{}) {
	r := e.reigns
	r.mu.Lock()
	defer r.mu.Unlock()
	t = r.held[election]
	if t != nil && t.Over() {
		t = nil
	}
	return t, r.changed
}

// Leader returns who leads an election, as this node knows it. It says of this node
// what Held says.
func (e *Engine) Leader(election string) (council.Reign, bool) {
	r := e.reigns
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.leaders[election]
	if ok && l.ID == e.cfg.Key.ID() {
		t := r.held[election]
		ok = t != nil && t.Number == l.Term && !t.Over()
	}
	return l, ok
}

// stale reports whether a leader with a later term is known. It is called by the readers
// of links.
func (e *Engine) stale(election []byte, term ident.Term) bool {
	r := e.reigns
	r.mu.Lock()
	defer r.mu.Unlock()
	return term < r.terms[string(election)]
}

// endReigns ends every reign of this node, because the node ends.
func (e *Engine) endReigns() {
	r := e.reigns
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.held {
		t.end()
	}
	clear(r.held)
	clear(r.leaders)
}

// assemble tells the council who is there.
func (e *Engine) assemble(v core.View) {
	members := make([]council.Member, 0, len(v.Members))
	for _, m := range v.Members {
		members = append(members, council.Member{
			ID: m.Record.ID, Incarnation: m.Record.Incarnation, Join: m.Record.Join,
			Eligible: !m.Record.Ineligible, Link: uint64(m.Link),
		})
	}
	e.council.View(e.cfg.Awake(), members)
}

// current reports whether a link is the one of its pair. A late frame of a link that was
// replaced could be a word of the peer's former incarnation.
func (e *Engine) current(h *handler) bool {
	for _, m := range e.View().Members {
		if m.Link == h.id {
			return true
		}
	}
	return false
}

// vote carries out what the council decided, and reports whether core heard of it.
func (e *Engine) vote() (more bool) {
	acts := e.council.Take()
	e.keepFirst(acts)
	e.publishReigns(acts)
	for _, a := range acts {
		switch a := a.(type) {
		case council.Send:
			e.sendElection(a)
		case council.Report:
			e.reportElection(a)
		}
	}
	return e.pinVoters()
}

// pinVoters keeps links with the members that vote with this node, however large the
// cluster is, and reports whether there are others than before.
func (e *Engine) pinVoters() (changed bool) {
	voters := e.council.Voters()
	if slices.Equal(voters, e.pinned) {
		return false
	}
	e.core.Require(time.Now(), voters)
	e.pinned = voters
	return true
}

// sendElection sends a frame of an election to one member or to all that are linked.
func (e *Engine) sendElection(a council.Send) {
	b := a.Frame.Append(nil)
	for _, m := range e.View().Members {
		l := e.links[m.Link]
		if l == nil || !a.To.IsZero() && a.To != m.Record.ID {
			continue
		}
		if err := l.conn.Send(b); err != nil {
			l.conn.Close(frame.Bye{Code: frame.CodeIdle, Reason: err.Error()})
		}
	}
}

// reportElection tells the readers of changes.
func (e *Engine) reportElection(a council.Report) { e.hub.report(e.electionChange(time.Now(), a)) }

// electionChange returns the change that tells of a report.
func (e *Engine) electionChange(now time.Time, a council.Report) Change {
	c := Change{Note: NoteElection, Report: a, Change: core.Change{At: now}}
	for _, m := range e.View().Members {
		if m.Record.ID == a.Leader {
			c.Member = m
		}
	}
	return c
}

// leading returns who leads now, for a reader of changes that begins, by election.
func (e *Engine) leading(now time.Time) (changes []Change) {
	r := e.reigns
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.leaders)) {
		changes = append(changes, e.electionChange(now, council.Report{
			Election: name, Kind: council.NewLeader, Leader: r.leaders[name].ID, Term: r.leaders[name].Term,
		}))
	}
	return changes
}

// election runs f on the owner goroutine, with the time of the council.
func (e *Engine) election(ctx context.Context, f func(c *council.Council, now time.Time) error) error {
	return order(ctx, e, func(time.Time) error { return f(e.council, e.cfg.Awake()) })
}

// Open takes part in an election.
func (e *Engine) Open(ctx context.Context, name string, m council.Mode) error {
	return e.election(ctx, func(c *council.Council, now time.Time) error { return c.Open(now, name, m) })
}

// Promote asks for a leader on purpose.
func (e *Engine) Promote(ctx context.Context, name string, target ident.NodeID) error {
	return e.election(ctx, func(c *council.Council, now time.Time) error {
		return c.Promote(now, name, target)
	})
}

// Resign gives up leading.
func (e *Engine) Resign(ctx context.Context, name string) error {
	return e.election(ctx, func(c *council.Council, now time.Time) error { return c.Resign(now, name) })
}

// SetEligible says whether this node may lead an election.
func (e *Engine) SetEligible(ctx context.Context, name string, eligible bool) error {
	return e.election(ctx, func(c *council.Council, now time.Time) error {
		c.SetEligible(now, name, eligible)
		return nil
	})
}

// SetFit says whether the application is fit to lead an election.
func (e *Engine) SetFit(ctx context.Context, name string, fit bool) error {
	return e.election(ctx, func(c *council.Council, now time.Time) error {
		c.SetFit(now, name, fit)
		return nil
	})
}

// abdicate hands over what this node leads, because it leaves.
func (e *Engine) abdicate() {
	e.council.Leave(e.cfg.Awake())
	e.vote()
}
