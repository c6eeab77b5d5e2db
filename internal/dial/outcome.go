package dial

import (
	"maps"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// Kind says how a dial ended.
type Kind uint8

// The ends of a dial.
const (
	OK          Kind = iota + 1 // a link is up
	Refused                     // the host answered that nobody listens there
	Unreachable                 // the network answered that there is no way
	TimedOut                    // nobody answered in time
	Rejected                    // admission failed, on either side
	WrongID                     // another ID answered than the expected one
	Self                        // this node itself answered
	Duplicate                   // the two nodes have a link or are about to
	Full                        // there is no room for another link, on either side
	Failed                      // anything else: the connection broke, or a breach of the protocol
)

// String returns the name of k in lower case.
func (k Kind) String() string {
	switch k {
	case OK:
		return "ok"
	case Refused:
		return "refused"
	case Unreachable:
		return "unreachable"
	case TimedOut:
		return "timed out"
	case Rejected:
		return "rejected"
	case WrongID:
		return "wrong id"
	case Self:
		return "self"
	case Duplicate:
		return "duplicate"
	case Full:
		return "full"
	case Failed:
		return "failed"
	default:
		return "unknown"
	}
}

// Outcome is the end of a dial.
type Outcome struct {
	Kind Kind
	ID   ident.NodeID // who proved to answer; zero if it did not come to that
}

// restsMax bounds the IDs that rest at the same time.
const restsMax = 1024

// Done ends the dial with the given number. It ignores a number that is not in flight,
// so that a dial that ended twice counts once.
func (s *Scheduler) Done(now time.Time, number uint64, o Outcome) {
	t := s.flights[number]
	if t == nil {
		return
	}
	s.fresh = false
	delete(s.flights, number)
	delete(s.busy, t.id)
	p := t.place
	renamed := p.renamed
	p.flying, p.renamed = false, false
	if !o.ID.IsZero() {
		p.met, p.reached = o.ID, now
	}
	switch o.Kind {
	case OK:
		p.failures, p.due = 0, time.Time{}
	case Duplicate, Full:
		p.failures, p.due = 0, now.Add(BackoffMin)
	case Self:
		p.rest = now.Add(SelfRest)
	case WrongID:
		t.rest = now.Add(RejectedRest)
	case Rejected:
		if o.ID.IsZero() || !s.rejected(now, o.ID) {
			p.rest = now.Add(RejectedRest)
		}
	default:
		p.failures++
		if !renamed {
			p.due = now.Add(s.backoff(p.failures))
		}
		if !t.source.dutiful() && now.Sub(t.seen) >= StrangerAge {
			s.table.drop(func(u *target) bool { return u == t })
		}
	}
	s.table.release(p)
}

// Rejected tells that id was refused, or refused this node, on a link that it dialled:
// id rests at all of its addresses. Done says the same of a link that this node dialled.
func (s *Scheduler) Rejected(now time.Time, id ident.NodeID) {
	s.fresh = false
	if !id.IsZero() {
		s.rejected(now, id)
	}
}

// rejected lets id rest. It fails if too many others do.
func (s *Scheduler) rejected(now time.Time, id ident.NodeID) bool {
	if len(s.rests) >= restsMax {
		maps.DeleteFunc(s.rests, func(_ ident.NodeID, end time.Time) bool { return !end.After(now) })
	}
	if _, ok := s.rests[id]; !ok && len(s.rests) >= restsMax {
		return false
	}
	s.rests[id] = now.Add(RejectedRest)
	return true
}

// backoff draws the wait after the given number of failures in a row.
func (s *Scheduler) backoff(failures int) time.Duration {
	ceiling := min(BackoffMin<<min(failures, 10), BackoffMax) // 2^10 s is far above the maximum
	return BackoffMin + time.Duration(s.rand.Int64N(int64(ceiling-BackoffMin)+1))
}
