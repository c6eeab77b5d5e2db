package fault

import "github.com/espial-go/espial/internal/ident"

// Action is what the caller must do or tell. It is one of the value types of this file.
type Action interface{ action() }

// Probe asks the caller to send a probe with Number on the link of ID, and to pass the
// number of the ack that comes back to [Detector.Acked].
type Probe struct {
	ID     ident.NodeID
	Number uint64
}

// Request asks the caller to send Helper a request with Number to probe Target, and to
// pass what it answers to [Detector.Result]. Requests of one round share a number.
type Request struct {
	Helper      ident.NodeID
	Target      ident.NodeID
	Incarnation ident.Incarnation // of Target
	Number      uint64
}

// Answer asks the caller to answer the request Number of member To. Alive says that the
// target was heard after the request came.
type Answer struct {
	To     ident.NodeID
	Number uint64
	Alive  bool
}

// Tell asks the caller to tell every linked member, the suspect included, that this node
// suspects ID. Refused says that its link closed and a redial was refused.
type Tell struct {
	ID          ident.NodeID
	Incarnation ident.Incarnation
	Refused     bool
}

// Redial asks the caller to dial ID at once: somebody found its address refusing. The
// caller reports a refusal to [Detector.Refused].
type Redial struct{ ID ident.NodeID }

// Refute asks the caller to raise the version of this node's own record and to send it
// to all: somebody suspects this node.
type Refute struct{}

// Suspect reports that ID is suspect from now on.
type Suspect struct{ ID ident.NodeID }

// Alive reports that ID is not suspect any more.
type Alive struct{ ID ident.NodeID }

// Dead reports that ID is dead. The detector has forgotten it; a [Suspect] came before.
// Silent says that nothing but silence tells so: no link of it was closed by its end and
// no redial was refused, as after a cut; of one that is not watched, nobody who watches it
// said so.
type Dead struct {
	ID     ident.NodeID
	Silent bool
}

// Passed reports that the trial of ID is over: its link loses next to nothing. See
// [Detector.Try].
type Passed struct{ ID ident.NodeID }

func (Probe) action()   {}
func (Request) action() {}
func (Answer) action()  {}
func (Tell) action()    {}
func (Redial) action()  {}
func (Refute) action()  {}
func (Suspect) action() {}
func (Alive) action()   {}
func (Dead) action()    {}
func (Passed) action()  {}
