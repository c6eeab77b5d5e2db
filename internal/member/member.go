package member

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// State is what this node believes of a member.
type State uint8

// The states. Alive and Suspect are listed, the others are final for that listing.
const (
	Alive    State = iota
	Suspect        // silent, not yet given up
	Left           // it said goodbye
	Failed         // it did not, or another incarnation took its place
	Expelled       // the cluster sent it away
)

// String returns the word that users see.
func (s State) String() string {
	switch s {
	case Alive:
		return "alive"
	case Suspect:
		return "suspect"
	case Left:
		return "left"
	case Failed:
		return "failed"
	case Expelled:
		return "expelled"
	default:
		return fmt.Sprintf("State(%d)", uint8(s))
	}
}

// Member is one member as this node sees it. It is a copy; what its Record refers to is
// shared and never written to.
type Member struct {
	Record frame.Record
	State  State
	Source string    // what first named it here: "seed", "multicast", "peer", …
	Linked bool      // a link with it is up
	Since  time.Time // when it was listed
}

// compare orders members by join number, those without one last, then by ID.
func compare(a, b Member) int {
	return cmp.Or(ident.CompareJoins(a.Record.Join, b.Record.Join), a.Record.ID.Compare(b.Record.ID))
}

// differs reports whether two records of one incarnation differ in what users see.
func differs(a, b frame.Record) bool {
	return a.Name != b.Name || a.Host != b.Host || a.Ineligible != b.Ineligible ||
		a.Rings != b.Rings || a.Links != b.Links ||
		!slices.Equal(a.Addrs, b.Addrs) || !maps.Equal(a.Meta, b.Meta)
}

// life names one incarnation of one node.
type life struct {
	id          ident.NodeID
	incarnation ident.Incarnation
}

func lifeOf(r frame.Record) life { return life{r.ID, r.Incarnation} }
