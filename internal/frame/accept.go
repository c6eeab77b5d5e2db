package frame

import "encoding/binary"

// Accept says that the sender's policy admits the receiver. From the arbiter of the
// pair it also says that this connection is the link.
type Accept struct {
	// Serial is the arbiter's count of links with this peer, from 1 on; 0 from the
	// other end. Of two links of a pair the one with the higher serial counts.
	Serial uint64

	// Join is the join number that the sender proposes to the receiver: 1 above the
	// highest it knows. 0 proposes none.
	Join uint64
}

// Type returns [TypeAccept].
func (Accept) Type() Type { return TypeAccept }

// Append implements [Frame].
func (a Accept) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, TypeAccept)
	dst = binary.BigEndian.AppendUint64(dst, a.Serial)
	dst = binary.BigEndian.AppendUint64(dst, a.Join)
	Seal(dst[start:])
	return dst
}

func decodeAccept(r *reader) Accept {
	a := Accept{Serial: r.u64(), Join: r.u64()}
	r.fields()
	return a
}
