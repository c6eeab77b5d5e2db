package gossip

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Times and limits of the repair.
const (
	// Patience is how long something may be missing before it is asked for: what comes
	// down the tree may be on its way, while a neighbour that has it told of it already.
	Patience = 20 * time.Millisecond

	// RetryMin is how long an answer may take. Three round trips are the least; the delay
	// doubles while nobody answers, up to a second.
	RetryMin = 50 * time.Millisecond
	retryMax = time.Second

	// GapMax is how long to wait until some neighbour has what is missing, which may have to
	// repair it first. It is given up earlier if each neighbour says that it gave it up.
	GapMax = 2 * time.Second

	// hearMax is how long after a step forward the next gap is not given up: neighbours that
	// gave up at the same moment have just now something to offer, and tell with their next
	// digest.
	hearMax = 3 * DigestInterval

	// probeInterval is the time between questions for what no neighbour says it has.
	probeInterval = 500 * time.Millisecond

	// beginMax is how long to wait for a neighbour to say where an origin begins whose
	// batches come already.
	beginMax = 250 * time.Millisecond

	// claimsMax is how many neighbours are remembered that have what this node misses.
	claimsMax = 16
)

// claim is what a neighbour says that it has of an origin, beyond what this node has.
type claim struct {
	peer        ident.NodeID
	first, last ident.Seq
}

// repair is what this node does about the missing batches of one origin.
type repair struct {
	claims   []claim      // ascending by peer
	hint     ident.NodeID // who sent what is held
	proof    *frame.Proof // how far the origin came, beyond received; nil if nobody proved it
	proved   time.Time    // when it came
	behind   time.Time    // since when something is missing; zero if nothing is
	progress time.Time    // when received advanced last, not before behind
	alone    time.Time    // since when nobody claims to have what comes next; zero otherwise
	wait     time.Time    // when to ask next
	probed   time.Time    // when somebody was asked who does not claim to have it

	// The pull that was not answered in full yet; to is zero if there is none.
	to          ident.NodeID
	first, last ident.Seq
	got         int // bytes of the answer
	deadline    time.Time
	tries       int          // pulls without an answer since the last progress
	turn        ident.NodeID // who was asked last

	due  time.Time // in Router.timers
	slot int       // there; -1 for none
}

// claim notes what a neighbour has, as far as it is beyond received. It reports whether
// that one had nothing before.
func (p *repair) claim(c claim, received ident.Seq) (news bool) {
	at, known := slices.BinarySearchFunc(p.claims, c.peer, func(c claim, id ident.NodeID) int {
		return c.peer.Compare(id)
	})
	switch {
	case c.last <= received && known:
		p.claims = slices.Delete(p.claims, at, at+1)
	case c.last <= received:
	case known:
		p.claims[at] = c
	case len(p.claims) < claimsMax:
		p.claims = slices.Insert(p.claims, at, c)
		return true
	}
	return false
}

// of returns the claim of a neighbour, nil if it has none.
func (p *repair) of(id ident.NodeID) *claim {
	for i := range p.claims {
		if p.claims[i].peer == id {
			return &p.claims[i]
		}
	}
	return nil
}

// claimed returns the highest number that a neighbour claims to have.
func (p *repair) claimed() (last ident.Seq) {
	for _, c := range p.claims {
		last = max(last, c.last)
	}
	return last
}

// forget drops what was hoped for from a neighbour. It reports whether there was any.
func (p *repair) forget(id ident.NodeID) bool {
	n := len(p.claims)
	p.claims = slices.DeleteFunc(p.claims, func(c claim) bool { return c.peer == id })
	asked := p.to == id
	if asked {
		p.to, p.wait = ident.NodeID{}, time.Time{}
	}
	return asked || len(p.claims) < n
}

// prune forgets what others have or prove that is not beyond received.
func (p *repair) prune(received ident.Seq) {
	if p.proof != nil && p.proof.Last <= received {
		p.proof = nil
	}
	if len(p.claims) > 0 {
		p.claims = slices.DeleteFunc(p.claims, func(c claim) bool { return c.last <= received })
	}
}

// advanced notes that received advanced.
func (p *repair) advanced(now time.Time) {
	p.progress, p.tries = now, 0
	if p.to.IsZero() && !p.behind.IsZero() {
		p.wait = now.Add(Patience) // it flows
	}
}

