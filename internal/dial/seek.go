package dial

import (
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// Listed says whether id is a member that need not be linked, as most are in a partial
// mesh: then it is dialled when that is asked for by Seek, Ask or Want and at no other time,
// also where a seed or a beacon leads to it.
func (s *Scheduler) Listed(id ident.NodeID, listed bool) {
	s.fresh = false
	if listed {
		s.listed[id] = true
	} else {
		delete(s.listed, id)
	}
}

// Seek asks for a dial of id now at one of addrs, as Remember and Want do: at the one that
// failed least, the first of those. If the two nodes were not linked before, both may want
// each other at the same moment, and then the one with the higher ID waits [HigherWait].
func (s *Scheduler) Seek(now time.Time, id ident.NodeID, addrs []string, before bool) {
	s.Remember(now, id, addrs)
	if s.linked[id] {
		return
	}
	var best *target
	for _, t := range s.table.targets {
		if t.id != id {
			continue
		}
		if !before {
			t.hold = s.hold(now, id)
		}
		if best == nil || t.place.failures < best.place.failures ||
			t.place.failures == best.place.failures && t.better(best) {
			best = t
		}
	}
	if best != nil {
		best.urgent = true
	}
}

// Ask asks for a dial of id at one of addrs, in its turn among the ordinary ones: Seek is for
// what cannot wait, and the rate keeps a place for that. It waits for no back-off: the caller
// does not ask more often than about once a second while that is in vain.
func (s *Scheduler) Ask(now time.Time, id ident.NodeID, addrs []string) {
	s.Remember(now, id, addrs)
	if s.linked[id] {
		return
	}
	if t := s.table.best(id); t != nil {
		t.asked = true
	}
}

// Parted tells that the link with id is down and that nothing follows from it: id is
// dialled as if it had not been linked.
func (s *Scheduler) Parted(id ident.NodeID) {
	s.fresh = false
	delete(s.linked, id)
}
