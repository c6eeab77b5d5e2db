package frame

// Repeat is a [Relay] that its origin sends over its own link beyond the numbers of the lane:
// as the answer to [Pull], or because the receiver got the messages without a signature. It
// counts for nothing that [Open] and [Acked] are about, where a Relay of the origin does.
type Repeat struct{ Relay }

// Type returns [TypeRepeat].
func (Repeat) Type() Type { return TypeRepeat }

// Append implements [Frame].
func (b Repeat) Append(dst []byte) []byte {
	start := len(dst)
	dst = b.Relay.Append(dst)
	dst[start] = byte(TypeRepeat)
	return dst
}
