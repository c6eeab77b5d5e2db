package lease

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/espial-go/espial/internal/ident"
)

// SizeMax is the size of the largest electorate: the links that a node may have.
const SizeMax = 1024

// ErrElectorate reports an electorate that cannot vote: its text says why.
var ErrElectorate = errors.New("lease: bad electorate")

// Electorate says whose votes count. It never changes during an election.
type Electorate struct {
	size   int
	voters []ident.NodeID // ascending; nil for Quorum
}

// Quorum is the electorate of all eligible members, of which at most n may run at the same
// time, seen or not. A majority is more than n/2, so an even n tolerates no more failures
// than n−1 does.
func Quorum(n int) Electorate { return Electorate{size: n} }

// Voters is the electorate of exactly these nodes.
func Voters(ids ...ident.NodeID) Electorate {
	ids = slices.SortedFunc(slices.Values(ids), ident.NodeID.Compare)
	return Electorate{size: len(ids), voters: append([]ident.NodeID{}, ids...)}
}

// Majority returns the number of votes that make a leader.
func (el Electorate) Majority() int { return el.size/2 + 1 }

// Tag returns a number that tells electorates apart: n for Quorum(n), a hash with the
// highest bit set for Voters (FNV-1a, 64 bits, over the IDs in ascending order).
func (el Electorate) Tag() uint64 {
	if el.voters == nil {
		return uint64(el.size)
	}
	h := fnv.New64a()
	for _, id := range el.voters {
		_ = binary.Write(h, binary.BigEndian, id) // a hash takes everything
	}
	return h.Sum64() | 1<<63
}

// check returns an error that wraps ErrElectorate if el cannot vote.
func (el Electorate) check() error {
	if el.size < 1 || el.size > SizeMax {
		return fmt.Errorf("%w of %d nodes, must be 1 to %d", ErrElectorate, max(el.size, 0), SizeMax)
	}
	for i, id := range el.voters {
		switch {
		case id.IsZero():
			return fmt.Errorf("%w: a voter without a key", ErrElectorate)
		case i > 0 && id == el.voters[i-1]:
			return fmt.Errorf("%w: voter %v is named twice", ErrElectorate, id)
		}
	}
	return nil
}

// votes reports whether a node has a vote, given whether it is eligible.
func (el Electorate) votes(id ident.NodeID, eligible bool) bool {
	if el.voters == nil {
		return eligible
	}
	_, ok := slices.BinarySearchFunc(el.voters, id, ident.NodeID.Compare)
	return ok
}

// Voter is a member as an election sees it.
type Voter struct {
	ID       ident.NodeID
	Join     uint64 // join number; 0 is not known yet and sorts last
	Eligible bool   // may lead
	Far      bool   // there is no link with it
}

// byAge orders by join number, then ID.
func byAge(a, b Voter) int { return cmp.Or(ident.CompareJoins(a.Join, b.Join), a.ID.Compare(b.ID)) }
