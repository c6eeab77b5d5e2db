package admission

import (
	"net/netip"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Action is what the owner of a [Machine] has to carry out: one of [Send], [Ask],
// [Arbitrate], [Up], [Refuse] and [Breach]. The last three are final: after one of them
// the machine takes no input and returns no action.
type Action interface{ action() }

// Send writes a frame to the peer.
type Send struct{ Frame frame.Frame }

// Ask wants a verdict on the peer: run the filter and call [Machine.Judged].
type Ask struct {
	Verified Verified
	Claimed  Claimed
}

// Arbitrate wants a ruling on the connection: call [Machine.Arbitrated]. Only the
// arbiter of the pair, the end with the lower ID, is asked, and only after both
// policies admitted.
type Arbitrate struct{ Hello frame.Hello }

// Up ends admission with a link.
type Up struct {
	// Hello is the peer's.
	Hello frame.Hello

	// Serial is the arbiter's count of links of the pair, at least 1, the same at both
	// ends.
	Serial uint64

	// Join is the join number that the peer proposes to this node; 0 for none.
	Join uint64
}

// Refuse ends admission without a link. Close the connection after what was to be sent.
type Refuse struct {
	By     Side
	Code   frame.Code // from the peer: any bytes, at most [frame.CodeMax]
	Reason string     // from the peer: any bytes, at most [frame.ReasonMax]
}

// Breach ends admission because the peer broke the protocol. Close the connection at
// once. Err wraps [ErrBreach].
type Breach struct{ Err error }

func (Send) action()      {}
func (Ask) action()       {}
func (Arbitrate) action() {}
func (Up) action()        {}
func (Refuse) action()    {}
func (Breach) action()    {}

// Side is an end of a connection.
type Side uint8

// The sides.
const (
	Self Side = iota + 1
	Peer
)

// String returns "self" or "peer".
func (s Side) String() string {
	if s == Self {
		return "self"
	}
	return "peer"
}

// Verified is what is known about the peer because TLS proved it or this node saw it.
// Nothing of it is the peer's word.
type Verified struct {
	ID     ident.NodeID
	Remote netip.AddrPort // where the connection comes from or goes to
	Cipher string         // the cipher suite by its name in crypto/tls
	Names  []string       // names in the certificate that a CA vouches for; none without a CA
}

// Claimed is what the peer says about itself. All of it may be a lie.
type Claimed struct {
	Name string
	Host string
	Meta map[string]string

	// OnDemand is [frame.Hello.OnDemand]: of a dialer, it says what the connection is for.
	OnDemand bool
}

// Verdict is the filter's answer to [Ask].
type Verdict struct {
	Admit bool

	// Code and Reason say why not. The default code is [frame.CodeFilter]; the reason
	// reaches the peer, cut to [frame.ReasonMax] bytes.
	Code   frame.Code
	Reason string

	// Join is the join number to propose to the peer where this node is not the
	// arbiter; 0 for none.
	Join uint64
}

// Ruling is the answer to [Arbitrate].
type Ruling struct {
	// OK makes the connection the link of the pair; otherwise it is refused with
	// [frame.CodeDuplicate], or with [frame.CodeFull] if Full says that there is no room
	// for another link.
	OK, Full bool

	// Serial is this link's number in this node's count of links with the peer, at
	// least 1.
	Serial uint64

	// Join is the join number to propose to the peer; 0 for none.
	Join uint64
}
