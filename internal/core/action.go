package core

import (
	"time"

	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/overlay"
)

// Action is one thing for the caller to carry out: a [Send], [CloseLink], [Dial],
// [Unspoken], [Change] or [View].
type Action interface{ action() }

// Send asks to write a control frame to a link.
type Send struct {
	Link  LinkID
	Frame frame.Frame
}

// CloseLink asks to say BYE on a link and to close it. The caller reports the end with
// [Core.LinkDown], as it does for any other link.
type CloseLink struct {
	Link   LinkID
	Code   frame.Code
	Reason string // for people
}

// Dial asks to dial an address, for at most one second, or three if it has a scheme, and to
// report the end with [Core.DialDone]: also after the link came up.
type Dial struct {
	Number uint64       // names the dial in Link.DialNumber and in DialDone
	Addr   string       // host:port, or scheme://rest
	Pin    ident.NodeID // who must answer there; zero for whoever does
	Source dial.Source  // who named the address first

	// OnDemand asks for a link on demand, as the HELLO has to say.
	OnDemand bool
}

// Unspoken tells, once for each node, that there is no link with it and that this node cannot
// dial it: it has addresses, and none of a scheme that this node speaks.
type Unspoken struct {
	ID    ident.NodeID
	Addrs []frame.Addr
}

// View is the list of members, given out whenever it changed. Its slice is never
// written again, so it may be shared between goroutines.
type View struct {
	// Number grows by one with each view of this node; the first is 1.
	Number uint64

	// Members are all members including this node, by join number and then by ID.
	Members []Member

	// Graph is the links that the members want, equal at all nodes with the same members.
	Graph overlay.Graph
}

func (Send) action()      {}
func (CloseLink) action() {}
func (Dial) action()      {}
func (Unspoken) action()  {}
func (Change) action()    {}
func (View) action()      {}

// Member is a node as this node sees it.
type Member struct {
	// Record is what the member says about itself, verified. Its slices and its map
	// must not be written.
	Record frame.Record

	// Self reports that the member is this node.
	Self bool

	// Suspect reports that there was no sign of life for a while.
	Suspect bool

	// Source is the name of what named the member first at this node, as
	// [dial.Source.String] has it; empty for this node.
	Source string

	// Since is when the member was listed here.
	Since time.Time

	// Link is the link to the member, 0 for none, and Addr is its [Link.Addr].
	Link LinkID
	Addr string
}
