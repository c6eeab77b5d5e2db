package frame

// Bye ends a link: the sender closes it now and says why. It is legal at any time
// after admission.
type Bye struct {
	// Code is the reason for programs, at most [CodeMax] bytes.
	Code Code

	// Reason is the reason for people. Append cuts it to [ReasonMax] bytes.
	Reason string
}

// Type returns [TypeBye].
func (Bye) Type() Type { return TypeBye }

// Append implements [Frame].
func (y Bye) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendReason(begin(dst, TypeBye), y.Code, y.Reason)
	Seal(dst[start:])
	return dst
}

func decodeBye(r *reader) (y Bye) {
	y.Code, y.Reason = r.reason()
	return y
}
