package frame

// TopicServices is the topic of what a node listens on, on the lane [Calls]: messages of one list
// of names each, the last of which counts. They are no calls, and are not answered.
const TopicServices = "espial.services"

// ServicesMax is how many bytes such a list has at most: 256 of the longest names.
const ServicesMax = 256 * (1 + NameMax)

// AppendService appends one entry of a message on [TopicServices] to dst.
func AppendService(dst []byte, name string) []byte { return appendStr(dst, name) }

// DecodeServices decodes the payload of a message on [TopicServices]. The grammar of the names is
// the receiver's to check.
func DecodeServices(b []byte) (names []string, ok bool) {
	if len(b) > ServicesMax {
		return nil, false
	}
	r := reader{b: b}
	for len(r.b) > 0 && r.err == nil {
		names = append(names, r.str("service", NameMax))
	}
	return names, r.err == nil
}
