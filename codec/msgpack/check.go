package msgpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// nestedMax bounds how deep arrays and maps are nested. The library has no limit and one
// call for each level, so that a large event could end the program: a stack that is full
// is no panic that anybody can recover.
const nestedMax = 1000

// Errors of the check.
var (
	errNested    = fmt.Errorf("msgpack: nested more than %d deep", nestedMax)
	errMalformed = errors.New("msgpack: malformed")
	errText      = errors.New("msgpack: text that is not UTF-8")
	errExtension = errors.New("msgpack: an extension other than the timestamp")
)

// checker walks a value, so that the library allocates nothing for elements that are
// announced and not there.
type checker struct {
	data []byte
	at   int // how far it got

	// The library takes an extension where it expects a map for a map inside it, and reads
	// on in the middle of it: out of step with what was checked. Timestamps that look like
	// one are therefore written anew, and what is written so far is here.
	written []byte
	from    int // what of data is not in written
}

// check returns data, one value, in a form that is safe to decode: data itself in all but
// the rarest cases.
func check(data []byte) ([]byte, error) {
	c := checker{data: data}
	if err := c.value(0); err != nil {
		return nil, err
	}
	switch {
	case c.at != len(data):
		return nil, errMalformed
	case c.written != nil:
		return append(c.written, data[c.from:]...), nil
	}
	return data, nil
}

// skip moves on by n bytes.
func (c *checker) skip(n uint64) error {
	if n > uint64(len(c.data)-c.at) {
		return errMalformed
	}
	c.at += int(n)
	return nil
}

// uint reads an integer of size bytes.
func (c *checker) uint(size int) (n uint64, err error) {
	if err := c.skip(uint64(size)); err != nil {
		return 0, err
	}
	for _, b := range c.data[c.at-size : c.at] {
		n = n<<8 | uint64(b)
	}
	return n, nil
}

// value checks one value, inside depth others.
func (c *checker) value(depth int) error {
	code, err := c.uint(1)
	if err != nil {
		return err
	}
	switch b := byte(code); {
	case msgpcode.IsFixedNum(b):
		return nil
	case msgpcode.IsFixedString(b):
		return c.text(uint64(b & msgpcode.FixedStrMask))
	case msgpcode.IsFixedArray(b):
		return c.values(uint64(b&msgpcode.FixedArrayMask), depth)
	case msgpcode.IsFixedMap(b):
		return c.values(2*uint64(b&msgpcode.FixedMapMask), depth)
	case msgpcode.IsFixedExt(b):
		return c.extension(c.at-1, 1<<(b-msgpcode.FixExt1))
	default:
		return c.long(b, depth)
	}
}

// long checks a value whose code is followed by its bytes, or by their number.
func (c *checker) long(code byte, depth int) error {
	switch code {
	case msgpcode.Nil, msgpcode.False, msgpcode.True:
		return nil
	case msgpcode.Uint8, msgpcode.Int8:
		return c.skip(1)
	case msgpcode.Uint16, msgpcode.Int16:
		return c.skip(2)
	case msgpcode.Uint32, msgpcode.Int32, msgpcode.Float:
		return c.skip(4)
	case msgpcode.Uint64, msgpcode.Int64, msgpcode.Double:
		return c.skip(8)
	}
	begin := c.at - 1
	n, err := c.uint(lengthBytes(code))
	if err != nil {
		return err
	}
	switch code {
	case msgpcode.Str8, msgpcode.Str16, msgpcode.Str32:
		return c.text(n)
	case msgpcode.Bin8, msgpcode.Bin16, msgpcode.Bin32:
		return c.skip(n)
	case msgpcode.Array16, msgpcode.Array32:
		return c.values(n, depth)
	case msgpcode.Map16, msgpcode.Map32:
		return c.values(2*n, depth)
	case msgpcode.Ext8, msgpcode.Ext16, msgpcode.Ext32:
		return c.extension(begin, n)
	}
	return errMalformed
}

// lengthBytes returns the size of the length that follows a code.
func lengthBytes(code byte) int {
	switch code {
	case msgpcode.Str8, msgpcode.Bin8, msgpcode.Ext8:
		return 1
	case msgpcode.Str16, msgpcode.Bin16, msgpcode.Ext16, msgpcode.Array16, msgpcode.Map16:
		return 2
	case msgpcode.Str32, msgpcode.Bin32, msgpcode.Ext32, msgpcode.Array32, msgpcode.Map32:
		return 4
	}
	return 0
}

// values checks the n values of an array or a map.
func (c *checker) values(n uint64, depth int) error {
	if depth == nestedMax {
		return errNested
	}
	for range n { // each takes a byte at least, so this ends with the bytes
		if err := c.value(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// text checks a text of n bytes.
func (c *checker) text(n uint64) error {
	begin := c.at
	if err := c.skip(n); err != nil {
		return err
	}
	if !utf8.Valid(c.data[begin:c.at]) {
		return errText
	}
	return nil
}

// The timestamp, an extension of type −1: seconds, or 30 bits of nanoseconds and 34 of
// seconds, or both in full.
const (
	timeType    = 0xff
	secondsSize = 4
	packedSize  = 8
	fullSize    = 12
	secondsBits = 34
	nanosMax    = 999_999_999
)

// extension checks the n bytes of an extension whose code is at begin.
func (c *checker) extension(begin int, n uint64) error {
	typ, err := c.uint(1)
	switch {
	case err != nil:
		return err
	case typ != timeType || n != secondsSize && n != packedSize && n != fullSize:
		return errExtension
	}
	if err := c.skip(n); err != nil {
		return err
	}
	content := c.data[c.at-int(n) : c.at]
	var nanos uint32
	var seconds uint64
	switch n {
	case secondsSize:
		seconds = uint64(binary.BigEndian.Uint32(content))
	case packedSize:
		seconds = binary.BigEndian.Uint64(content)
		nanos = uint32(seconds >> secondsBits)
		seconds &= 1<<secondsBits - 1
	default:
		nanos = binary.BigEndian.Uint32(content)
		seconds = binary.BigEndian.Uint64(content[4:])
	}
	if nanos > nanosMax {
		return errMalformed
	}
	if likeMap(content[0]) { // never in full: the nanoseconds begin with 0x3b at most
		c.written = append(c.written, c.data[c.from:begin]...)
		c.written = append(c.written, msgpcode.Ext8, fullSize, timeType)
		c.written = binary.BigEndian.AppendUint32(c.written, nanos)
		c.written = binary.BigEndian.AppendUint64(c.written, seconds)
		c.from = c.at
	}
	return nil
}

// likeMap reports whether the library takes a value with this code for a map.
func likeMap(code byte) bool {
	return msgpcode.IsFixedMap(code) ||
		code == msgpcode.Nil || code == msgpcode.Map16 || code == msgpcode.Map32
}
