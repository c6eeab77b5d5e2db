package ident

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Incarnation names one start of a node: 64 random bits, so that a restarted node is
// never taken for its former self and no state has to survive on disk. Incarnations
// have no order. The zero Incarnation means none.
type Incarnation uint64

// NewIncarnation draws an incarnation from rand, never zero. It fails only if rand
// does, or if rand gives nothing but zeros.
func NewIncarnation(rand io.Reader) (Incarnation, error) {
	var b [8]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return 0, fmt.Errorf("ident: incarnation: %w", err)
	}
	inc := Incarnation(binary.BigEndian.Uint64(b[:]))
	if inc == 0 {
		// Chance would need 2^64 tries for this; a broken source needs one.
		return 0, errors.New("ident: incarnation: random source gave 64 zero bits")
	}
	return inc, nil
}

// String returns the text form: 16 lower-case hexadecimal digits. It is text in JSON
// too, because a number there is exact to 53 bits only.
func (i Incarnation) String() string { return fmt.Sprintf("%016x", uint64(i)) }

// Seq numbers the messages of one sender in one incarnation, from 1 on without gaps.
// Zero means before the first. Its text form is decimal. At a million messages a
// second it lasts for half a million years, so nobody handles its overflow.
type Seq uint64

// Term numbers the reigns of leaders and only grows; zero means no leader yet. Its
// text form is decimal, and it stays below 2^53 because it follows the clock in
// milliseconds, so it is exact as a JSON number.
type Term uint64
