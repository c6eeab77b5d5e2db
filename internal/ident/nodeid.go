package ident

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
)

// Lengths of the text form of a [NodeID], in characters.
const (
	textLen  = 52 // 256 bits at 5 bits a character
	shortLen = 16 // 80 bits: no two nodes of a cluster share them by accident
)

// ErrNodeID reports text that is not the text form of a [NodeID].
var ErrNodeID = errors.New("ident: malformed node ID")

// base32Lower is the alphabet of RFC 4648, section 6, in lower case and without
// padding: readable aloud, safe in file names, URLs and DNS labels.
//
//nolint:gochecknoglobals // a constant table: base32 encodings have no literal form
var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NodeID names a node: the SHA-256 of its public key in the DER form that
// [Key.Public] returns. The zero NodeID names nobody.
type NodeID [sha256.Size]byte

// IDOf returns the ID of the node whose public key is pub, in the DER form that
// [Key.Public] returns. It does not check pub.
func IDOf(pub []byte) NodeID { return sha256.Sum256(pub) }

// ParseNodeID is the inverse of [NodeID.String]. A node has one text form: upper
// case, padding and the 16 characters of [NodeID.Short] are refused with an error
// that wraps [ErrNodeID].
func ParseNodeID(s string) (NodeID, error) {
	var id NodeID
	err := id.UnmarshalText([]byte(s))
	return id, err
}

// String returns the full text form: 52 characters of lower-case base32.
func (id NodeID) String() string { return base32Lower.EncodeToString(id[:]) }

// Short returns the first 16 characters of [NodeID.String], for people. Programs
// compare whole IDs: an attacker can make two keys that share 80 bits.
func (id NodeID) Short() string { return base32Lower.EncodeToString(id[:shortLen*5/8]) }

// Compare returns -1, 0 or +1 as id sorts before, with or after other, bytewise.
// The text forms do not sort alike: the alphabet puts digits after letters.
func (id NodeID) Compare(other NodeID) int { return bytes.Compare(id[:], other[:]) }

// IsZero reports whether id names nobody.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// MarshalText returns [NodeID.String]; the error is always nil.
func (id NodeID) MarshalText() ([]byte, error) {
	return base32Lower.AppendEncode(make([]byte, 0, textLen), id[:]), nil
}

// UnmarshalText sets id as [ParseNodeID] does and leaves it alone on error.
func (id *NodeID) UnmarshalText(text []byte) error {
	if len(text) != textLen {
		return fmt.Errorf("%w: %d characters, want %d", ErrNodeID, len(text), textLen)
	}
	// The decoder skips line breaks and ignores the last 4 bits; the length and the
	// comparison below leave one text for one ID.
	var got NodeID
	var raw [textLen * 5 / 8]byte
	n, err := base32Lower.Decode(raw[:], text)
	copy(got[:], raw[:])
	if err != nil || n != len(got) || !bytes.Equal(base32Lower.AppendEncode(nil, got[:]), text) {
		return fmt.Errorf("%w: %q", ErrNodeID, text)
	}
	*id = got
	return nil
}
