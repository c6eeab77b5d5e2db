package mailbox

import (
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// Run is consecutive messages of one sender, lane and topic.
type Run struct {
	Topic string // set by Deliver
	From  ident.NodeID
	Name  string // of the sender
	Lane  frame.Lane
	First ident.Seq // the number of the first message, pieces not counted
	Last  ident.Seq // what the [Releaser] is told: the last message's number, pieces counted
	Count int       // messages in Data
	Codec uint8
	Group []byte     // name of the group of subscriptions that it is for; empty for all
	Term  ident.Term // in which the sender led and published as the leader; 0 for none

	// Data is a validated run for [frame.NextPayload]. Deliver copies it for each
	// queue, but for the first one where Owned says that nobody else uses it.
	Data  []byte
	Owned bool

	// Of a subscription with Replay:
	Inc  ident.Incarnation // of the sender
	Past bool              // the run is replayed; First is the number that it had

	At time.Time // when it came

	// Loose says that nobody waits for the run to be taken: a full queue with the policy
	// [Block] does with it what [DropOldest] says.
	Loose bool

	// Slip is told what became of the run; nil if nobody asks. Such a run has one message.
	Slip *Slip
}

// Loss is messages of one sender that a subscription will never get.
type Loss struct {
	// From is the sender; zero where so many senders lost messages at once that they
	// are only counted together.
	From ident.NodeID

	// Topic is empty if it is not known. Then messages are counted that this
	// subscription would not have got.
	Topic string

	Lane    frame.Lane
	Count   uint64
	Unknown bool // there may be more: the sender did not live to say how many
}

// Entry is what a reader finds in a [Queue]: a run, or a loss if Count is 0, or for a
// [CatchUp] neither but the name of who begins to replay or has done so.
type Entry struct {
	Run   // Data is the reader's; see [Queue.Reuse]
	Lost  Loss
	Stage Stage

	order uint64 // of arrival in the queue
	hold  *hold  // to be let go when the reader has the run; nil if nobody waits
}

// loss reports whether the entry tells of a loss.
func (e *Entry) loss() bool { return e.Count == 0 && e.Stage == StageNone }

// load returns what the entry counts against [Options.MessagesMax].
func (e *Entry) load() int {
	if e.Stage != StageNone {
		return 0
	}
	return max(e.Count, 1)
}

// Releaser is told when a run is in the queues, so that its sender may be told.
type Releaser interface {
	// Release says that every subscription took the messages of a lane up to number
	// last that came with one Deliver. It must not block.
	Release(lane frame.Lane, last ident.Seq)
}
