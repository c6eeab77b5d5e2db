package member

import (
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Action is what the caller must report or do. It is one of the value types of this
// package: the changes are for the user, the rest is work.
type Action interface{ action() }

// Want asks the caller to dial a node that others told of, each time they do. The record
// is not proven to be of the present: pin the ID and believe the handshake.
type Want struct {
	ID          ident.NodeID
	Incarnation ident.Incarnation
	Addrs       []frame.Addr // as in the record; the caller checks their grammar
}

// Forget asks the caller to stop dialling a node that was lost: its incarnation is over
// or too many were lost after it.
type Forget struct{ ID ident.NodeID }

// Refuted asks the caller to tell the failure detector that a suspect has spoken or, in a
// partial mesh, any member: perhaps somebody is about to be suspected.
type Refuted struct{ ID ident.NodeID }

// SelfChanged asks the caller to send [Table.Self] to every linked member.
type SelfChanged struct{}

// Announce asks the caller to send one record to every linked member except one, which
// is where it comes from.
type Announce struct {
	Raw    []byte // shared: never written to
	Except ident.NodeID
}

// Inform asks the caller to send one record to a linked member.
type Inform struct {
	To  ident.NodeID
	Raw []byte // shared: never written to
}

// Accuse asks the caller to state, with its signature, that an incarnation is gone here or
// in doubt: to a linked member, or to all of them if To is zero.
type Accuse struct {
	To          ident.NodeID
	ID          ident.NodeID
	Incarnation ident.Incarnation
	Version     uint64 // of the record that is known here
	Refused     bool   // more than silence tells so
}

// Sync asks the caller to send [Table.Records] to a linked member.
type Sync struct{ To ident.NodeID }

// Digest asks the caller to send [Table.Hash], which is Hash, to a linked member.
type Digest struct {
	To   ident.NodeID
	Hash uint64
}

func (Want) action()        {}
func (Forget) action()      {}
func (Refuted) action()     {}
func (SelfChanged) action() {}
func (Announce) action()    {}
func (Inform) action()      {}
func (Accuse) action()      {}
func (Sync) action()        {}
func (Digest) action()      {}
