package elect

import (
	"slices"
	"time"
)

// watch keeps account of whether there is somebody to follow. One that cannot be followed
// yet, for its term, counts: it will raise it.
func (e *Election) watch(now time.Time, known bool) {
	switch {
	case e.following || known:
		e.vacant, e.calling = time.Time{}, false
	case e.vacant.IsZero():
		e.vacant = now
	}
	if !e.me().able() {
		e.calling = false
	}
	e.patient = !e.vacant.IsZero() && slices.ContainsFunc(e.view.voters, func(v *voter) bool {
		return e.foreign(v) && now.Before(v.since.Add(Patience))
	})
}

// turnDue returns when this node must call or, if it has called or is the first in rank,
// lead. It reports false where it cannot lead, where there is a leader, and where the
// terms are used up.
func (e *Election) turnDue() (time.Time, bool) {
	me := e.me()
	if e.vacant.IsZero() || !me.able() || e.seen == TermMax {
		return time.Time{}, false
	}
	at := e.ready()
	if e.calling {
		at = at.Add(time.Duration(e.view.rank(me)) * RankDelay)
	}
	return e.yield(at), true
}

// yield returns when to act that was to act at a time. A node that finds only now that
// the leader is gone leaves the moment to who called long before and is about to lead,
// or there would be two.
func (e *Election) yield(at time.Time) time.Time {
	for _, v := range e.view.voters {
		if !v.heard || !v.word.Calling || !e.vacant.After(v.called) {
			continue
		}
		leads := v.called.Add(time.Duration(e.view.rank(v)) * RankDelay)
		if d := at.Sub(leads).Abs(); d < Yield {
			at = leads.Add(Yield)
		}
	}
	return at
}

// ready returns when the first in rank may lead, as far as this node knows.
func (e *Election) ready() time.Time {
	at := earlier(e.changed.Add(Settle), e.vacant.Add(SettleMax))
	at = later(at, e.founding)
	for _, v := range e.view.voters {
		if v.heard && v.word.Calling {
			at = earlier(at, later(v.called, e.vacant)) // v has waited already
		}
	}
	for _, v := range e.view.voters {
		if e.foreign(v) {
			at = later(at, v.since.Add(Patience))
		}
	}
	return at
}

// foreign reports whether v is of a side whose leader is no member here: it follows one
// that is not the one that this node has lost, or waits for one, or did so under a term
// that is new here. To a node that never followed anybody every term is new, and says
// nothing. Who calls has given up waiting.
func (e *Election) foreign(v *voter) bool {
	c := v.word
	if !v.heard || c.Calling || e.view.has(c.Reign) {
		return false
	}
	other := !c.Reign.Leader.IsZero() && c.Reign.Leader != e.held.Leader
	missed := !e.held.Leader.IsZero() && c.Last > e.held.Term
	return other || c.Waiting || missed
}

// earlier returns the first of two moments.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// later returns the last of two moments.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