// pause ends a pull whose answer finds no room, and puts off the next one.
func (p *repair) pause(now time.Time, from ident.NodeID) {
	if p.to == from {
		p.to, p.wait = ident.NodeID{}, now.Add(DigestInterval)
	}
}

// answered counts a batch as part of the answer to the pull that is out.
func (r *Router) answered(now time.Time, o *origin, from ident.NodeID, b *frame.Relay) {
	p := &o.repair
	if p.to != from || p.to.IsZero() || b.Last < p.first || b.First > p.last {
		return
	}
	p.got += len(b.Frames)
	p.deadline = now.Add(r.patience(now, p))
	if b.Last >= p.last || p.got >= PullBytes {
		p.to, p.wait = ident.NodeID{}, now
	}
}

// refused notes that the neighbour which was asked says that it does not have it. Another
// one is asked at once; but once round, so that a liar cannot make this node ask all the
// time.
func (r *Router) refused(now time.Time, o *origin, from ident.NodeID) {
	p := &o.repair
	if p.to != from || p.to.IsZero() {
		return
	}
	if c := p.of(from); c == nil || c.first > max(p.first, o.received+1) {
		p.to, p.wait = ident.NodeID{}, now
		if p.tries++; p.tries > len(p.claims) {
			p.wait = now.Add(RetryMin)
		}
	}
}

// stale reports whether something is missing for so long that nobody can keep it any more.
func (p *repair) stale(now time.Time, ageMax time.Duration) bool {
	return now.Sub(p.progress) >= ageMax
}

// patience returns how long the answer to a pull may take.
func (r *Router) patience(now time.Time, p *repair) time.Duration {
	if p.stale(now, r.cfg.AgeMax) {
		return r.cfg.long() // it is a lie, most likely
	}
	wait := RetryMin
	if at, ok := r.peerAt(p.to); ok {
		wait = max(wait, 3*r.peers[at].rtt)
	}
	rounds := p.tries / max(len(p.claims), 1)
	return max(wait, min(wait<<min(rounds, 10), retryMax))
}

// settle decides when something is to be done about an origin, after any news about it.
func (r *Router) settle(now time.Time, o *origin) {
	p := &o.repair
	if o.based {
		p.prune(o.received)
	}
	if !o.standing.heard() || len(p.claims) == 0 && len(o.held) == 0 && p.proof == nil {
		if p.behind.IsZero() {
			return // the usual case
		}
		*p = repair{claims: p.claims, due: p.due, slot: p.slot}
		r.timers.set(o, time.Time{})
		return
	}
	if p.behind.IsZero() {
		p.behind, p.progress, p.wait = now, now, now.Add(Patience)
		if !o.based {
			p.wait = now.Add(beginMax)
		}
	}
	if due := p.next(); due.After(now) {
		r.timers.set(o, due)
	} else {
		r.step(now, o)
	}
}

// next returns when something is to be done.
func (p *repair) next() time.Time {
	if p.to.IsZero() {
		return p.wait
	}
	return p.deadline
}

// step does what is due about an origin of which something is missing.
func (r *Router) step(now time.Time, o *origin) {
	p := &o.repair
	if !o.based {
		b := &o.held[0].batch
		o.begin(now, b.First-1, b.Message-1, true)
		r.follow(now, o)
		r.settle(now, o)
		return
	}
	if !p.to.IsZero() {
		p.to = ident.NodeID{}
		p.tries++
		r.stats.Timeouts++
	}
	limit, since := p.claimed(), time.Time{}
	switch {
	case len(o.held) > 0:
		limit, since = o.held[0].batch.First-1, o.held[0].at
	case p.proof != nil:
		limit, since = p.proof.Last, p.proved
	}
	c := p.pick(o.received+1, limit)
	if p.stale(now, r.cfg.AgeMax) && !since.IsZero() {
		c = nil // whoever claims to have it had its time
	}
	switch {
	case c != nil:
		p.alone = time.Time{}
		r.ask(now, o, c.peer, max(o.received+1, c.first), min(c.last, limit))
		r.timers.set(o, p.next())
	case since.IsZero() && len(p.claims) > 0:
		r.probe(now, o, p.claimant(), limit) // nobody has it: let them prove that it was there
		r.timers.set(o, p.next())
	case since.IsZero():
		r.settle(now, o)
	default:
		r.search(now, o, since, limit)
	}
}

