package lease_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// carryOut does what the election of n asks for and holds it against the invariants.
func (n *node) carryOut() {
	w := n.w
	for _, a := range n.e.Take() {
		switch a := a.(type) {
		case lease.Send:
			if a.To == n.id || a.To.IsZero() {
				w.fail("%v sends %+v to itself or to nobody", n, a.Message)
			}
			n.send(a.To, a.Message)
		case lease.Leader:
			n.log("sees %+v", a)
			if a.Term < n.leader.Term {
				w.fail("L3: %v goes from term %d to %d", n, n.leader.Term, a.Term)
			}
			if a == n.leader {
				w.fail("%v hears twice of %+v", n, a)
			}
			n.leader = a
		case lease.Promoted:
			n.promoted(a.Term)
		case lease.Demoted:
			n.log("is demoted: %+v", a)
			if n.reign != a.Term {
				w.fail("L4: %v is demoted in term %d and leads in %d", n, a.Term, n.reign)
			}
			n.reign = 0
			n.demoted = append(n.demoted, a)
		case lease.QuorumLost:
			n.log("loses the quorum")
			n.lost++
		case lease.Conflict:
			n.log("is in conflict: %v", len(a.Surplus))
			n.conflict = a.Surplus
		case lease.Keep:
			w.store(n, a.Term)
		}
	}
	if term, until, ok := n.e.Lease(); ok != (n.reign != 0) || term != n.reign || ok && !n.e.Leading(until.Add(-1)) ||
		ok && n.e.Leading(until) {
		w.fail("%v is promoted in %d, but its lease is %d until %v", n, n.reign, term, until)
	}
}

// promoted checks L1 to L4 at the moment in which n begins to lead. Leadership only ever
// begins here, so these are the only moments to look at.
func (n *node) promoted(t ident.Term) {
	w := n.w
	n.log("is promoted in %d", t)
	for _, o := range w.nodes {
		if !w.crowd && o != nil && o != n && !o.dead && o.e.Leading(o.clock()) {
			_, until, _ := o.e.Lease()
			w.fail("L1: %v is promoted in %d while %v leads in %d, for another %v", n, t, o, o.reign, until.Sub(o.clock()))
		}
	}
	if !n.e.Leading(n.clock()) {
		w.fail("%v is promoted and does not lead", n)
	}
	if o, ok := w.terms[t]; ok {
		w.fail("L2: term %d of %v was that of node %d", t, n, o)
	}
	w.terms[t] = n.index
	if t <= w.highest {
		w.fail("L3: term %d of %v comes after %d", t, n, w.highest)
	}
	w.highest = t
	if n.reign != 0 {
		w.fail("L4: %v is promoted in %d and leads in %d", n, t, n.reign)
	}
	if want := (lease.Leader{ID: n.id, Term: t}); n.leader != want {
		w.fail("L4: %v is promoted in %d and sees %+v", n, t, n.leader)
	}
	n.reign = t
	n.elected = append(n.elected, w.now)
}

// touch notes before every change who could hear whom until now.
func (w *world) touch() {
	w.checkMinorities()
	for _, n := range w.nodes {
		for j, o := range w.nodes {
			if n != nil && o != nil && !n.dead && !o.dead && !w.cuts[n.index][j] {
				n.heard[j] = w.now
			}
		}
	}
}

// checkMinorities checks L5: who was not heard by a majority for a lease does not lead.
// Whether the answers came does not count here: they may be late.
func (w *world) checkMinorities() {
	for _, n := range w.nodes {
		if n == nil || n.dead || !n.e.Leading(n.clock()) {
			continue
		}
		count := 0
		for j, o := range w.nodes {
			open := o != nil && !o.dead && !w.cuts[n.index][j]
			if at, ok := n.heard[j]; open || ok && w.now-at <= w.lease*100/99 {
				count++
			}
		}
		if count < w.rule.Majority() {
			w.fail("L5: %v leads, heard by %d", n, count)
		}
	}
}

// leaders returns who leads now.
func (w *world) leaders() (leading []*node) {
	for _, n := range w.nodes {
		if n != nil && !n.dead && n.e.Leading(n.clock()) {
			leading = append(leading, n)
		}
	}
	return leading
}

// only returns the one leader, which all that live agree on (L6).
func (w *world) only() *node {
	all := w.leaders()
	if len(all) != 1 {
		w.fail("L6: %v lead, want one", all)
		return w.nodes[0]
	}
	for _, n := range w.nodes {
		if n != nil && !n.dead && n.leader != (lease.Leader{ID: all[0].id, Term: all[0].reign}) {
			w.fail("L6: %v sees %+v, want %v in %d", n, n.leader, all[0], all[0].reign)
		}
	}
	return all[0]
}

// reigns returns how many there were.
func (w *world) reigns() int { return len(w.terms) }

// done fails the test if an invariant was broken.
func (w *world) done(t *testing.T) {
	t.Helper()
	if len(w.wrong) == 0 {
		return
	}
	for _, line := range w.history[max(0, len(w.history)-80):] {
		t.Log(line)
	}
	for _, line := range w.wrong {
		t.Error(line)
	}
}

// within fails if less than the time from since until now was allowed.
func (w *world) within(what string, since, until, limit time.Duration) {
	if d := until - since; d > limit {
		w.fail("%s after %v, want within %v", what, d, limit)
	}
}
