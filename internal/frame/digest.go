package frame

// Digest compares member tables: a receiver whose table hashes to something else
// answers with its [Records], and the sender does the same.
type Digest struct {
	// Hash is the one of the sender's table; 0 asks for nothing.
	Hash uint64
}

// Type returns [TypeDigest].
func (Digest) Type() Type { return TypeDigest }

// Append implements [Frame].
func (d Digest) Append(dst []byte) []byte { return appendNumber(dst, TypeDigest, d.Hash) }
