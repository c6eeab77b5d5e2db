package frame

// GroupMax is the length of the longest name of a group of subscriptions, in bytes.
const GroupMax = 63

// GroupsMax is how many groups the subscriptions of a node may name. What is published to all
// goes to each of them, so that without a limit one member could make it expensive.
const GroupsMax = 64

// tagGroup is the tag of the field that [AppendGroup] writes.
const tagGroup = 5

// GroupSize returns the size of the field that names a group with a name of n bytes.
func GroupSize(n int) int { return 1 + 1 + 1 + n }

// AppendGroup appends to the fields of EVENTS the one that says for which group of
// subscriptions the messages are. It is critical: a receiver that does not know groups
// would give them to everybody. The name must not exceed [GroupMax] bytes.
func AppendGroup(dst []byte, name string) []byte {
	dst = append(dst, tagGroup, byte(1+len(name)), byte(len(name)))
	return append(dst, name...)
}

// Group returns the name of the group for which the messages of e are, which aliases e;
// empty for all subscriptions. It is for what [DecodeEvents] returned.
func (e *Events) Group() []byte {
	if len(e.Fields) == 0 {
		return nil
	}
	r := reader{b: e.Fields}
	return r.eventFields().group
}

// TopicInterests is the topic of what a node's groups subscribe to: direct messages of one
// list of [Interest] each, the last of which counts. They are no events.
const TopicInterests = "espial.interests"

// InterestsMax is how many bytes such a list has at most, so that it fits a frame.
const InterestsMax = 16 << 10

// ExceptMax is how long the exceptions of a subscription may be, in bytes.
const ExceptMax = 1024

// Interest is one subscription of a group, or several alike: to the topics that match a
// pattern, but for those that match one of the exceptions, which are separated by spaces.
type Interest struct{ Group, Pattern, Except string }

// Append appends one entry of a message on [TopicInterests] to dst.
func (i Interest) Append(dst []byte) []byte {
	for _, s := range [...]string{i.Group, i.Pattern, i.Except} {
		dst = appendStr(dst, []byte(s))
	}
	return dst
}

// DecodeInterests decodes the payload of a message on [TopicInterests]. The grammar is the
// receiver's to check.
func DecodeInterests(b []byte) (list []Interest, ok bool) {
	if len(b) > InterestsMax {
		return nil, false
	}
	r := reader{b: b}
	for len(r.b) > 0 && r.err == nil {
		list = append(list, Interest{
			Group: string(r.bytes("group", GroupMax)), Pattern: string(r.bytes("pattern", TopicMax)),
			Except: string(r.bytes("exceptions", ExceptMax)),
		})
	}
	return list, r.err == nil
}
