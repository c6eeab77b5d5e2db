package member

import (
	"encoding/binary"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Get returns the listed member id.
func (t *Table) Get(id ident.NodeID) (Member, bool) {
	e := t.members[id]
	if e == nil {
		return Member{}, false
	}
	return e.Member, true
}

// Members returns the listed members, this node not included, by join number (those
// without one last), then by ID.
func (t *Table) Members() []Member {
	all := make([]Member, 0, len(t.members))
	for _, e := range t.members {
		all = append(all, e.Member)
	}
	slices.SortFunc(all, compare)
	return all
}

// Over reports whether an incarnation left, was expelled or was replaced: it never
// returns, so a link with it is of the past.
func (t *Table) Over(id ident.NodeID, inc ident.Incarnation) bool {
	_, over := t.buried.get(life{id, inc})
	return over
}

// Lost returns the members that failed and may return, those that failed first in front.
func (t *Table) Lost() []Member {
	var all []Member
	for _, l := range t.lost.all {
		all = append(all, l.Member)
	}
	return all
}

// Records returns the signed records of this node and of the listed members, by ID. The
// bytes are shared and must not be changed.
func (t *Table) Records() [][]byte {
	raws := make([][]byte, 0, 1+len(t.members))
	for _, r := range t.records() {
		raws = append(raws, r.Raw)
	}
	return raws
}

// Hash returns a hash of who is listed in which incarnation and version, this node
// included. Tables that agree have the same; it is never 0. It resists accidents, not
// attacks: a member that lies about its hash only costs exchanges of records.
func (t *Table) Hash() uint64 {
	var b []byte
	for _, r := range t.records() {
		b = append(b, r.ID[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(r.Incarnation))
		b = binary.BigEndian.AppendUint64(b, r.Version)
		b = append(b, byte(r.State))
	}
	h := fnv.New64a()
	_, _ = h.Write(b) // a hash never fails
	return max(h.Sum64(), 1)
}

// Conflicts returns how many records came that differ from one known with the same
// incarnation and version: their subject signed both, so it lies or was cloned.
func (t *Table) Conflicts() uint64 { return t.conflicts }

// records returns the records of this node and of the listed members, by ID.
func (t *Table) records() []frame.Record {
	all := append(make([]frame.Record, 0, 1+len(t.members)), t.self)
	for _, id := range slices.SortedFunc(maps.Keys(t.members), ident.NodeID.Compare) {
		all = append(all, t.members[id].Record)
	}
	slices.SortFunc(all, func(a, b frame.Record) int { return a.ID.Compare(b.ID) })
	return all
}
