package frame

import (
	"errors"
	"fmt"
)

// Sizes of a frame, in bytes.
const (
	// HeaderSize is the length of the header: type and length.
	HeaderSize = 4

	// PayloadMax is the length of the longest payload. A peer that announces more is
	// in breach of the protocol.
	PayloadMax = 64 << 10

	// Max is the length of the longest frame.
	Max = HeaderSize + PayloadMax
)

// Errors of the decoders.
var (
	// ErrShort asks for more bytes: what is there is the beginning of a frame.
	ErrShort = errors.New("frame: need more bytes")

	// ErrTooLarge reports more than a limit of this package allows.
	ErrTooLarge = errors.New("frame: too large")

	// ErrMalformed reports a payload that is not what its type promises.
	ErrMalformed = errors.New("frame: malformed")

	// ErrUnknown reports a critical frame, or a record version, of a later protocol.
	ErrUnknown = errors.New("frame: unknown")

	// ErrCritical reports a critical field of a later protocol.
	ErrCritical = errors.New("frame: unknown critical field")
)

// Type says how to read a payload. Types 1 to 127 are critical: a node that does not
// know one closes the link. Types from 128 on are optional and ignored where unknown.
type Type uint8

// The frame types of protocol version 1. Numbers between the groups are free for
// later frames of the group; 38 and 39 are set aside for gossip, 40 to 47 for calls and 56 to
// 63 for multicast keys.
const (
	TypeHello  Type = 1 // admission
	TypeAccept Type = 2
	TypeReject Type = 3
	TypeBye    Type = 4

	TypeStreams Type = 5 // streams
	TypeService Type = 6

	TypeProbe        Type = 8 // control
	TypeAck          Type = 9
	TypeProbeRequest Type = 10
	TypeProbeResult  Type = 11
	TypeSuspect      Type = 12
	TypeSuspicion    Type = 13
	TypeRecords      Type = 16
	TypeDigest       Type = 17

	TypeOpen   Type = 24 // data
	TypeAcked  Type = 25
	TypeEvents Type = 26

	TypeRelay  Type = 32 // gossip
	TypeMarks  Type = 33
	TypePull   Type = 34
	TypeGreet  Type = 35
	TypeProof  Type = 36
	TypeRepeat Type = 37

	TypeLead         Type = 48 // elections
	TypePromote      Type = 49
	TypeLeaseReign   Type = 50
	TypeLeaseRule    Type = 51
	TypeLeaseAsk     Type = 52
	TypeLeaseAnswer  Type = 53
	TypeLeaseRelease Type = 54
	TypeLeasePromote Type = 55
)

// Election reports whether frames of type t belong to an election.
func (t Type) Election() bool { return t >= TypeLead && t < 56 }

// Gossip reports whether frames of type t are about broadcasts that members pass on.
func (t Type) Gossip() bool { return t >= TypeRelay && t < 40 }

// Critical reports whether a node that does not know t must close the link.
func (t Type) Critical() bool { return t < 128 }

// typeNames holds the names of the types as docs/wire.md writes them.
//
//nolint:gochecknoglobals // a constant table
var typeNames = [...]string{
	TypeHello:        "HELLO",
	TypeAccept:       "ACCEPT",
	TypeReject:       "REJECT",
	TypeBye:          "BYE",
	TypeStreams:      "STREAMS",
	TypeService:      "SERVICE",
	TypeProbe:        "PROBE",
	TypeAck:          "ACK",
	TypeProbeRequest: "PROBE-REQUEST",
	TypeProbeResult:  "PROBE-RESULT",
	TypeSuspect:      "SUSPECT",
	TypeSuspicion:    "SUSPICION",
	TypeRecords:      "RECORDS",
	TypeDigest:       "DIGEST",
	TypeOpen:         "OPEN",
	TypeAcked:        "ACKED",
	TypeEvents:       "EVENTS",
	TypeRelay:        "RELAY",
	TypeMarks:        "MARKS",
	TypePull:         "PULL",
	TypeGreet:        "GREET",
	TypeProof:        "PROOF",
	TypeRepeat:       "REPEAT",
	TypeLead:         "LEAD",
	TypePromote:      "PROMOTE",
	TypeLeaseReign:   "LEASE-REIGN",
	TypeLeaseRule:    "LEASE-RULE",
	TypeLeaseAsk:     "LEASE-ASK",
	TypeLeaseAnswer:  "LEASE-ANSWER",
	TypeLeaseRelease: "LEASE-RELEASE",
	TypeLeasePromote: "LEASE-PROMOTE",
}

// String returns the name of t, or its number if it has none.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Raw is one frame whose payload is not decoded yet.
type Raw struct {
	Type    Type
	Payload []byte // aliases the input of Next
}

// Next cuts one frame from the front of b and returns it with the number of bytes it
// takes. [ErrShort] asks for more input; [ErrTooLarge], for a payload announced above
// [PayloadMax], is final. Any type passes: [Decode] judges it.
func Next(b []byte) (Raw, int, error) {
	if len(b) < HeaderSize {
		return Raw{}, 0, ErrShort
	}
	n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if n > PayloadMax {
		return Raw{}, 0, ErrTooLarge
	}
	end := HeaderSize + n
	if len(b) < end {
		return Raw{}, 0, ErrShort
	}
	return Raw{Type: Type(b[0]), Payload: b[HeaderSize:end:end]}, end, nil
}

