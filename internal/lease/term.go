package lease

import (
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// aheadMax is how far a clock or a term may be above the others to be believed, in
// milliseconds: 24 hours cover every mistake about time zones.
const aheadMax = 24 * 60 * 60 * 1000

// nextTerm returns a term above what those who promised their votes saw, and not below
// their clocks. One that is too far above the median of them is not believed.
func nextTerm(promises []reply) ident.Term {
	seen, clock := make([]uint64, len(promises)), make([]uint64, len(promises))
	for i, p := range promises {
		seen[i], clock[i] = uint64(p.seen), p.clock
	}
	return ident.Term(max(believed(seen)+1, believed(clock)))
}

// believed returns the highest of the values that is not too far above their median, the
// lower one of an even number. It sorts them.
func believed(values []uint64) uint64 {
	slices.Sort(values)
	limit := values[(len(values)-1)/2] + aheadMax
	best := uint64(0)
	for _, v := range values {
		if v <= limit {
			best = v
		}
	}
	return best
}

// clock returns the time of day in milliseconds since 1970. A clock that is beyond every
// term says nothing, and neither does one before 1970.
func (e *Election) clock(now time.Time) uint64 {
	ms := now.Add(e.wall).UnixMilli()
	if ms < 0 || ms > TermMax {
		return 0
	}
	return uint64(ms)
}

// see notes a term that is in use.
func (e *Election) see(t ident.Term) { e.seen = max(e.seen, t) }
