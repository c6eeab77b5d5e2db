package packet

import (
	"encoding/binary"
	"fmt"
)

// checkFields walks over the fields behind a body, none of which version 1 knows. b
// is what remains of a datagram, so the walk is short and a length that exceeds it is
// an error.
func checkFields(b []byte) error {
	for len(b) > 0 {
		tag, n := uvarint(b)
		if n == 0 {
			return ErrField
		}
		b = b[n:]
		if tag == 0 {
			return checkPadding(b)
		}
		size, n := uvarint(b)
		if n == 0 || size > uint64(len(b)-n) {
			return ErrField
		}
		// Critical comes second: a field that cannot be read at all has no tag to name.
		if tag%2 == 1 {
			return fmt.Errorf("%w %d", ErrCritical, tag)
		}
		b = b[n+int(size):]
	}
	return nil
}

// checkPadding wants zeros only: what hid there would be read by some and not by all.
func checkPadding(b []byte) error {
	for _, c := range b {
		if c != 0 {
			return ErrField
		}
	}
	return nil
}

// uvarint reads an unsigned integer and returns it with its length, which is 0 if b
// is cut short, above 64 bits or longer than the number needs: a tag has one form.
func uvarint(b []byte) (v uint64, n int) {
	v, n = binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, 0
	}
	return v, n
}
