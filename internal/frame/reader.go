package frame

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/espial-go/espial/internal/ident"
)

// reader takes values from the front of a payload. The first value that does not fit
// fails it: from then on it yields zeros, and close reports why.
type reader struct {
	b   []byte // what is left
	err error  // sentinel of the first failure
	why string // its detail
}

// fail records the first failure.
func (r *reader) fail(err error, format string, args ...any) {
	if r.err == nil {
		r.err, r.why = err, fmt.Sprintf(format, args...)
	}
	r.b = nil
}

// close returns the first failure, or a failure if anything is left over. The name
// says what was being read.
func (r *reader) close(name string) error {
	if len(r.b) > 0 {
		r.fail(ErrMalformed, "%d bytes too many", len(r.b))
	}
	if r.err != nil {
		return fmt.Errorf("%w: %s: %s", r.err, name, r.why)
	}
	return nil
}

// take returns the next n bytes, which alias the input, or nil.
func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail(ErrMalformed, "ends early")
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// uvarint reads an integer in its shortest form.
func (r *reader) uvarint() uint64 {
	v, n := uvarint(r.b)
	if n == 0 {
		r.fail(ErrMalformed, "bad integer of variable length")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes reads a length and that many bytes, at most limit; they alias the input.
func (r *reader) bytes(what string, limit int) []byte {
	n := r.uvarint()
	if n > uint64(limit) {
		r.fail(ErrTooLarge, "%s of %d bytes, limit %d", what, n, limit)
		return nil
	}
	return r.take(int(n))
}

// str reads a string of at most limit bytes.
func (r *reader) str(what string, limit int) string { return string(r.bytes(what, limit)) }

// flag reads a byte that is 0 or 1.
func (r *reader) flag() bool {
	v := r.u8()
	if v > 1 {
		r.fail(ErrMalformed, "flag is %d", v)
	}
	return v == 1
}

func (r *reader) seq() ident.Seq { return ident.Seq(r.u64()) }

func (r *reader) term() ident.Term { return ident.Term(r.u64()) }

// election reads the name of an election.
func (r *reader) election() string { return r.str("election", ElectionMax) }

// nodeID reads a node's ID, which is not zero.
func (r *reader) nodeID() (id ident.NodeID) {
	copy(id[:], r.take(len(id)))
	if id.IsZero() {
		r.fail(ErrMalformed, "node ID is zero")
	}
	return id
}

// incarnation refuses 0, which means none, and the highest number, so that nothing
// that counts or compares incarnations can be pinned to its end.
func (r *reader) incarnation() ident.Incarnation {
	v := r.u64()
	if v == 0 || v == math.MaxUint64 {
		r.fail(ErrMalformed, "incarnation is %016x", v)
	}
	return ident.Incarnation(v)
}

// lane reads the number of a lane.
func (r *reader) lane() Lane {
	v := Lane(r.u8())
	if v > Calls {
		r.fail(ErrMalformed, "lane is %d", v)
	}
	return v
}

// uvarint reads an integer of variable length from the front of b and returns it with
// its length, which is 0 if there is none or if it is not in its shortest form.
func uvarint(b []byte) (v uint64, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	v, n = binary.Uvarint(b)
	if n <= 0 || b[n-1] == 0 {
		return 0, 0
	}
	return v, n
}

// uvarintLen returns the length of v as an integer of variable length.
func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// appendStr appends the length of s and s.
func appendStr[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendFlag appends 1 for true and 0 for false.
func appendFlag(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}
