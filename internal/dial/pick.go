package dial

import "time"

// rank orders what may be dialled at one moment; the lowest goes first.
type rank uint8

const (
	redial   rank = iota // answers whether a node crashed, which others wait for
	turn                 // the dial of each second that finds lost nodes again
	ordinary             // everything else; leaves room for the other two
	never                // only an input can change that
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
		for _, t := range s.table.targets {
			if at, r := s.when(t); r != never && (!s.nextOK || at.Before(s.next)) {
				s.next, s.nextOK = at, true
			}
		}
	}
	return s.next, s.nextOK
}

// pick returns the target to dial now, or nil.
func (s *Scheduler) pick(now time.Time) *target {
	var best *target
	var bestRank rank
	for _, t := range s.table.targets {
		r := s.rank(now, t)
		if r == never || best != nil && r > bestRank {
			continue
		}
		if best == nil || r < bestRank || s.before(t, best, r) {
			best, bestRank = t, r
		}
	}
	return best
}

// before orders two targets of one rank. Turns go to who waited longest. Elsewhere the
// source that waited longest goes first, so that no source starves another, and in it
// whoever waited longest.
func (s *Scheduler) before(t, u *target, r rank) bool {
	if a, b := s.served[t.source], s.served[u.source]; r != turn && a != b {
		return a < b
	}
	return t.turn.Before(u.turn)
}

// start books the dial of t.
func (s *Scheduler) start(now time.Time, t *target) Start {
	s.fresh = false
	s.number++
	s.flights[s.number] = t
	s.served[t.source] = s.number
	p := t.place
	p.flying, p.last = true, now
	if t.urgent {
		p.urged = now
	}
	t.urgent, t.turn = false, now
	for _, u := range s.table.targets {
		// A node with many addresses has no more turns than one with a single address.
		if !t.id.IsZero() && u.id == t.id {
			u.urgent, u.turn = false, now
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

// rank returns how pressing t is now; never if it is not due.
func (s *Scheduler) rank(now time.Time, t *target) rank {
	at, r := s.when(t)
	if r == never || at.After(now) {
		return never
	}
	return r
}

// when returns the earliest time at which t may be dialled and how pressing it is then.
func (s *Scheduler) when(t *target) (time.Time, rank) {
	if t.place.flying || s.linked[t.who()] || s.flying(t) {
		return time.Time{}, never
	}
	at, r := s.wait(t)
	spare := 0
	if r == ordinary {
		spare = 1 // the last slot is for redials and turns
	}
	if s.c.AtOnceMax > spare && len(s.flights) >= s.c.AtOnceMax-spare {
		return time.Time{}, never
	}
	if !t.place.local {
		n := len(s.starts)
		at = later(at, s.starts[(s.oldest+min(spare, n-1))%n].Add(rateWindow))
	}
	return at, r
}

// wait returns the earliest time at which t may be dialled if there is room.
func (s *Scheduler) wait(t *target) (time.Time, rank) {
	p := t.place
	// Who rests and who holds back does so in any case.
	rest := later(later(p.rest, t.rest), later(s.rests[t.who()], t.hold))
	spaced := later(rest, p.last.Add(Spacing))
	at, r := later(spaced, p.due), ordinary
	if t.source.dutiful() {
		if turned := later(spaced, s.turn); !turned.After(at) {
			at, r = turned, turn
		}
	}
	if t.urgent {
		if urged := later(rest, p.urged.Add(Spacing)); !urged.After(at) {
			at, r = urged, redial
		}
	}
	return at, r
}

// flying reports whether a dial of the node of t is in flight, at whatever address.
func (s *Scheduler) flying(t *target) bool {
	if t.id.IsZero() {
		return false
	}
	for _, u := range s.flights {
		if u.id == t.id {
			return true
		}
	}
	return false
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
