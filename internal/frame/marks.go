package frame

import (
	"encoding/binary"
	"math"

	"github.com/espial-go/espial/internal/ident"
)

// MarksMax is the number of marks in one frame.
const MarksMax = 1000

// Marks says how far its sender has come with the broadcasts of some origins: the digest
// by which neighbours find what they miss. Nobody signs it, so it is a hint and proves
// nothing.
type Marks struct {
	// Greeting answers [Greet]: the marks say how far the sender was when the receiver's
	// first link came up. Otherwise they say how far it is.
	Greeting bool

	// List holds 1 to [MarksMax] marks.
	List []Mark
}

// Mark is how far somebody has come with one origin.
type Mark struct {
	Origin      ident.NodeID
	Incarnation ident.Incarnation

	// First is the lowest number that can be pulled from the sender, and Last the highest up
	// to which it misses nothing that it still hopes for. If it has nothing to give, First
	// is Last+1.
	First, Last ident.Seq

	// Message is the message that number Last+1 belongs to; see [Events].
	Message ident.Seq
}

// Type returns [TypeMarks].
func (Marks) Type() Type { return TypeMarks }

// Append implements [Frame].
func (m Marks) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendFlag(begin(dst, TypeMarks), m.Greeting) // bit 0 of the flags
	dst = binary.AppendUvarint(dst, uint64(len(m.List)))
	for _, k := range m.List {
		dst = append(dst, k.Origin[:]...)
		dst = binary.BigEndian.AppendUint64(dst, uint64(k.Incarnation))
		dst = binary.BigEndian.AppendUint64(dst, uint64(k.First))
		dst = binary.BigEndian.AppendUint64(dst, uint64(k.Last))
		dst = binary.BigEndian.AppendUint64(dst, uint64(k.Message))
	}
	Seal(dst[start:])
	return dst
}

func decodeMarks(r *reader) Marks {
	m := Marks{Greeting: r.flag()}
	n := r.uvarint()
	switch {
	case n == 0:
		r.fail(ErrMalformed, "no mark")
	case n > MarksMax:
		r.fail(ErrTooLarge, "%d marks, limit %d", n, MarksMax)
	}
	for ; n > 0 && r.err == nil; n-- {
		m.List = append(m.List, r.mark())
	}
	r.fields()
	return m
}

func (r *reader) mark() Mark {
	m := Mark{
		Origin: r.nodeID(), Incarnation: r.incarnation(), First: r.seq(), Last: r.seq(), Message: r.seq(),
	}
	next := m.Last + 1
	if m.Last == math.MaxUint64 || m.First == 0 || m.First > next || m.Message == 0 || m.Message > next {
		r.fail(ErrMalformed, "mark from %d to %d, then message %d", m.First, m.Last, m.Message)
	}
	return m
}
