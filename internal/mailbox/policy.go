package mailbox

import (
	"strings"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
)

// Policy says what happens to messages beyond the limit of a queue.
type Policy uint8

// The policies.
const (
	// Auto is Block for direct messages and DropOldest for broadcasts.
	Auto Policy = iota

	// Block takes the run and withholds its release until the reader has taken all
	// that waits, so that the sender's window fills and the sender waits. What the queue
	// holds is bounded by the windows of its senders. For a run that is [Run.Loose] it
	// means DropOldest.
	Block

	// DropOldest drops the oldest messages and tells the reader how many, for each
	// sender and topic.
	DropOldest

	// Fail ends the subscription with [ErrLagged] after what fits the queue.
	Fail
)

// forLane returns what the policy means for a lane.
func (p Policy) forLane(l frame.Lane) Policy {
	switch {
	case p != Auto:
		return p
	case l == frame.Direct:
		return Block
	default:
		return DropOldest
	}
}

// Defaults of [Options].
const (
	MessagesMaxDefault = 1024
	BytesMaxDefault    = 8 << 20
)

// Options configures a subscription. The zero Options means the defaults.
type Options struct {
	// MessagesMax is how many messages of each lane wait for the reader. Default 1,024.
	MessagesMax int

	// BytesMax is how many bytes of each lane wait for the reader, unless they are of
	// a single run, which is always taken. Default 8 MiB.
	BytesMax int

	// Policy says what happens beyond these. Default [Auto].
	Policy Policy

	// From limits the subscription to the senders for which it is true; nil takes all. It is
	// called by the readers of links, without a lock, and must not block.
	From func(ident.NodeID) bool

	// Except are patterns of topics that are left out, separated by spaces.
	Except string

	// DirectOnly leaves broadcasts out.
	DirectOnly bool

	// Group makes the subscription one of a group: of broadcasts it gets what the sender
	// chose it for, and of the other runs each goes to one of the group here. Empty for
	// none.
	Group string

	// Opening are members that will replay what they keep: their [StageOpening] comes before
	// everything else.
	Opening []Origin
}

// excepts reports whether the subscription leaves a topic out.
func (o *Options) excepts(topic string) bool {
	for pattern := range strings.FieldsSeq(o.Except) {
		if glob.MatchTopic(pattern, topic) {
			return true
		}
	}
	return false
}

// wants reports whether the subscription takes what a sender sends on a lane. A loss of
// many senders together, which has none, concerns all.
func (o *Options) wants(from ident.NodeID, lane frame.Lane) bool {
	return (!o.DirectOnly || lane == frame.Direct) &&
		(o.From == nil || from == ident.NodeID{} || o.From(from))
}

// withDefaults returns o with its zeros filled in.
func (o Options) withDefaults() Options {
	if o.MessagesMax <= 0 {
		o.MessagesMax = MessagesMaxDefault
	}
	if o.BytesMax <= 0 {
		o.BytesMax = BytesMaxDefault
	}
	return o
}
