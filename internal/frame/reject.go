package frame

// Reject ends admission: the sender does not admit the receiver and closes.
type Reject struct {
	// Code is the reason for programs, at most [CodeMax] bytes.
	Code Code

	// Reason is the reason for people. Append cuts it to [ReasonMax] bytes.
	Reason string
}

// Type returns [TypeReject].
func (Reject) Type() Type { return TypeReject }

// Append implements [Frame].
func (j Reject) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendReason(begin(dst, TypeReject), j.Code, j.Reason)
	Seal(dst[start:])
	return dst
}

func decodeReject(r *reader) (j Reject) {
	j.Code, j.Reason = r.reason()
	r.fields()
	return j
}
