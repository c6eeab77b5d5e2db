package bson

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// nestedMax bounds how deep documents and arrays are nested. The library has no limit and
// one call for each level, so that a large event could end the program: a stack that is
// full is no panic that anybody can recover.
const nestedMax = 1000

// Errors of the check.
var (
	errNested    = fmt.Errorf("bson: nested more than %d deep", nestedMax)
	errMalformed = errors.New("bson: malformed")
)

// check walks data, one document, without allocating: every length ends inside what
// holds it, so that the library allocates nothing for bytes that are not there.
func check(data []byte) error {
	rest, err := document(data, 1)
	if err == nil && len(rest) > 0 {
		err = errMalformed
	}
	return err
}

// sizeBytes is the size of a length, in bytes.
const sizeBytes = 4

// cut takes a block that begins with its own length, in bytes and including itself, off
// the front of b.
func cut(b []byte) (block, rest []byte, err error) {
	if len(b) < sizeBytes {
		return nil, nil, errMalformed
	}
	n := binary.LittleEndian.Uint32(b)
	if n < sizeBytes || uint64(n) > uint64(len(b)) {
		return nil, nil, errMalformed
	}
	return b[sizeBytes:n], b[n:], nil
}

// document takes a document or an array off the front of b.
func document(b []byte, depth int) (rest []byte, err error) {
	if depth > nestedMax {
		return nil, errNested
	}
	b, rest, err = cut(b)
	for err == nil && len(b) > 1 {
		kind := bson.Type(b[0])
		if b, err = text(b[1:]); err == nil { // the key
			b, err = value(b, kind, depth)
		}
	}
	if err == nil && (len(b) != 1 || b[0] != 0) {
		err = errMalformed
	}
	return rest, err
}

// text takes a text that ends with a zero off the front of b.
func text(b []byte) (rest []byte, err error) {
	i := bytes.IndexByte(b, 0)
	if i < 0 || !utf8.Valid(b[:i]) {
		return nil, errMalformed
	}
	return b[i+1:], nil
}

// value takes the value of an element off the front of b.
func value(b []byte, kind bson.Type, depth int) (rest []byte, err error) {
	switch kind {
	case bson.TypeEmbeddedDocument, bson.TypeArray:
		return document(b, depth+1)
	case bson.TypeString, bson.TypeJavaScript, bson.TypeSymbol:
		return counted(b, 0)
	case bson.TypeDBPointer:
		return counted(b, objectIDBytes)
	case bson.TypeBinary:
		return binaryData(b)
	case bson.TypeCodeWithScope:
		return code(b, depth)
	case bson.TypeRegex:
		if b, err = text(b); err != nil {
			return nil, err
		}
		return text(b)
	default:
		n, ok := size(kind)
		if !ok || n > len(b) {
			return nil, errMalformed
		}
		return b[n:], nil
	}
}

const objectIDBytes = 12

// size returns how many bytes a value of a kind has that has always as many.
func size(kind bson.Type) (n int, ok bool) {
	switch kind {
	case bson.TypeNull, bson.TypeUndefined, bson.TypeMinKey, bson.TypeMaxKey:
		return 0, true
	case bson.TypeBoolean:
		return 1, true
	case bson.TypeInt32:
		return 4, true
	case bson.TypeDouble, bson.TypeInt64, bson.TypeDateTime, bson.TypeTimestamp:
		return 8, true
	case bson.TypeObjectID:
		return objectIDBytes, true
	case bson.TypeDecimal128:
		return 16, true
	default:
		return 0, false
	}
}

// counted takes a length, as many bytes, at least the zero that ends a text, and more
// behind them off the front of b.
func counted(b []byte, more int) (rest []byte, err error) {
	if len(b) < sizeBytes {
		return nil, errMalformed
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	b = b[sizeBytes:]
	if n == 0 || n+uint64(more) > uint64(len(b)) || b[n-1] != 0 || !utf8.Valid(b[:n]) {
		return nil, errMalformed
	}
	return b[n+uint64(more):], nil
}

// binaryData takes a length, a subtype and the bytes off the front of b. Those of the old
// subtype repeat the length.
func binaryData(b []byte) (rest []byte, err error) {
	if len(b) < sizeBytes+1 {
		return nil, errMalformed
	}
	n, subtype := uint64(binary.LittleEndian.Uint32(b)), b[sizeBytes]
	b = b[sizeBytes+1:]
	if n > uint64(len(b)) {
		return nil, errMalformed
	}
	if subtype == bson.TypeBinaryBinaryOld &&
		(n < sizeBytes || uint64(binary.LittleEndian.Uint32(b)) != n-sizeBytes) {
		return nil, errMalformed
	}
	return b[n:], nil
}

// code takes a text and the document of its variables off the front of b.
func code(b []byte, depth int) (rest []byte, err error) {
	b, rest, err = cut(b)
	if err != nil {
		return nil, err
	}
	if b, err = counted(b, 0); err != nil {
		return nil, err
	}
	if b, err = document(b, depth+1); err == nil && len(b) > 0 {
		err = errMalformed
	}
	return rest, err
}
