package core

import (
	"math/rand/v2"
	"time"

	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Config holds what a [Core] is made of.
type Config struct {
	// Self is this node's ID.
	Self ident.NodeID

	// Record is what this node says about itself: public key, incarnation, name, host,
	// addresses, rings, eligibility, metadata. Version, join number and signature are
	// core's business.
	Record frame.Record

	// Sign signs a record of this node; see [frame.Record.Sign].
	Sign func(*frame.Record) error

	// SuspectAfter and RemoveAfter are the times without a sign of life after which a
	// member is suspected and removed. Defaults 1 s and 3 s.
	SuspectAfter, RemoveAfter time.Duration

	// Seeds are the addresses that the user named, host:port.
	Seeds []string

	// Rand is the source of chance. It serves this Core alone.
	Rand *rand.Rand
}

// LinkID names a link at this node. The caller chooses it: never 0, never twice.
type LinkID uint64

// Link is what is known about a link that came up.
type Link struct {
	ID          LinkID
	Peer        ident.NodeID // proved by the handshake
	Incarnation ident.Incarnation
	Name        string  // from the peer's HELLO
	Tag         [8]byte // of this connection, the same at both ends

	// Dialed reports that this node dialled, DialNumber which [Dial] it was.
	Dialed     bool
	DialNumber uint64

	// Addr is where this node reached the peer; of an inbound link the peer's address
	// with the port on which it says that it listens, or empty if it does not.
	Addr string

	// Source is the one of the Dial; [dial.Inbound] for an inbound link.
	Source dial.Source

	// Serial is the arbiter's number of the link, from its ACCEPT or, at the arbiter,
	// from the [Ruling].
	Serial uint64

	// Join is the join number that the peer's ACCEPT proposed to this node.
	Join uint64
}

// Closed says how a link ended.
type Closed struct {
	By   By         // who closed it; ByNobody if it broke
	Code frame.Code // of the BYE, if there was one
}

// Offer is a connection on which the arbiter has to rule. Its peer is admitted.
type Offer struct {
	Peer        ident.NodeID
	Incarnation ident.Incarnation
	PeerHolds   [8]byte   // Hello.Holds of the peer
	HelloAt     time.Time // when that HELLO was read
	Dialed      bool
	Addr        string
}

// Ruling is the arbiter's answer to an [Offer].
type Ruling struct {
	// OK reports that the connection is to be the link of the pair: the caller sends
	// ACCEPT and calls LinkUp. Otherwise it sends REJECT with [frame.CodeDuplicate].
	OK bool

	// Serial and Join are what that ACCEPT carries.
	Serial, Join uint64
}

// Core decides what a node does about its cluster. It must be used by one goroutine.
type Core struct {
	c   Config
	out []Action
}

// New returns the core of a node that starts now and knows nobody. It fails if the
// record cannot be signed.
func New(now time.Time, c Config) (*Core, error) {
	_ = now
	return &Core{c: c}, nil
}

// Arbitrate rules whether a connection is to be the link of its pair. Only the end
// with the lower ID asks, at the moment in which it would send its ACCEPT.
func (c *Core) Arbitrate(now time.Time, o Offer) Ruling { _, _ = now, o; return Ruling{} }

// Join returns the join number to propose to a peer in the ACCEPT of the end that is
// not the arbiter.
func (c *Core) Join() uint64 { return 0 }

// Holds returns the tag of the link that this node has with a peer now, zero for none,
// as the HELLO to it says.
func (c *Core) Holds(peer ident.NodeID) [8]byte { _ = peer; return [8]byte{} }

// LinkUp tells that both ends accepted a connection.
func (c *Core) LinkUp(now time.Time, l Link) { _, _ = now, l }

// LinkDown tells that a link ended. A link that core closed is reported, too.
func (c *Core) LinkDown(now time.Time, id LinkID, how Closed) { _, _, _ = now, id, how }

// Heard tells that bytes of the peer's process were read from a link at the time at.
func (c *Core) Heard(now time.Time, id LinkID, at time.Time) { _, _, _ = now, id, at }

// Receive takes a control frame from a link: any but Records, which go to Learn after
// they were decoded and verified.
func (c *Core) Receive(now time.Time, id LinkID, f frame.Frame) { _, _, _ = now, id, f }

// Learn takes member records that came over a link. The caller decoded and verified
// them and checked the grammar of their names.
func (c *Core) Learn(now time.Time, id LinkID, rs []frame.Record) { _, _, _ = now, id, rs }

// Found adds an address to try.
func (c *Core) Found(now time.Time, d dial.Candidate) { _, _ = now, d }

// DialDone tells how a [Dial] ended.
func (c *Core) DialDone(now time.Time, number uint64, o dial.Outcome) { _, _, _ = now, number, o }

// Rejected tells that admission ended with a refusal. The user hears of each node once
// in a minute.
func (c *Core) Rejected(now time.Time, r Rejection) { _, _ = now, r }

// SetMeta replaces the metadata of this node. It fails if the record cannot be signed,
// for one because meta exceeds the limits of [frame.CheckMeta].
func (c *Core) SetMeta(now time.Time, meta map[string]string) error { _, _ = now, meta; return nil }

// SetAddrs replaces the addresses of this node. It fails if the record cannot be
// signed.
func (c *Core) SetAddrs(now time.Time, addrs []frame.Addr) error { _, _ = now, addrs; return nil }

// Leave says goodbye: the members learn that this node left, and it dials nobody any
// more. Links stay open, so that what is queued can leave, until Close.
func (c *Core) Leave(now time.Time) { _ = now }

// Close is Leave, and closes every link.
func (c *Core) Close(now time.Time) { _ = now }

// Tick does what is due. It is right to call it late, and what it was late by is
// evidence of a node that was paused.
func (c *Core) Tick(now time.Time) { _ = now }

// Next returns when Tick is due; ok is false if nothing is pending.
func (c *Core) Next() (at time.Time, ok bool) { return time.Time{}, false }

// Take returns what is to be carried out since the last Take, in order.
func (c *Core) Take() []Action {
	out := c.out
	c.out = nil
	return out
}

// Self returns the signed record of this node.
func (c *Core) Self() frame.Record { return c.c.Record }

// RTT returns the smoothed round trip to a linked peer, 0 if there is none yet.
func (c *Core) RTT(peer ident.NodeID) time.Duration { _ = peer; return 0 }
