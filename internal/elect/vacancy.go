package elect

import "time"

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
	e.patient = false
	if e.vacant.IsZero() {
		e.freed = time.Time{}
		return
	}
	for _, v := range e.view.voters {
		if !now.Before(v.since.Add(Patience)) || !e.foreign(v) {
			continue
		}
		e.freed = now
		// Who only hears that somebody waits does not say it again: two who wait for each
		// other would wait for nobody.
		e.patient = e.patient || e.astray(v)
	}
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
	at = later(at, e.freed) // or all whose turn it was meanwhile would act at once
	for _, v := range e.view.voters {
		if e.foreign(v) {
			at = later(at, v.since.Add(Patience))
		}
	}
	return at
}

// foreign reports whether v is of a side whose leader is no member here, or says that it
// waits for one. Who calls has given up waiting.
func (e *Election) foreign(v *voter) bool {
	return v.heard && !v.word.Calling && !e.view.has(v.word.Reign) && (v.word.Waiting || e.astray(v))
}

// astray reports whether v follows a leader that is not the one that this node has lost, or
// has followed one under a term that is new here. To a node that never followed anybody
// every term is new, and says nothing.
func (e *Election) astray(v *voter) bool {
	c := v.word
	other := !c.Reign.Leader.IsZero() && c.Reign.Leader != e.held.Leader
	missed := !e.held.Leader.IsZero() && c.Last > e.held.Term
	return other || missed
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
