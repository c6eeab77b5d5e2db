package frame

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/espial-go/espial/internal/ident"
)

// relayLabel begins what the origin of a batch signs, so that a signature made for a batch
// serves nowhere else.
const relayLabel = "espial relay v1\x00"

// Bits of the flags in RELAY and PROOF.
const (
	proofContinues = 1 << iota // First goes on with a message
	proofMore                  // a message goes on behind Last; in PROOF alone
)

// Proof is what is left of a batch that nobody keeps any more: what its origin signed, with
// the hash in place of the frames. It proves how far the origin came, so that whoever
// missed the batch can tell how much that is.
type Proof struct {
	// Origin and Incarnation name the start of the node that published.
	Origin      ident.NodeID
	Incarnation ident.Incarnation

	// First and Last are the first and the last number of the batch, Message is the number
	// of the message that First belongs to; see [Events].
	First, Last, Message ident.Seq

	// Whole is the last message that is complete with this batch: with the batches before
	// it, if it continues a message. It is Message-1 if none is.
	Whole ident.Seq

	// Continues reports that First is a piece of a message whose first piece came in an
	// earlier batch, and More that Last is one of a message that goes on in the next.
	Continues, More bool

	Hash      [sha256.Size]byte // of the frames
	Signature []byte            // at most [SignatureMax] bytes
}

// Type returns [TypeProof].
func (Proof) Type() Type { return TypeProof }

// Append implements [Frame].
func (p Proof) Append(dst []byte) []byte {
	start := len(dst)
	dst = p.appendSigned(begin(dst, TypeProof))
	dst = appendStr(dst, p.Signature)
	Seal(dst[start:])
	return dst
}

// appendSigned appends what the origin signs behind the label.
func (p *Proof) appendSigned(dst []byte) []byte {
	dst = append(dst, p.Origin[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Incarnation))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.First))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Last))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Message))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Whole))
	var flags byte
	if p.Continues {
		flags |= proofContinues
	}
	if p.More {
		flags |= proofMore
	}
	dst = append(dst, flags)
	return append(dst, p.Hash[:]...)
}

// Verify checks the signature with the public key of the origin, as [ident.Key.Public]
// returns it. It costs 40 µs or more, so it belongs off the owner goroutine. It returns nil
// or an error that wraps [ident.ErrKeyType] or [ident.ErrSignature], which a key of another
// node is, too.
func (p Proof) Verify(public []byte) error {
	if err := verify(p.Origin, public, p.appendSigned([]byte(relayLabel)), p.Signature); err != nil {
		return fmt.Errorf("frame: batch %d to %d of %s: %w", p.First, p.Last, p.Origin.Short(), err)
	}
	return nil
}

// verify checks a signature of the node by with what is said to be its public key.
func verify(by ident.NodeID, public, msg, signature []byte) error {
	if ident.IDOf(public) != by {
		return ident.ErrSignature
	}
	return ident.Verify(public, msg, signature)
}

func decodeProof(r *reader) Proof {
	p := Proof{
		Origin: r.nodeID(), Incarnation: r.incarnation(),
		First: r.seq(), Last: r.seq(), Message: r.seq(), Whole: r.seq(),
	}
	flags := r.u8()
	if flags&^(proofContinues|proofMore) != 0 {
		r.fail(ErrMalformed, "flags are %08b", flags)
	}
	p.Continues, p.More = flags&proofContinues != 0, flags&proofMore != 0
	copy(p.Hash[:], r.take(len(p.Hash)))
	p.Signature = append([]byte{}, r.bytes("signature", SignatureMax)...)
	r.fields()
	switch {
	case r.err != nil:
	case p.First == 0 || p.Last < p.First || p.Last+1 == 0 || p.Message == 0 || p.Message > p.First:
		r.fail(ErrMalformed, "batch %d to %d begins with message %d", p.First, p.Last, p.Message)
	case p.Whole+1 < p.Message || p.Whole-(p.Message-1) > p.Last-p.First+1:
		r.fail(ErrMalformed, "batch %d to %d, messages %d to %d", p.First, p.Last, p.Message, p.Whole)
	}
	return p
}