// Frame is any frame but EVENTS: one of the value types [Hello], [Accept], [Reject], [Bye],
// [Probe], [Ack], [ProbeRequest], [ProbeResult], [Suspect], [Suspicion], [Records],
// [Digest], [Open], [Acked], [Relay], [Repeat], [Marks], [Pull], [Greet], [Proof], [Lead],
// [Promote], [LeaseRule], [LeaseAsk], [LeaseAnswer], [LeaseRelease], [LeaseReign], [LeasePromote],
// [Streams] and [Service].
type Frame interface {
	// Type returns the type under which the frame travels.
	Type() Type

	// Append appends the encoding, header included, to dst and returns the longer
	// slice.
	Append(dst []byte) []byte
}

// Decode decodes any frame but EVENTS, which [DecodeEvents] takes. It returns nil
// without an error for an optional frame that it does not know. Errors wrap
// [ErrUnknown], [ErrMalformed], [ErrTooLarge] or [ErrCritical]; all are final.
// Nothing in the frame aliases the payload except the records of [Records] and what a
// [Relay] carries, which [DecodeRelay] decodes without boxing it.
func Decode(raw Raw) (Frame, error) {
	r := reader{b: raw.Payload}
	f := decodeStream(raw.Type, &r)
	if f == nil {
		f = decode(raw.Type, &r)
	}
	if f == nil {
		if raw.Type.Critical() {
			return nil, fmt.Errorf("%w: %v frame", ErrUnknown, raw.Type)
		}
		return nil, nil
	}
	if err := r.close(raw.Type.String()); err != nil {
		return nil, err
	}
	return f, nil
}

// decode reads the payload of a frame of type t; it returns nil if t is unknown.
// What it returns is worth nothing if r failed.
func decode(t Type, r *reader) Frame {
	switch t {
	case TypeHello:
		return decodeHello(r)
	case TypeReject:
		return decodeReject(r)
	case TypeBye:
		return decodeBye(r)
	case TypeRecords:
		return decodeRecords(r)
	case TypeDigest:
		return Digest{Hash: r.u64()}
	case TypeOpen:
		return decodeOpen(r)
	case TypeAcked:
		return Acked{Lane: r.lane(), Number: r.seq()}
	default: // a probe's; an election's; gossip; EVENTS, which DecodeEvents takes; or unknown
		return decodeProbes(t, r)
	}
}

// decodeProbes is decode for the frames with which members watch each other.
func decodeProbes(t Type, r *reader) Frame {
	switch t {
	case TypeProbe:
		return Probe{Number: r.u64()}
	case TypeAck:
		return Ack{Number: r.u64()}
	case TypeProbeRequest:
		return decodeProbeRequest(r)
	case TypeProbeResult:
		return ProbeResult{Number: r.u64(), Alive: r.flag()}
	case TypeSuspect:
		return decodeSuspect(r)
	case TypeSuspicion:
		return decodeSuspicion(r)
	default:
		return decodeElection(t, r)
	}
}

// decodeGossip is decode for the frames of gossip.
func decodeGossip(t Type, r *reader) Frame {
	switch t {
	case TypeRelay:
		return decodeRelay(r)
	case TypeMarks:
		return decodeMarks(r)
	case TypePull:
		return decodePull(r)
	case TypeGreet:
		return decodeGreet(r)
	case TypeProof:
		return decodeProof(r)
	case TypeRepeat:
		return Repeat{decodeRelay(r)}
	default:
		return nil
	}
}

// decodeStream is decode for the frames of streams. It is asked first: they are decoded on
// goroutines that have just begun, whose stacks the chain of the others would outgrow.
func decodeStream(t Type, r *reader) Frame {
	switch t {
	case TypeService:
		return decodeService(r)
	case TypeAccept:
		return decodeAccept(r)
	case TypeStreams:
		return decodeStreams(r)
	default:
		return nil
	}
}

// decodeElection is decode for the frames of elections.
func decodeElection(t Type, r *reader) Frame {
	switch t {
	case TypeLead:
		return decodeLead(r)
	case TypePromote:
		return decodePromote(r)
	case TypeLeaseReign:
		return decodeLeaseReign(r)
	case TypeLeaseRule:
		return decodeLeaseRule(r)
	case TypeLeaseAsk:
		return decodeLeaseAsk(r)
	case TypeLeaseAnswer:
		return decodeLeaseAnswer(r)
	case TypeLeaseRelease:
		return decodeLeaseRelease(r)
	case TypeLeasePromote:
		return decodeLeasePromote(r)
	default:
		return decodeGossip(t, r)
	}
}

// begin appends the header of a frame whose payload follows; [Seal] fills in the
// length.
func begin(dst []byte, t Type) []byte { return append(dst, byte(t), 0, 0, 0) }

// Seal completes a frame that was written piece by piece: it puts the length of its
// payload into its header. The frame is all of b. It panics if the payload exceeds
// [PayloadMax], because the writer had to look before it appended.
func Seal(b []byte) {
	n := len(b) - HeaderSize
	if n < 0 || n > PayloadMax {
		//nolint:forbidigo // broken invariant: the peer would close the link
		panic(fmt.Sprintf("frame: seal a frame of %d bytes, limit %d", len(b), Max))
	}
	b[1], b[2], b[3] = byte(n>>16), byte(n>>8), byte(n)
}
