package frame

import (
	"encoding/binary"

	"github.com/espial-go/espial/internal/ident"
)

// Probe asks the receiver to answer with an [Ack] of the same number, at once and from
// the process itself: a kernel that buffers for a stopped process answers nothing.
type Probe struct {
	// Number is the sender's choice; it ties the answer to the question.
	Number uint64
}

// Type returns [TypeProbe].
func (Probe) Type() Type { return TypeProbe }

// Append implements [Frame].
func (p Probe) Append(dst []byte) []byte { return appendNumber(dst, TypeProbe, p.Number) }

// Ack answers a [Probe].
type Ack struct {
	// Number is the one of the probe.
	Number uint64
}

// Type returns [TypeAck].
func (Ack) Type() Type { return TypeAck }

// Append implements [Frame].
func (a Ack) Append(dst []byte) []byte { return appendNumber(dst, TypeAck, a.Number) }

// ProbeRequest asks the receiver to probe a third member for the sender and to answer
// with a [ProbeResult] (SWIM, Das et al. 2002, section 3.1: the indirect probe).
type ProbeRequest struct {
	// Number is the sender's choice; it ties the answer to the question.
	Number uint64

	// Target and Incarnation name whom to probe.
	Target      ident.NodeID
	Incarnation ident.Incarnation
}

// Type returns [TypeProbeRequest].
func (ProbeRequest) Type() Type { return TypeProbeRequest }

// Append implements [Frame].
func (p ProbeRequest) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendNumber(dst, TypeProbeRequest, p.Number)
	dst = append(dst, p.Target[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Incarnation))
	Seal(dst[start:])
	return dst
}

func decodeProbeRequest(r *reader) ProbeRequest {
	return ProbeRequest{Number: r.u64(), Target: r.nodeID(), Incarnation: r.incarnation()}
}

// ProbeResult answers a [ProbeRequest].
type ProbeResult struct {
	// Number is the one of the request.
	Number uint64

	// Alive reports that the target answered.
	Alive bool
}

// Type returns [TypeProbeResult].
func (ProbeResult) Type() Type { return TypeProbeResult }

// Append implements [Frame].
func (p ProbeResult) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendNumber(dst, TypeProbeResult, p.Number)
	dst = appendFlag(dst, p.Alive)
	Seal(dst[start:])
	return dst
}

// appendNumber appends a frame of type t whose payload is one number.
func appendNumber(dst []byte, t Type, n uint64) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(begin(dst, t), n)
	Seal(dst[start:])
	return dst
}
