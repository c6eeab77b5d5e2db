package lease

import (
	"fmt"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// conflict is what is wrong with the members.
type conflict struct {
	surplus  []ident.NodeID // by ascending ID
	reported []ident.NodeID
	since    time.Time // when surplus last changed
}

func (c *conflict) on() bool      { return len(c.surplus) > 0 }
func (c *conflict) changed() bool { return !slices.Equal(c.surplus, c.reported) }

// View tells the members, this node included, in any order, whenever one of them changes.
// Whether this node is eligible is up to [Election.SetEligible] alone.
func (e *Election) View(now time.Time, all []Voter) {
	e.enter(now)
	e.members = e.members[:0]
	for _, v := range all {
		if v.ID == e.self {
			e.join = v.Join
			continue
		}
		e.members = append(e.members, v)
	}
	slices.SortFunc(e.members, byAge)
	for id := range e.foreign {
		if _, ok := e.member(id); !ok {
			delete(e.foreign, id)
		}
	}
	// Nobody leads here who is not listed here. The vote of this node stays given.
	if _, ok := e.member(e.known.id); !ok && e.known.valid && e.known.id != e.self {
		e.forget()
	}
	e.count()
}

// member returns the other member id.
func (e *Election) member(id ident.NodeID) (Voter, bool) {
	i := slices.IndexFunc(e.members, func(v Voter) bool { return v.ID == id })
	if i < 0 {
		return Voter{}, false
	}
	return e.members[i], true
}

// voters returns the number of other voters that are listed.
func (e *Election) voters() int {
	n := 0
	for _, v := range e.members {
		if e.electorate.votes(v.ID, v.Eligible) {
			n++
		}
	}
	return n
}

// state hears which electorate a member states.
func (e *Election) state(id ident.NodeID, tag uint64) {
	if _, ok := e.member(id); !ok {
		return
	}
	other := tag != e.electorate.Tag()
	if other == e.foreign[id] {
		return
	}
	if other {
		e.foreign[id] = true
	} else {
		delete(e.foreign, id)
	}
	e.judgeMembers()
}

// count draws the conclusions from the members that are listed.
func (e *Election) count() {
	have, need := e.voters(), e.electorate.Majority()
	if e.electorate.votes(e.self, e.eligible) {
		have++
	}
	switch had := e.majority; {
	case have >= need && !had:
		e.majority, e.failures = true, 0
		e.earliest = later(e.earliest, e.now)
	case have < need && had:
		e.majority = false
		e.act(QuorumLost{Have: have, Need: need})
	}
	e.judgeMembers()
}

// judgeMembers finds the members that do not fit the electorate. They are reported later,
// but count at once.
func (e *Election) judgeMembers() {
	var surplus []ident.NodeID
	if e.electorate.voters == nil {
		eligible := slices.DeleteFunc(slices.Clone(e.members), func(v Voter) bool { return !v.Eligible })
		if e.eligible {
			eligible = append(eligible, Voter{ID: e.self, Join: e.join})
		}
		slices.SortFunc(eligible, byAge)
		for _, v := range eligible[min(e.electorate.size, len(eligible)):] {
			surplus = append(surplus, v.ID)
		}
	}
	for id := range e.foreign {
		surplus = append(surplus, id)
	}
	slices.SortFunc(surplus, ident.NodeID.Compare)
	surplus = slices.Compact(surplus)
	if slices.Equal(surplus, e.conflict.surplus) {
		return
	}
	e.conflict.surplus, e.conflict.since = surplus, e.now
	if e.conflict.on() && (e.phase == polling || e.phase == claiming) {
		e.fail()
	}
}

// report tells of a conflict that has lasted for a lease.
func (e *Election) report() {
	c := &e.conflict
	if !c.changed() || e.now.Sub(c.since) < e.pace.lease {
		return
	}
	c.reported = c.surplus
	e.act(Conflict{Surplus: slices.Clone(c.surplus)})
}

// promoteError says who cannot lead, and why.
func promoteError(err error, id ident.NodeID) error {
	return fmt.Errorf("%w: promote %v", err, id)
}
