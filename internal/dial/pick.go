package dial

import "time"

// rank says why a target is dialled. Of several that are due the lowest rank goes first.
type rank uint8

const (
	redial   rank = iota // it answers whether a node crashed, which others wait for
	turn                 // the dial of each second that finds lost nodes again
	ordinary             // everything else; leaves the last slot to the other two
	ranks
)

// Tick returns the dials to start now, the most pressing first. The caller begins all
// of them and reports the end of each to Done.
func (s *Scheduler) Tick(now time.Time) []Start {
	var starts []Start
	for {
		t := s.pick(now)
		if t == nil {
			return starts
		}
		starts = append(starts, s.start(now, t))
	}
}

// Next returns when Tick has a dial to start; ok is false if it has none until an input
// comes. The time may lie in the past.
func (s *Scheduler) Next() (at time.Time, ok bool) {
	if !s.fresh {
		s.next, s.nextOK, s.fresh = time.Time{}, false, true
		by := time.Unix(1<<40, 0) // nothing is due as late as that
		for _, t := range s.table.targets {
			for r := range ranks {
				if at, ok := s.when(t, r, by); ok {
					s.next, s.nextOK, by = at, true, at
				}
			}
		}
	}
	return s.next, s.nextOK
}

// pick returns the target to dial now, or nil.
func (s *Scheduler) pick(now time.Time) *target {
	for r := range ranks {
		var best *target
		for _, t := range s.table.targets {
			if best != nil && !s.before(t, best, r) {
				continue
			}
			if _, ok := s.when(t, r, now); ok {
				best = t
			}
		}
		if best != nil {
			return best
		}
	}
	return nil
}

// before orders two targets of one rank. Turns go to who waited longest. Elsewhere the
// source that waited longest goes first, so that no source starves another, and in it
// whoever waited longest. The addresses of one node take turns too.
func (s *Scheduler) before(t, u *target, r rank) bool {
	if a, b := s.served[t.source], s.served[u.source]; r != turn && a != b {
		return a < b
	}
	if !t.turn.Equal(u.turn) {
		return t.turn.Before(u.turn)
	}
	return t.place.last.Before(u.place.last)
}

// start books the dial of t.
func (s *Scheduler) start(now time.Time, t *target) Start {
	s.fresh = false
	s.number++
	s.flights[s.number] = t
	s.served[t.source] = s.number
	p := t.place
	p.flying, p.last = true, now
	if !t.id.IsZero() {
		s.busy[t.id] = true
	}
	if t.urgent {
		p.urged = now
	}
	t.urgent, t.asked, t.turn = false, false, now
	for _, u := range s.table.targets {
		// A node with many addresses has no more turns than one with a single address.
		if !t.id.IsZero() && u.id == t.id {
			u.urgent, u.asked, u.turn = false, false, now
		}
	}
	if t.source.dutiful() {
		s.turn = now.Add(Spacing + time.Duration(s.rand.Int64N(int64(TurnMax-Spacing)+1)))
	}
	if !p.local {
		s.starts[s.oldest] = now
		s.oldest = (s.oldest + 1) % len(s.starts)
	}
	s.stats.Started++
	return Start{Number: s.number, Addr: p.addr, ID: t.id, Source: t.source}
}

// when returns the earliest time at which t may be dialled for the reason r; ok is false
// if that is after by, or if only an input can change that it must not be. What is not
// due is sorted out first, for that is nearly everything and costs the least.
func (s *Scheduler) when(t *target, r rank, by time.Time) (at time.Time, ok bool) {
	at, ok = s.due(t, r)
	if !ok || at.After(by) || t.place.flying {
		return time.Time{}, false
	}
	at = later(at, s.rests[t.who()])
	if at.After(by) || s.linked[t.who()] || s.busy[t.id] || s.listed[t.who()] && !t.requested(r) {
		return time.Time{}, false
	}
	spare, most := 0, s.c.AtOnceMax
	if r == ordinary {
		spare, most = s.c.Spare, max(most-1, 1)
	}
	if len(s.flights) >= most {
		return time.Time{}, false
	}
	if !t.place.local {
		// The start that has to be a second old so that this one, and as many as are
		// spared, stay within the rate.
		n := len(s.starts)
		at = later(at, s.starts[(s.oldest+spare)%n].Add(rateWindow))
	}
	return at, !at.After(by)
}

// requested reports whether somebody asked for a dial of t for the reason r.
func (t *target) requested(r rank) bool { return r == redial || r == ordinary && t.asked }

// due returns the earliest time at which t may be dialled for the reason r, as far as
// it and its place are concerned.
func (s *Scheduler) due(t *target, r rank) (at time.Time, ok bool) {
	p := t.place
	rested := later(later(p.rest, t.rest), t.hold)
	spaced := later(rested, p.last.Add(Spacing))
	switch r {
	case redial:
		return later(rested, p.urged.Add(Spacing)), t.urgent
	case turn:
		return later(spaced, s.turn), t.source.dutiful()
	default:
		if t.asked {
			return rested, true // who asks waits between two tries
		}
		return later(spaced, p.due), true
	}
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
