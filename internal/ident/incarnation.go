package ident

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ErrIncarnation reports text that is not the text form of an [Incarnation].
var ErrIncarnation = errors.New("ident: malformed incarnation")

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

// ParseIncarnation is the inverse of [Incarnation.String]. It refuses everything but
// 16 lower-case hexadecimal digits with an error that wraps [ErrIncarnation].
func ParseIncarnation(s string) (Incarnation, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || Incarnation(n).String() != s {
		return 0, fmt.Errorf("%w: %q", ErrIncarnation, s)
	}
	return Incarnation(n), nil
}

// String returns the text form: 16 lower-case hexadecimal digits. It is text in JSON
// too, because a number there is exact to 53 bits only.
func (i Incarnation) String() string { return fmt.Sprintf("%016x", uint64(i)) }

// MarshalText returns [Incarnation.String]; the error is always nil.
func (i Incarnation) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText sets i as [ParseIncarnation] does and leaves it alone on error.
func (i *Incarnation) UnmarshalText(text []byte) error {
	got, err := ParseIncarnation(string(text))
	if err != nil {
		return err
	}
	*i = got
	return nil
}

// Seq numbers the messages of one sender in one incarnation, from 1 on without gaps.
// Zero means before the first. Its text form is decimal. At a million messages a
// second it lasts for half a million years, so nobody handles its overflow.
type Seq uint64

// Term numbers the reigns of leaders and only grows; zero means no leader yet. Its
// text form is decimal, and it stays below 2^53 because it follows the clock in
// milliseconds, so it is exact as a JSON number.
type Term uint64