// pick returns the neighbour to ask: one that has number next, in turn, else the one that
// has the lowest number after it up to limit. It returns nil if there is none.
func (p *repair) pick(next, limit ident.Seq) (best *claim) {
	behind := func(c *claim) bool { return c.peer.Compare(p.turn) <= 0 } // it had its turn
	for i := range p.claims {
		c := &p.claims[i]
		from := max(c.first, next)
		if from > c.last || from > limit {
			continue
		}
		if best == nil || from < max(best.first, next) ||
			from == max(best.first, next) && behind(best) && !behind(c) {
			best = c
		}
	}
	return best
}

// ask pulls from a neighbour.
func (r *Router) ask(now time.Time, o *origin, to ident.NodeID, first, last ident.Seq) {
	p := &o.repair
	p.to, p.turn, p.first, p.last, p.got = to, to, first, last, 0
	p.deadline = now.Add(r.patience(now, p))
	r.pull(o, to, first, last)
}

func (r *Router) pull(o *origin, to ident.NodeID, first, last ident.Seq) {
	r.stats.Pulls++
	r.out.Pulls = append(r.out.Pulls, Pull{To: to, Pull: frame.Pull{
		Origin: o.ID, Incarnation: o.Incarnation, First: first, Last: last,
	}})
}

// search looks for what no neighbour says it has, although it was there, as is known since
// a moment. It gives up when each of them says that it did, or GapMax after the last one
// that might have had it, or brought it, but not before they can have told.
func (r *Router) search(now time.Time, o *origin, since time.Time, last ident.Seq) {
	p := &o.repair
	if p.alone.IsZero() {
		p.alone = now
	}
	end := later(later(p.alone, since).Add(GapMax), p.progress.Add(hearMax))
	if !now.Before(end) || r.hopeless(o) || p.stale(now, r.cfg.AgeMax) {
		r.giveUp(now, o)
		r.settle(now, o)
		return
	}
	r.probe(now, o, r.turn(p), last)
	p.wait = earlier(end, p.wait)
	r.timers.set(o, p.next())
}

// probe asks a neighbour that does not say that it has something to give, but not too often.
func (r *Router) probe(now time.Time, o *origin, to ident.NodeID, last ident.Seq) {
	p := &o.repair
	if now.Sub(p.probed) >= probeInterval && !to.IsZero() {
		p.turn, p.hint, p.probed = to, ident.NodeID{}, now
		r.pull(o, to, o.received+1, last)
	}
	p.wait = later(p.probed, now).Add(probeInterval)
}

// claimant returns the neighbour whose turn it is of those that claim to have been beyond
// what this node has.
func (p *repair) claimant() ident.NodeID {
	for _, c := range p.claims {
		if c.peer.Compare(p.turn) > 0 {
			return c.peer
		}
	}
	return p.claims[0].peer
}

// hopeless reports whether every neighbour is beyond what is missing.
func (r *Router) hopeless(o *origin) bool {
	for _, peer := range r.peers {
		if c := o.repair.of(peer.id); c == nil || c.first <= o.received+1 {
			return false
		}
	}
	return len(r.peers) > 0
}

// turn returns the neighbour whose turn it is of all: first who sent what is held. It is
// zero if there is none.
func (r *Router) turn(p *repair) ident.NodeID {
	if _, linked := r.peerAt(p.hint); linked {
		return p.hint
	}
	if len(r.peers) == 0 {
		return ident.NodeID{}
	}
	at, known := r.peerAt(p.turn)
	if known {
		at++
	}
	return r.peers[at%len(r.peers)].id
}

// earlier returns the earlier of two moments.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// later returns the later of two moments.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// WantsProof reports whether a proof that came from a neighbour says something new, so that its
// signature is worth verifying: if so, the caller hands it to [Router.Proved].
func (r *Router) WantsProof(p *frame.Proof) bool {
	o := r.byKey[Member{p.Origin, p.Incarnation}]
	return o != nil && o != r.own && o.standing.heard() && o.based && p.Last > o.received &&
		(o.repair.proof == nil || p.Last > o.repair.proof.Last)
}

// Proved takes a proof that came from a neighbour. The caller has verified the signature.
func (r *Router) Proved(now time.Time, p frame.Proof) {
	r.enter()
	if !r.WantsProof(&p) {
		return
	}
	o := r.byKey[Member{p.Origin, p.Incarnation}]
	o.repair.proof, o.repair.proved = &p, now
	o.repair.wait = earlier(o.repair.wait, now)
	r.settle(now, o)
}
