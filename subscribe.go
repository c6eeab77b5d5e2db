package espial

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// Policy says what happens to an event that finds the queue of a subscription full.
type Policy uint8

// The policies.
const (
	// Auto is Block for direct events and DropOldest for broadcasts. It is the default.
	Auto Policy = iota
	// Block makes the sender's Publish wait for room; a broadcast waits 2 s at most,
	// then this node loses what its queue could not take and the reader is told.
	Block
	// DropOldest drops the oldest events of the queue and tells the reader how many.
	DropOldest
	// Fail ends the subscription with a [LaggedError].
	Fail
)

// SubscribeOption changes one subscription.
type SubscribeOption func(*subscription)

type subscription struct {
	queueMax int
	policy   Policy
	reuse    bool
	direct   bool
	from     *Target // nil for everybody
	group    *string // nil for none
	except   []string
	replay   bool
}

// QueueMax bounds the events that wait for the reader. Default 1,024, at least 1.
func QueueMax(events int) SubscribeOption {
	return func(s *subscription) { s.queueMax = events }
}

// ReuseData makes Data of an event valid only until the loop's next step: the memory is
// used again. It spares a reader that keeps no payload an allocation for each batch of
// events, which at millions a second is a tenth of the work.
func ReuseData() SubscribeOption {
	return func(s *subscription) { s.reuse = true }
}

// WithPolicy sets what happens when the queue is full. Default [Auto].
func WithPolicy(p Policy) SubscribeOption {
	return func(s *subscription) { s.policy = p }
}

// From limits the subscription to events of the members that t means when they arrive, and
// to the losses of their events. What arrives before this node knows that t means its sender
// is left out, such as the first events of a new leader: [Event.Term] is the surer sign. What t
// says about one of them, or about confirmations, has no meaning here.
func From(t Target) SubscribeOption {
	return func(s *subscription) { s.from = &t }
}

// DirectOnly limits the subscription to events that were not broadcast.
func DirectOnly() SubscribeOption {
	return func(s *subscription) { s.direct = true }
}

// Except leaves out the topics that match one of the patterns, however their events come: with
// orders.> and Except("*.secret", "orders.eu.>") an event on orders.secret is for this
// subscription as if it had never been published, and is given to another one of its [Group]. The
// patterns have 1,024 bytes at most, together. Of what is lost a node knows no topics, so that a
// [LaggedError] may count what would have been left out. A malformed pattern is yielded once as
// a [TopicError].
func Except(patterns ...string) SubscribeOption {
	return func(s *subscription) { s.except = append(s.except, patterns...) }
}

// Group makes the subscription one of the group called name, one DNS label: of the events
// that are published to all or to others, one subscription of the group in the whole cluster
// gets each, in turn, as a direct event. It shares the work of what one node cannot do
// alone. A publisher knows of a group once its members have told it, one round trip after
// Subscribe; of those that were there before, when [Node.WaitFor] returns. An event is for the
// member that was chosen: if that dies, the event is lost, and the publisher may learn so by
// [Target.Handled]. A node has 64 groups at most. A malformed name is yielded once as a
// [TargetError].
func Group(name string) SubscribeOption {
	return func(s *subscription) { s.group = &name }
}

// Replay makes the subscription begin with what the members keep of the topics that match:
// see [Topic.KeepLast]. Of each sender the kept events come first, marked as
// Replayed, then what it publishes; of a member that comes later, or back after a split, so
// much as the subscription has not had. Up to 4,096 events of a sender, and 8 MiB, wait for
// its past. A subscription of a [Group], or with [DirectOnly], has no past.
func Replay() SubscribeOption {
	return func(s *subscription) { s.replay = true }
}

// Subscribe yields the events whose topics match pattern, until ctx or the node
// ends. In a pattern the word * stands for one word and > at the end for one or
// more: orders.* or orders.>.
//
// A broadcast that arrives while 1,024 events wait pushes out the oldest, and the
// loop gets a [LaggedError] with the exact count in its place; a direct event makes
// its sender wait. [QueueMax] and [WithPolicy] change that. A malformed or reserved
// pattern is yielded once as a [TopicError], and [ErrClosed] by a node that ended before.
func (n *Node) Subscribe(
	ctx context.Context, pattern string, opts ...SubscribeOption,
) iter.Seq2[Event, error] {
	var s subscription
	for _, o := range opts {
		o(&s)
	}
	// What is kept was broadcast, and each member of a group would get all of it.
	s.replay = s.replay && !s.direct && s.group == nil
	q, err := n.queue(pattern, s)
	if err != nil {
		return func(yield func(Event, error) bool) { yield(Event{}, err) }
	}
	unregister := context.AfterFunc(ctx, q.Close)
	return func(yield func(Event, error) bool) {
		defer q.Close()
		defer unregister()
		reader := &reader{queue: q, reuse: s.reuse, replay: s.replay}
		reader.run(ctx, yield)
	}
}

// queue registers a subscription.
func (n *Node) queue(pattern string, s subscription) (*mailbox.Queue, error) {
	if err := glob.CheckPattern(pattern); err != nil {
		return nil, topicError(pattern, err)
	}
	if glob.Reserved(pattern) {
		return nil, &TopicError{Topic: pattern, Reason: reservedReason}
	}
	for _, p := range s.except {
		if err := glob.CheckPattern(p); err != nil {
			return nil, topicError(p, err)
		}
	}
	o := mailbox.Options{
		MessagesMax: s.queueMax, Policy: policy(s.policy), DirectOnly: s.direct,
		Except: strings.Join(s.except, " "),
	}
	if len(o.Except) > frame.ExceptMax {
		reason := fmt.Sprintf("has exceptions of %d bytes, at most %d", len(o.Except), frame.ExceptMax)
		return nil, &TopicError{Topic: pattern, Reason: reason}
	}
	if s.from != nil {
		if err := s.from.check(); err != nil {
			return nil, err
		}
		o.From = func(id ident.NodeID) bool { return n.isMeant(s.from, id) }
	}
	if s.group != nil {
		o.Group = *s.group
		if err, bad := errors.AsType[*glob.SyntaxError](glob.CheckName(o.Group)); bad {
			return nil, &TargetError{o.Group, "is no group: " + err.Reason}
		}
	}
	subscribe := n.eng.Exchange().Subscribe
	if s.replay {
		subscribe = n.eng.Exchange().SubscribeReplay
	}
	q, err := subscribe(pattern, o)
	return q, n.public(err)
}

// isMeant reports whether t means the member with that ID now.
func (n *Node) isMeant(t *Target, id ident.NodeID) bool {
	if t.kind == targetOnly {
		return NodeID(id) == t.id
	}
	view := n.eng.View()
	for i := range view.Members {
		if m := &view.Members[i]; m.Record.ID == id {
			return t.means(n, m)
		}
	}
	gone := core.Member{}
	gone.Record.ID = id
	return t.means(n, &gone)
}
