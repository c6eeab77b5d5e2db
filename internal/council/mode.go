package council

import (
	"fmt"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// Mode says how an election finds its leader. The zero Mode is Available: there is always
// a leader, one on each side of a split. With the two others there is at most one at any
// instant, and none without a majority. All nodes must use the same mode.
type Mode struct {
	// Quorum is the number of eligible nodes that may run at the same time, at most
	// 1,024. A majority is more than half of it.
	Quorum int

	// Voters names the nodes that vote and lead, at most 1,024, in any order. An empty
	// list that is not nil is an error. It excludes Quorum.
	Voters []ident.NodeID

	// Lease is how long a leader leads without being renewed: 100 ms to 1 min, 1 s if it
	// is zero. It says nothing in the Available mode.
	Lease time.Duration
}

// available reports whether m is the Available mode.
func (m Mode) available() bool { return m.Quorum == 0 && m.Voters == nil }

// plain returns m in the one form of all modes that mean the same. It shares nothing with
// m.
func (m Mode) plain() Mode {
	if m.available() {
		return Mode{}
	}
	if m.Lease == 0 {
		m.Lease = lease.DefaultLease
	}
	if m.Voters != nil {
		m.Voters = append([]ident.NodeID{}, m.Voters...)
		slices.SortFunc(m.Voters, ident.NodeID.Compare)
	}
	return m
}

// is reports whether m and o, both plain, are one mode.
func (m Mode) is(o Mode) bool {
	return m.Quorum == o.Quorum && m.Lease == o.Lease && slices.Equal(m.Voters, o.Voters)
}

// electorate returns who votes in m, which is not the Available mode.
func (m Mode) electorate() (lease.Electorate, error) {
	switch {
	case m.Voters == nil:
		return lease.Quorum(m.Quorum), nil
	case m.Quorum != 0:
		return lease.Electorate{}, fmt.Errorf("%w: Quorum and Voters exclude each other", ErrElectorate)
	default:
		return lease.Voters(m.Voters...), nil
	}
}
