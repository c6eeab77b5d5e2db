package frame

// TopicMethods is the topic of what a node serves, on the lane [Calls]: messages of one list of
// [Method] each, the last of which counts. They are no calls, and are not answered.
const TopicMethods = "espial.methods"

// MethodsMax is how many bytes such a list has at most, so that it fits a frame.
const MethodsMax = 16 << 10

// AboutMax is the longest [Method.About], and TypeMax the longest name of a type in a list, in
// bytes; [Method.Append] cuts longer ones.
const (
	AboutMax = 256
	TypeMax  = 128
)

// Method is what a node says of a method that it serves to the receiver.
type Method struct {
	Name             string // the grammar is the receiver's to check
	Codec            uint8  // of what it returns
	Argument, Result string // their types; empty for bytes
	About            string // for people
}

// Append appends one entry of a message on [TopicMethods] to dst.
func (m Method) Append(dst []byte) []byte {
	dst = append(appendStr(dst, m.Name), m.Codec)
	for _, typ := range []string{m.Argument, m.Result} {
		dst = appendStr(dst, typ[:min(len(typ), TypeMax)])
	}
	return appendStr(dst, m.About[:min(len(m.About), AboutMax)])
}

// DecodeMethods decodes the payload of a message on [TopicMethods].
func DecodeMethods(b []byte) (list []Method, ok bool) {
	if len(b) > MethodsMax {
		return nil, false
	}
	r := reader{b: b}
	for len(r.b) > 0 && r.err == nil {
		list = append(list, Method{
			Name: r.str("method", TopicMax), Codec: r.u8(), Argument: r.str("type", TypeMax),
			Result: r.str("type", TypeMax), About: r.str("description", AboutMax),
		})
	}
	return list, r.err == nil
}
