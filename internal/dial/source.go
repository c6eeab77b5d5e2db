package dial

import "github.com/espial-go/espial/internal/ident"

// Source says who named an address.
type Source uint8

// The sources, in no particular order.
const (
	Seed       Source = iota + 1 // the user
	Multicast                    // a beacon whose source echoed a nonce
	Peer                         // a record that a member signed for itself and another passed on
	Remembered                   // this node, which was linked with the node once
	Inbound                      // a node that dialled this one and said where it listens
)

// sources is the size of a table with one entry for each source.
const sources = int(Inbound) + 1

// String returns the stable name of s, as the command prints it.
func (s Source) String() string {
	switch s {
	case Seed:
		return "seed"
	case Multicast:
		return "multicast"
	case Peer:
		return "peer"
	case Remembered:
		return "remembered"
	case Inbound:
		return "inbound"
	default:
		return "unknown"
	}
}

// valid reports whether s is one of the sources.
func (s Source) valid() bool { return s >= Seed && s <= Inbound }

// dutiful reports whether targets of s take part in the turns, for life.
func (s Source) dutiful() bool { return s == Seed || s == Remembered }

// Candidate is an address where a node of the cluster may listen.
type Candidate struct {
	Addr   string       // host:port, with an IP address unless the source is Seed; or scheme://rest
	Source Source       // who named it
	ID     ident.NodeID // who is said to listen there; zero if unknown; ignored for a seed
}
