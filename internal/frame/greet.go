package frame

import (
	"encoding/binary"
	"math"
	"time"
)

// Greet asks a new neighbour for its [Marks] of all origins, as the first of gossip on
// a link.
type Greet struct {
	// Age is how long ago the sender's first link came up, so that it can be told how far
	// others were then: a newcomer begins there, whomever it links with later. It travels
	// in whole microseconds, cut at an hour and more.
	Age time.Duration
}

// Type returns [TypeGreet].
func (Greet) Type() Type { return TypeGreet }

// Append implements [Frame].
func (g Greet) Append(dst []byte) []byte {
	start := len(dst)
	age := min(max(g.Age/time.Microsecond, 0), math.MaxUint32)
	dst = binary.BigEndian.AppendUint32(begin(dst, TypeGreet), uint32(age))
	Seal(dst[start:])
	return dst
}

func decodeGreet(r *reader) Greet {
	g := Greet{Age: time.Duration(r.u32()) * time.Microsecond}
	r.fields()
	return g
}
