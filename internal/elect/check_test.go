package elect_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/elect"
	"github.com/espial-go/espial/internal/ident"
)

// bug is a mistake that every process makes, so that a test can show that the checker
// finds it.
type bug uint8

const (
	bugNone    bug = iota
	bugAmnesia     // L3: a process forgets all now and then
	bugUpside      // L9: seats are turned round on the way, so that each side thinks it wins
	bugMute        // L2: a claim never says who leads
	bugStutter     // L4: a demotion is not reported
	bugForget      // L7: a leader that meets another one does not say that it is one
	bugNervous     // L9: leaders resign all the time
)

// twist returns what arrives of a claim.
func (b bug) twist(c elect.Claim) elect.Claim {
	switch b {
	case bugUpside:
		c.Reign.Seat.Join = ^c.Reign.Seat.Join
	case bugMute:
		c.Reign = elect.Reign{}
	case bugForget:
		if c.Reign.Leader == c.Reign.Seat.ID && c.Reign.Seat.Join == 1 {
			c.Reign = elect.Reign{}
		}
	default: // is made elsewhere
	}
	return c
}

// spoil returns what p reports instead of a, or nil.
func (b bug) spoil(p *process, a elect.Action) elect.Action {
	if _, ok := a.(elect.Demoted); ok && b == bugStutter {
		return nil
	}
	if promoted(a) && b == bugNervous {
		for i := range 12 {
			p.w.at(p.w.now.Add(time.Duration(i+1)*5*time.Second), p, func() { _ = p.e.Resign(p.w.now) })
		}
	}
	return a
}

// fact is a change that one process reported.
type fact struct {
	at time.Time
	of *process
	a  elect.Action
}

// checker holds what the processes report against the invariants of leadership.
type checker struct {
	w          *world
	facts      []fact
	violations []string
}

func (c *checker) fail(invariant, format string, args ...any) {
	c.violations = append(c.violations, fmt.Sprintf("%s at %v: ", invariant, c.w.now.Sub(c.w.start))+
		fmt.Sprintf(format, args...))
}

// hears notes the terms that arrive at p from a member.
func (c *checker) hears(p, from *process, claim elect.Claim) {
	if p.listed[from.slot] == from {
		p.heard = max(p.heard, claim.Reign.Term, claim.Last)
	}
}

// report takes what p reports.
func (c *checker) report(p *process, a elect.Action) {
	if a == nil {
		return
	}
	c.facts = append(c.facts, fact{c.w.now, p, a})
	switch a := a.(type) {
	case elect.Leader:
		p.shown = a
		if a.ID.IsZero() {
			return
		}
		if a.Term < p.follow || a.Term == p.follow && !p.leader.IsZero() && a.ID != p.leader {
			c.fail("L3", "%d follows %v at term %d after %v at %d", p.slot, a.ID.Short(), a.Term, p.leader.Short(), p.follow)
		}
		p.follow, p.leader = a.Term, a.ID
	case elect.Promoted:
		if p.leads != 0 {
			c.fail("L4", "%d is promoted twice", p.slot)
		}
		c.begins(p, a.Term)
		if a.Token != a.Term {
			c.fail("L3", "%d has token %d in term %d", p.slot, a.Token, a.Term)
		}
	case elect.Renewed:
		if p.leads != a.Old || a.New <= a.Old {
			c.fail("L4", "%d is renewed from %d to %d, it leads %d", p.slot, a.Old, a.New, p.leads)
		}
		c.begins(p, a.New)
	case elect.Demoted:
		if p.leads == 0 || p.leads != a.Term {
			c.fail("L4", "%d is demoted from %d, it leads %d", p.slot, a.Term, p.leads)
		}
		p.leads = 0
	}
}

func (c *checker) begins(p *process, term ident.Term) {
	if p.shown.ID != p.id || p.shown.Term != term {
		c.fail("L4", "%d begins term %d while it shows %+v", p.slot, term, p.shown)
	}
	if term < p.heard {
		c.fail("L3", "%d begins term %d and has heard of %d", p.slot, term, p.heard)
	}
	p.leads = term
}

// state checks p between two calls.
func (c *checker) state(p *process) {
	id, term, ok := p.e.Leader()
	if shown := !p.shown.ID.IsZero(); ok != shown || ok && (id != p.shown.ID || term != p.shown.Term) {
		c.fail("L4", "%d has %v, %d, %t and showed %+v", p.slot, id.Short(), term, ok, p.shown)
	}
	if p.e.Leading() != (p.leads != 0) {
		c.fail("L4", "%d leads: %t, and reported term %d", p.slot, p.e.Leading(), p.leads)
	}
	if !ok || id == p.id {
		return
	}
	if !slices.ContainsFunc(c.w.slots, func(q *process) bool { return q != nil && q.id == id }) {
		listed := false
		p.each(func(q *process) { listed = listed || q.id == id })
		if !listed {
			c.fail("L2", "%d follows %v, which is not a member", p.slot, id.Short())
		}
	}
}

func (c *checker) ended(p *process) { p.leads = 0 }

// count returns how many changes of the kind of a were reported since a time.
func (c *checker) count(since time.Time, kind func(elect.Action) bool) int {
	n := 0
	for _, f := range c.facts {
		if !f.at.Before(since) && kind(f.a) {
			n++
		}
	}
	return n
}

func promoted(a elect.Action) bool { _, ok := a.(elect.Promoted); return ok }
func demoted(a elect.Action) bool  { _, ok := a.(elect.Demoted); return ok }
func renewed(a elect.Action) bool  { _, ok := a.(elect.Renewed); return ok }
func anything(elect.Action) bool   { return true }

// agreed checks that those who can reach each other have one leader, and returns the
// leaders in the order of their sides' first slots.
func (c *checker) agreed() (leaders []*process) {
	w := c.w
	done := map[int]bool{}
	for a, p := range w.slots {
		if p == nil || done[a] {
			continue
		}
		var side []*process
		able := false
		for b, q := range w.slots {
			if w.running(q) && w.reachable(p, q) {
				done[b] = true
				side = append(side, q)
				able = able || q.able && q.fit
			}
		}
		id, term, ok := p.e.Leader()
		var leader *process
		for _, q := range side {
			qid, qterm, qok := q.e.Leader()
			if qid != id || qterm != term || qok != ok {
				c.fail("L2", "%d follows %v (%d), %d follows %v (%d)", a, id.Short(), term, q.slot, qid.Short(), qterm)
			}
			if q.e.Leading() {
				leader = q
			}
		}
		if leader == nil && able {
			c.fail("L2", "nobody leads the side of %d; it follows %v (%d)", a, id.Short(), term)
		}
		leaders = append(leaders, leader)
	}
	return leaders
}

// rivals checks that no two leaders that could know of each other share a term.
func (c *checker) rivals() {
	for _, p := range c.w.slots {
		for _, q := range c.w.slots {
			if p == nil || q == nil || p.slot >= q.slot || p.leads == 0 || p.leads != q.leads {
				continue
			}
			l := c.w.links[pairOf(p.slot, q.slot)]
			if l != nil && l.up && !c.w.cutEither(p.slot, q.slot) && c.w.running(p) && c.w.running(q) &&
				c.w.now.Sub(l.since) > 2*time.Second {
				c.fail("L2", "%d and %d both lead term %d", p.slot, q.slot, p.leads)
			}
		}
	}
}
