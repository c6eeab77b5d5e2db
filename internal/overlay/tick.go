package overlay

import (
	"slices"
	"time"
)

// Tick returns what is to be done now: first the links to close, then the members to
// dial, those that count most before the others.
func (k *Keeper) Tick(now time.Time) []Action {
	if !k.dirty && (k.next.IsZero() || now.Before(k.next)) {
		return nil
	}
	var acts []Action
	for {
		k.next = time.Time{}
		k.expire(now)
		k.decide()
		before := len(acts)
		acts = k.retire(now, k.yield(now, acts))
		if len(acts) == before {
			break
		}
	}
	acts = k.seek(now, acts)
	k.prune(now)
	k.dirty = false
	return acts
}

// wake makes Next not later than at.
func (k *Keeper) wake(at time.Time) {
	if k.next.IsZero() || at.Before(k.next) {
		k.next = at
	}
}

// expire ends dials and handshakes of which nothing was heard for too long.
func (k *Keeper) expire(now time.Time) {
	for _, t := range k.ties {
		switch {
		case !t.sought && !t.admitted:
		case now.Before(t.until):
			k.wake(t.until)
		default:
			k.fail(now, t)
		}
	}
}

// yield closes what is over MaxPeers: what this node does not need, then what it needs
// least, and of that the youngest. What it wants is over MaxPeers where a newcomer has a
// place, which has that moment.
func (k *Keeper) yield(now time.Time, acts []Action) []Action {
	for {
		var worst *tie
		links := 0
		for _, t := range k.ties {
			if t.linked {
				links++
				if worst == nil || t.worse(worst) {
					worst = t
				}
			}
		}
		if links <= k.max {
			return acts
		}
		k.drop(worst)
		if worst.rank < guest {
			worst.spared = now.Add(RetryMin)
		}
		acts = append(acts, Close{ID: worst.id, Why: Full})
	}
}

// worse reports whether t gives way before o, which comes before it in the order of IDs.
func (t *tie) worse(o *tie) bool {
	return t.rank > o.rank || t.rank == o.rank && !t.since.Before(o.since)
}

// retire closes the links that are for nothing and were so for some time. The end that
// dialled closes, because the other one cannot know what it was dialled for. Where a full
// mesh outgrew its limit by no more than an eighth its links stay, for it may shrink again.
func (k *Keeper) retire(now time.Time, acts []Action) []Action {
	keep := k.view.Len() <= k.full()*9/8
	for _, t := range k.ties {
		switch {
		case !t.linked:
		case t.rank != surplus || keep:
			t.idle = time.Time{}
		case t.idle.IsZero():
			t.idle = now
			k.wake(now.Add(Linger))
		case now.Sub(t.idle) < Linger:
			k.wake(t.idle.Add(Linger))
		default:
			k.drop(t)
			acts = append(acts, Close{ID: t.id, Why: Unused})
		}
	}
	return acts
}

// seek dials who is wanted and has no link, and who is passed over and is due.
func (k *Keeper) seek(now time.Time, acts []Action) []Action {
	if k.still {
		return acts
	}
	k.dials = k.dials[:0]
	for _, w := range k.wants {
		switch t := k.get(k.view.ids[w.member]); {
		case t != nil && !t.free():
		case t != nil && now.Before(t.spared):
			k.wake(t.spared)
		default:
			k.dials = append(k.dials, w)
		}
	}
	for _, w := range k.seeks {
		if t := k.get(k.view.ids[w.member]); t.free() && !now.Before(t.retry) {
			k.dials = append(k.dials, w)
		}
	}
	slices.SortFunc(k.dials, want.byRank)
	for _, w := range k.dials {
		t := k.tie(k.view.ids[w.member])
		t.sought, t.until = true, now.Add(Patience)
		k.wake(t.until)
		acts = append(acts, Dial{ID: t.id})
	}
	return acts
}

// free reports whether nothing is under way with the other end.
func (t *tie) free() bool { return !t.linked && !t.sought && !t.admitted }

// prune forgets those with whom nothing goes on, as with who failed and was not needed
// when it would have been tried again.
func (k *Keeper) prune(now time.Time) {
	k.ties = slices.DeleteFunc(k.ties, func(t *tie) bool {
		if t.passed && now.Before(t.retry) {
			k.wake(t.retry)
			return false
		}
		return t.free() && !t.pinned && !now.Before(t.spared)
	})
}
