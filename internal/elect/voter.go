package elect

import (
	"fmt"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// Voter is a member as an election needs it.
type Voter struct {
	ID          ident.NodeID
	Incarnation ident.Incarnation
	Join        uint64 // its join number, 0 if not known yet
	Eligible    bool   // its record says that it may lead

	// Far says that there is no link with it: what it says comes through others, and not
	// whether it can lead.
	Far bool
}

// seat returns the seat of a leader that was elected and not handed the leadership.
func (v Voter) seat() Seat { return Seat{Join: v.Join, ID: v.ID} }

// voter is a member and what it said last.
type voter struct {
	Voter
	word   Claim
	heard  bool       // word is its word; of this node itself, only the flags are kept
	since  time.Time  // when it began to follow the reign in word
	called time.Time  // when word began to be calling
	ended  ident.Term // its reigns up to this one are over, as members say who know
}

// able reports whether v can lead.
func (v *voter) able() bool { return v.Eligible && !v.word.Unfit }

// before reports whether v ranks before o: who resigned comes last.
func (v *voter) before(o *voter) bool {
	if v.word.Resigned != o.word.Resigned {
		return o.word.Resigned
	}
	return v.seat().Compare(o.seat()) < 0
}

// view is the members of one moment, this node included.
type view struct {
	voters []*voter // by seat, so that no order is left to chance
	index  map[ident.NodeID]*voter
}

// newView returns the view of a list; what the members of old said is kept.
func newView(list []Voter, old view) view {
	w := view{index: make(map[ident.NodeID]*voter, len(list))}
	for _, m := range list {
		v := &voter{Voter: m}
		if o := old.index[m.ID]; o != nil && o.Incarnation == m.Incarnation {
			*v = *o
			v.Voter = m
		}
		if w.index[m.ID] != nil {
			panic(fmt.Sprintf("elect: %v is twice in %+v", m.ID, list)) //nolint:forbidigo // broken invariant
		}
		w.voters = append(w.voters, v)
		w.index[m.ID] = v
	}
	slices.SortFunc(w.voters, func(a, b *voter) int { return a.seat().Compare(b.seat()) })
	return w
}

// same reports whether the members of w and o are the same and rank the same.
func (w view) same(o view) bool {
	return slices.EqualFunc(w.voters, o.voters, func(a, b *voter) bool {
		x := a.Voter
		x.Far = b.Far
		return x == b.Voter
	})
}

// has reports whether r has a leader, and it is a member in the incarnation that leads.
func (w view) has(r Reign) bool {
	v := w.index[r.Leader]
	return v != nil && v.Incarnation == r.Incarnation
}

// over reports whether the leader of r, a member, has gone on to something else.
func (w view) over(r Reign) bool {
	v := w.index[r.Leader]
	return r.Term <= v.ended || v.heard && v.word.Last >= r.Term && !v.word.Reign.is(r)
}

// end takes note that the leader of r has gone on to something else, as a member says.
func (w view) end(r Reign) {
	if w.has(r) {
		v := w.index[r.Leader]
		v.ended = max(v.ended, r.Term)
	}
}

// rank returns how many members that can lead rank before v.
func (w view) rank(v *voter) int {
	n := 0
	for _, o := range w.voters {
		if o.able() && o.before(v) {
			n++
		}
	}
	return n
}

// successor returns the first in rank of those that can lead and are not id, or nil. Nobody
// knows whether one that is far can: it might pass the leadership on to another such, and
// that one back.
func (w view) successor(id ident.NodeID) *voter {
	var first *voter
	for _, v := range w.voters {
		if v.ID != id && !v.Far && v.able() && (first == nil || v.before(first)) {
			first = v
		}
	}
	return first
}
