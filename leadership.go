package espial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// Errors of elections.
var (
	// ErrNoLeader reports that this node knows of no leader.
	ErrNoLeader = errors.New("espial: no leader")

	// ErrNoQuorum is an [ErrNoLeader] that lasts until more members are back: less than a
	// majority of a [Quorum] is there.
	ErrNoQuorum = fmt.Errorf("%w: less than a majority is there", ErrNoLeader)

	// ErrNotLeader reports an operation that only the leader may do.
	ErrNotLeader = errors.New("espial: this node does not lead")

	// ErrNotEligible reports a member that must not, or cannot, lead.
	ErrNotEligible = errors.New("espial: not eligible")

	// ErrStaleTerm reports a term that is over: this node leads no more, or not in it.
	ErrStaleTerm = errors.New("espial: the term is over")
)

// Mode says how an election works, and what it promises.
type Mode struct{ m council.Mode }

// Available always has a leader where a member can lead: one on each side of a split,
// and one again when the split heals. It is the default. The leader stays until it
// leaves, fails or resigns; a member that joins changes nothing.
func Available() Mode { return Mode{} }

// Quorum has at most one leader at any instant, and none without a majority of n, the
// number of eligible nodes of the cluster. It holds as long as no more than n of them
// run at the same time anywhere, seen or not: fixed machines, a StatefulSet, and not a
// deployment that replaces copies that it cannot reach. An even n tolerates no more
// failures than n-1 does. A paused leader stops leading before another one can begin.
func Quorum(n int) Mode {
	if n <= 0 {
		n = -1 // not the zero Mode, which is Available: the election reports the mistake
	}
	return Mode{council.Mode{Quorum: n}}
}

// Voters is Quorum with a fixed electorate: only the nodes with these IDs vote and lead,
// and there is no condition on what else runs. Voters need a [Config.KeyFile], which
// keeps their IDs.
func Voters(ids ...NodeID) Mode {
	m := council.Mode{Voters: []ident.NodeID{}}
	for _, id := range ids {
		m.Voters = append(m.Voters, ident.NodeID(id))
	}
	return Mode{m}
}

// name returns the stable name of the mode.
func (m Mode) name() string {
	if m.m.Quorum != 0 || m.m.Voters != nil {
		return "quorum"
	}
	return "available"
}

// Leadership is who leads.
type Leadership struct {
	Leader Sender // its ID and name
	Term   uint64 // the number of its reign; terms only grow
}

// Term is one reign of this node: a context that ends when it leads no more.
type Term struct {
	context.Context
	n     *Node
	reign *engine.Term
	as    session.Reign // what its events say

	// Token is what to pass to everything that the leader changes, so that what a former
	// leader still sends is refused: it grows with each reign. With [Available] the two
	// sides of a split may hand out the same one.
	Token uint64
}

// Err returns nil while this node leads. It looks at the clock itself, so that it is
// right in the first instruction after a pause; Done may close a little later.
func (t *Term) Err() error {
	if t.reign.Over() {
		return ErrStaleTerm
	}
	return t.Context.Err()
}

// Publish publishes as [Node.Publish] does, as the leader: a member that knows of a later
// term of the election refuses the event and counts it in its [Status] as stale_terms. So
// what a former leader still had under way reaches nobody who follows another one. A member
// that does not take part in the election knows of no terms and refuses nothing.
//
// It returns [ErrStaleTerm], and sends nothing, if the term is over at the call. Where a leader
// goes on under a new term after a split, its events of the old one that are still under
// way are refused, too.
func (t *Term) Publish(ctx context.Context, topic string, data []byte, targets ...Target) error {
	return t.publish(ctx, session.Message{Topic: topic, Payload: data}, targets)
}

// publish is Publish for any codec.
func (t *Term) publish(ctx context.Context, m session.Message, targets []Target) error {
	if t.Err() != nil {
		return ErrStaleTerm // also where the loop over Terms has gone on
	}
	m.Reign = &t.as
	return t.n.publish(ctx, m, targets)
}

// Election is one election among the members that take part in it.
type Election struct {
	n    *Node
	name string
	mode Mode
	err  error // why it cannot work
}

// Election takes part in the election called name, one DNS label, in the given mode,
// which must be the same at all members. A node has 64 elections at most, the default one
// among them. What is wrong is reported by [Election.Err] and by every method that returns an
// error.
func (n *Node) Election(name string, m Mode) *Election {
	e := &Election{n: n, name: name, mode: m}
	if err := glob.CheckName(name); err != nil {
		e.err = fmt.Errorf("espial: election: %s", words(err))
		return e
	}
	e.err = n.public(n.eng.Open(context.Background(), name, m.m))
	return e
}

// main returns the default election.
func (n *Node) main() *Election { return &Election{n: n, mode: n.cfg.Election} }

// Leader returns the leader of the default election, as [Election.Leader] does.
func (n *Node) Leader() (Leadership, bool) { return n.main().Leader() }

// Leading reports whether this node leads the default election at this moment.
func (n *Node) Leading() bool { return n.main().Leading() }

// Terms yields the reigns of this node in the default election, as [Election.Terms] does.
func (n *Node) Terms(ctx context.Context) iter.Seq[*Term] { return n.main().Terms(ctx) }

// Promote makes a member lead the default election, as [Election.Promote] does.
func (n *Node) Promote(ctx context.Context, id NodeID) error { return n.main().Promote(ctx, id) }

