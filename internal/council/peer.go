package council

import (
	"github.com/espial-go/espial/internal/ident"
)

// Member is a member as elections see it.
type Member struct {
	ID          ident.NodeID
	Incarnation ident.Incarnation
	Join        uint64 // its join number, 0 if not known yet
	Eligible    bool   // its record says that it may lead

	// Link tells the links with this incarnation apart; 0 is none. It says nothing for
	// this node itself.
	Link uint64
}

// linked reports whether there is a link with m.
func (m Member) linked() bool { return m.Link != 0 }

// peer is another member and what it said.
type peer struct {
	Member
	said map[string]*word // by election
}

// word is what a member said about one election.
type word struct {
	leased bool // by the first frame: that it takes part in one of the modes with a lease
	met    bool // on this link both know that the other listens
}

// unmeet begins a new link.
func (p *peer) unmeet() {
	for _, w := range p.said {
		w.met = false
	}
}
