package frame

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/espial-go/espial/internal/ident"
)

// suspicionLabel begins what an accuser signs, so that a signature made for a suspicion
// serves nowhere else.
const suspicionLabel = "espial suspicion v1\x00"

// Suspicion is what [Suspect] says, for those who have no link with the accuser. Members
// pass it on unchanged, and every receiver can tell by the signature whose word it is. The
// target answers with a higher version of its record, which takes the same ways.
type Suspicion struct {
	// Target and Incarnation name the member, Version its record that By has: a higher one
	// refutes the suspicion.
	Target      ident.NodeID
	Incarnation ident.Incarnation
	Version     uint64

	// Refused reports more than silence: By's link to the member closed and a redial was
	// refused, or another incarnation answered.
	Refused bool

	By        ident.NodeID // the accuser
	Signature []byte       // at most [SignatureMax] bytes; nil until Sign
}

// Statement is what makes one suspicion another one than the last: the same words come over
// many links, and count once.
type Statement struct {
	By, Target  ident.NodeID
	Incarnation ident.Incarnation
	Version     uint64
	Refused     bool
}

// Statement returns what the suspicion says.
func (s *Suspicion) Statement() Statement {
	return Statement{s.By, s.Target, s.Incarnation, s.Version, s.Refused}
}

// Type returns [TypeSuspicion].
func (Suspicion) Type() Type { return TypeSuspicion }

// Append implements [Frame].
func (s Suspicion) Append(dst []byte) []byte {
	start := len(dst)
	dst = s.appendSigned(begin(dst, TypeSuspicion))
	dst = appendStr(dst, s.Signature)
	Seal(dst[start:])
	return dst
}

// appendSigned appends what the accuser signs behind the label.
func (s *Suspicion) appendSigned(dst []byte) []byte {
	dst = append(dst, s.Target[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.Incarnation))
	dst = binary.BigEndian.AppendUint64(dst, s.Version)
	dst = appendFlag(dst, s.Refused)
	return append(dst, s.By[:]...)
}

// Sign sets the signature; sign is [ident.Key.Sign] of the key of By. It fails if sign does,
// or with an error that wraps [ErrTooLarge] if peers would refuse the signature, and changes
// nothing then.
func (s *Suspicion) Sign(sign func(msg []byte) ([]byte, error)) error {
	sig, err := sign(s.appendSigned([]byte(suspicionLabel)))
	if err != nil {
		return fmt.Errorf("frame: sign suspicion: %w", err)
	}
	if len(sig) > SignatureMax {
		return fmt.Errorf("%w: signature of %d bytes, limit %d", ErrTooLarge, len(sig), SignatureMax)
	}
	s.Signature = sig
	return nil
}

// Verify checks the signature with the public key of the accuser, as [ident.Key.Public]
// returns it. It costs 40 µs or more, so it belongs off the owner goroutine and behind the
// question whether the suspicion is news. It returns nil or an error that wraps
// [ident.ErrKeyType] or [ident.ErrSignature], which a key of another node is, too.
func (s Suspicion) Verify(public []byte) error {
	if err := verify(s.By, public, s.appendSigned([]byte(suspicionLabel)), s.Signature); err != nil {
		return fmt.Errorf("frame: suspicion of %s by %s: %w", s.Target.Short(), s.By.Short(), err)
	}
	return nil
}

func decodeSuspicion(r *reader) Suspicion {
	s := Suspicion{
		Target: r.nodeID(), Incarnation: r.incarnation(), Version: r.u64(), Refused: r.flag(), By: r.nodeID(),
	}
	s.Signature = append([]byte{}, r.bytes("signature", SignatureMax)...)
	r.fields()
	switch {
	case r.err != nil:
	case s.Target == s.By:
		r.fail(ErrMalformed, "%s suspects itself", s.By.Short())
	case s.Version == math.MaxUint64:
		r.fail(ErrMalformed, "version %016x leaves no next one", s.Version)
	}
	return s
}
