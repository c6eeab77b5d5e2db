package frame

import "encoding/binary"

// AppendField appends one field to dst: its tag, its length and its value. Fields end
// a payload or a section of it and are how a later protocol says more in the frames of
// this one. A node that does not know an odd tag refuses the frame; one that does not
// know an even tag ignores the field.
func AppendField(dst []byte, tag uint64, value []byte) []byte {
	dst = binary.AppendUvarint(dst, tag)
	return appendStr(dst, value)
}

// NextField cuts one field from the front of b, which is not empty. It returns
// [ErrMalformed] if there is none; value and rest alias b.
func NextField(b []byte) (tag uint64, value, rest []byte, err error) {
	tag, n := uvarint(b)
	if n == 0 {
		return 0, nil, nil, ErrMalformed
	}
	b = b[n:]
	size, n := uvarint(b)
	if n == 0 || size > uint64(len(b)-n) {
		return 0, nil, nil, ErrMalformed
	}
	end := n + int(size)
	return tag, b[n:end:end], b[end:], nil
}

// field reads one field. Its tag is 0 if there is none, which fails r.
func (r *reader) field() (tag uint64, value []byte) {
	tag, value, rest, err := NextField(r.b)
	if err != nil {
		r.fail(err, "bad field")
		return 0, nil
	}
	r.b = rest
	return tag, value
}

// unknown passes over a field that nobody knows, unless it is critical.
func (r *reader) unknown(tag uint64) {
	if tag%2 == 1 {
		r.fail(ErrCritical, "tag %d", tag)
	}
}

// fields reads what is left as fields, of which protocol version 1 knows none but those
// of EVENTS.
func (r *reader) fields() {
	for len(r.b) > 0 {
		tag, _ := r.field()
		r.unknown(tag)
	}
}