// Resign gives up leading the default election, as [Election.Resign] does.
func (n *Node) Resign(ctx context.Context) error { return n.main().Resign(ctx) }

// SetEligible says whether this node may lead the default election, as
// [Election.SetEligible] does.
func (n *Node) SetEligible(ctx context.Context, eligible bool) error {
	return n.main().SetEligible(ctx, eligible)
}

// SetFit says whether the application is fit to lead the default election, as
// [Election.SetFit] does.
func (n *Node) SetFit(ctx context.Context, fit bool) error { return n.main().SetFit(ctx, fit) }

// Err returns why the election cannot work, nil if it can.
func (e *Election) Err() error { return e.err }

// Leader returns who leads, as this node knows it; ok is false if it knows of nobody.
func (e *Election) Leader() (l Leadership, ok bool) {
	r, ok := e.n.eng.Leader(e.name)
	if !ok {
		return Leadership{}, false
	}
	l = Leadership{Leader: Sender{ID: NodeID(r.ID)}, Term: uint64(r.Term)}
	for _, m := range e.n.eng.View().Members {
		if m.Record.ID == r.ID {
			l.Leader.Name = m.Record.Name
		}
	}
	return l, true
}

// leaderless returns why nobody leads the default election, as far as this node can tell:
// [ErrNoQuorum] where it lists less than a majority of those that vote, [ErrClosed] where it
// ended.
func (n *Node) leaderless() error {
	select {
	case <-n.ended:
		return ErrClosed
	default:
	}
	mode, present := n.cfg.Election.m, 0
	for _, m := range n.eng.View().Members {
		if mode.Voters == nil && !m.Record.Ineligible || slices.Contains(mode.Voters, m.Record.ID) {
			present++
		}
	}
	if 2*present <= max(mode.Quorum, len(mode.Voters)) {
		return ErrNoQuorum
	}
	return ErrNoLeader
}

// Leading reports whether this node leads at this moment. With [Quorum] it looks at the
// clock: it says no before another node can begin to lead, even in the first
// instruction after a pause. What follows the answer may still come late: that is what
// the token of a [Term] is for.
func (e *Election) Leading() bool {
	t, _ := e.n.eng.Held(e.name)
	return t != nil
}

// Terms yields each reign of this node, from the present one on: the body of the loop
// runs while it leads, and should end when the term does. It ends with ctx or the node.
//
//	for term := range e.Terms(ctx) {
//		work(term, term.Token)
//	}
func (e *Election) Terms(ctx context.Context) iter.Seq[*Term] {
	return func(yield func(*Term) bool) {
		var last ident.Term
		for {
			reign, changed := e.n.eng.Held(e.name)
			if reign != nil && reign.Number != last {
				last = reign.Number
				if !e.run(ctx, reign, yield) {
					return
				}
				continue
			}
			select {
			case <-changed:
			case <-e.n.ended:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// run yields one reign.
func (e *Election) run(ctx context.Context, reign *engine.Term, yield func(*Term) bool) bool {
	tctx, cancel := context.WithCancelCause(ctx)
	defer cancel(ErrStaleTerm)
	stop := reign.AfterEnd(func() { cancel(ErrStaleTerm) })
	defer stop()
	return yield(&Term{
		Context: tctx, Token: uint64(reign.Number),
		n: e.n, reign: reign, as: session.Reign{Election: e.name, Term: reign.Number},
	})
}

// Promote makes the member id lead: the leader hands over; another member passes the
// wish on to it. It returns once that is under way; [NewLeader] tells of the end. Errors
// are [ErrNoMember], [ErrNotEligible], [ErrNoLeader], [ErrNoQuorum], ctx's, and one that says
// that the members do not fit the electorate.
func (e *Election) Promote(ctx context.Context, id NodeID) error {
	if e.err != nil {
		return e.err
	}
	return e.n.public(e.n.eng.Promote(ctx, e.name, ident.NodeID(id)))
}

// Resign gives up leading; the next in rank takes over at once. It returns
// [ErrNotLeader] if this node does not lead, and [ErrNotEligible] if nobody else can.
func (e *Election) Resign(ctx context.Context) error {
	if e.err != nil {
		return e.err
	}
	return e.n.public(e.n.eng.Resign(ctx, e.name))
}

// SetEligible says whether this node may lead. With [Quorum] it is also whether it
// votes.
func (e *Election) SetEligible(ctx context.Context, eligible bool) error {
	if e.err != nil {
		return e.err
	}
	return e.n.public(e.n.eng.SetEligible(ctx, e.name, eligible))
}

// SetFit says whether the application is fit to lead: a leader that is not hands over.
func (e *Election) SetFit(ctx context.Context, fit bool) error {
	if e.err != nil {
		return e.err
	}
	return e.n.public(e.n.eng.SetFit(ctx, e.name, fit))
}

// leaderShape is the stable shape that the command espial leader prints.
type leaderShape struct {
	Leader   Sender `json:"leader"`
	Term     uint64 `json:"term"`
	Token    uint64 `json:"token"`
	Mode     string `json:"mode"`
	Election string `json:"election"`
}

// shape returns the stable shape of who leads.
func (e *Election) shape() (json.RawMessage, bool) {
	l, ok := e.Leader()
	if !ok {
		return nil, false
	}
	b, err := json.Marshal(leaderShape{l.Leader, l.Term, l.Term, e.mode.name(), e.name})
	return b, err == nil
}
