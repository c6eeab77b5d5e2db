package espial

import (
	"context"
	"encoding/json"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/espial-go/espial/internal/ident"
)

// NodeID names a node: the SHA-256 hash of its public key, so that only the
// holder of the key can answer to it.
type NodeID [32]byte

// String returns the ID as 52 characters of lower-case base32.
func (id NodeID) String() string { return ident.NodeID(id).String() }

// Short returns the first 16 characters of the text form, enough to tell the
// members of a cluster apart.
func (id NodeID) Short() string { return ident.NodeID(id).Short() }

// MarshalText returns the text form.
func (id NodeID) MarshalText() ([]byte, error) { return ident.NodeID(id).MarshalText() }

// UnmarshalText parses the text form.
func (id *NodeID) UnmarshalText(text []byte) error {
	return told((*ident.NodeID)(id).UnmarshalText(text))
}

// ParseNodeID parses the text form of a node ID, all 52 characters of it.
func ParseNodeID(s string) (NodeID, error) {
	id, err := ident.ParseNodeID(s)
	return NodeID(id), told(err)
}

// State is what this node believes of a member.
type State uint8

// The states of a member.
const (
	Alive   State = iota // it answers
	Suspect              // silent, and soon removed unless it answers
	Left                 // it said goodbye
	Failed               // it fell silent or its process ended without a goodbye
)

// String returns the stable name that JSON output uses.
func (s State) String() string {
	switch s {
	case Suspect:
		return "suspect"
	case Left:
		return "left"
	case Failed:
		return "failed"
	default:
		return "alive"
	}
}

// Member is a node as the membership table of this node sees it. It is a copy;
// nothing in it changes later. Everything but ID, State, Self, RTT and FoundBy is
// the member's own word.
type Member struct {
	ID          NodeID            // proved by its key
	Name        string            // its node name, which others may share
	Incarnation uint64            // one start of the node's process, 64 random bits
	State       State             // [Alive] or [Suspect] for members of the table
	Addrs       []string          // where it takes links, the preferred first
	Metadata    map[string]string // what it says of itself; never modify it
	Ineligible  bool              // it never leads
	Self        bool              // it is this node
	RTT         time.Duration     // smoothed round-trip time of probes; 0 if never measured
	FoundBy     string            // the first source that named it here: multicast, seed, peer, inbound …
}

// MarshalJSON returns the stable shape that the command espial members prints.
func (m Member) MarshalJSON() ([]byte, error) {
	shape := struct {
		ID      NodeID            `json:"id"`
		Name    string            `json:"name"`
		State   string            `json:"state"`
		Addrs   []string          `json:"addrs"`
		Meta    map[string]string `json:"meta"`
		Self    bool              `json:"self,omitempty"`
		RTT     float64           `json:"rtt_ms,omitempty"`
		FoundBy string            `json:"found_by,omitempty"`
	}{m.ID, m.Name, m.State.String(), m.Addrs, m.Metadata, m.Self, millis(m.RTT), m.FoundBy}
	if shape.Addrs == nil {
		shape.Addrs = []string{}
	}
	if shape.Meta == nil {
		shape.Meta = map[string]string{}
	}
	return json.Marshal(shape)
}

// Peer is a member to which this node keeps a link.
type Peer struct {
	ID            NodeID         // proved by its key
	Name          string         // its node name
	Addr          netip.AddrPort // its end of the link; zero if the transport has no IP addresses
	Endpoint      string         // its end as text; of a link that is not TCP an address with a scheme
	RTT           time.Duration  // smoothed round-trip time of probes; 0 if never measured
	Cipher        string         // the TLS cipher suite of the link
	Since         time.Time      // when the link came up
	SentBytes     uint64         // before encryption
	ReceivedBytes uint64         // after decryption
	node          *Node
}

// Publish publishes to the peer alone: it is [Node.Publish] with [Only].
func (p Peer) Publish(ctx context.Context, topic string, data []byte) error {
	if p.node == nil {
		return ErrClosed
	}
	return p.node.Publish(ctx, topic, data, Only(p.ID))
}

// Subscribe yields the peer's events alone: it is [Node.Subscribe] with [From].
func (p Peer) Subscribe(
	ctx context.Context, pattern string, opts ...SubscribeOption,
) iter.Seq2[Event, error] {
	if p.node == nil {
		return func(yield func(Event, error) bool) { yield(Event{}, ErrClosed) }
	}
	return p.node.Subscribe(ctx, pattern, append(slices.Clip(opts), From(Only(p.ID)))...)
}

// MarshalJSON returns the stable shape that the command espial peers prints.
func (p Peer) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID            NodeID    `json:"id"`
		Name          string    `json:"name"`
		Addr          string    `json:"addr"`
		RTT           float64   `json:"rtt_ms"`
		Cipher        string    `json:"cipher"`
		Since         time.Time `json:"since"`
		SentBytes     uint64    `json:"sent_bytes"`
		ReceivedBytes uint64    `json:"received_bytes"`
	}{p.ID, p.Name, p.Endpoint, millis(p.RTT), p.Cipher, p.Since, p.SentBytes, p.ReceivedBytes})
}

// millis returns d in milliseconds, to the microsecond.
func millis(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

// Verified is what a link proves of a node that asks to join.
type Verified struct {
	ID     NodeID         // it holds the key of this ID
	Addr   netip.AddrPort // its end of the connection; zero if the transport has no IP addresses
	Cipher string         // the TLS cipher suite
	Names  []string       // names in its certificate; none without a CA
}

// Claimed is what a node that asks to join says of itself, proved by nothing.
type Claimed struct {
	Name     string            // its node name; the grammar is checked
	Host     string            // the name of its host
	Metadata map[string]string // within the limits of Config.Metadata
}
