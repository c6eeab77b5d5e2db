package espial

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// receiptsMax is how many members one event may ask for a confirmation.
const receiptsMax = 256

// Publish sends data under topic to the members that targets name, one target at most;
// none means [All]. It returns when the event is accepted into the queues of the
// links: waiting for room, if a receiver is slow, until ctx ends; with [Target.Queued] and
// [Target.Handled] it waits for the members. data may be reused then.
//
// It returns a [TopicError] for a malformed or reserved topic, a [TargetError],
// [ErrTooLarge], [ErrNoMember] or [ErrNoLeader] where the target means nobody, [ErrTooManyAcks],
// [ErrClosed] or ctx's error; in all these cases nothing was sent. [All] and [Others] never mean
// nobody, unless they want confirmations. An [UndeliveredError] says which of several members
// it was not sent to, or who has not confirmed it.
func (n *Node) Publish(ctx context.Context, topic string, data []byte, targets ...Target) error {
	if n.post(topic, uint8(codec.Raw), data, targets) {
		return nil
	}
	return n.publish(ctx, session.Message{Topic: topic, Payload: data}, targets)
}

// post publishes to one member what can be without a look around: most events of a drove. It
// returns false where publish has more to do, or to say.
func (n *Node) post(topic string, codec uint8, data []byte, targets []Target) bool {
	if len(targets) != 1 || len(data) > n.cfg.EventMax {
		return false
	}
	t, checked := &targets[0], n.topic.Load()
	return t.kind == targetOnly && t.wish == frame.WishNone && t.enough == 0 &&
		checked != nil && *checked == topic &&
		n.eng.Exchange().Post((*ident.NodeID)(&t.id), topic, codec, data)
}

// publish is Publish for any codec and any reign.
func (n *Node) publish(ctx context.Context, m session.Message, targets []Target) error {
	if last := n.topic.Load(); last == nil || *last != m.Topic {
		if err := checkTopic(m.Topic); err != nil {
			return err
		}
		checked := m.Topic // a copy, or every call would move its argument to the heap
		n.topic.Store(&checked)
	}
	if len(m.Payload) > n.cfg.EventMax {
		return tooLarge(len(m.Payload), n.cfg.EventMax)
	}
	m.Class = frame.ClassReliable
	if len(targets) == 0 {
		return n.broadcast(ctx, m, false, nil)
	}
	if len(targets) > 1 {
		return errTargets
	}
	t := &targets[0]
	switch {
	case t.kind == targetOnly && t.wish == frame.WishNone && t.enough == 0:
		return n.public(n.eng.Exchange().Direct(ctx, ident.NodeID(t.id), m, nil))
	case t.broadcast() && t.wish == frame.WishNone && t.enough == 0:
		return n.broadcast(ctx, m, t.kind == targetOthers, nil)
	}
	return n.publishTo(ctx, m, t)
}

// broadcast publishes to all members or all others, and to one member of each group that
// wants the topic. An [UndeliveredError] counts the groups that did not get it.
func (n *Node) broadcast(ctx context.Context, m session.Message, others bool, r *exchange.Receipts) error {
	x := n.eng.Exchange()
	if err := x.Broadcast(ctx, others, m, r); err != nil {
		return n.public(err)
	}
	groups := x.Groups(m.Topic)
	if len(groups) == 0 {
		return nil
	}
	failed, missing := 0, map[NodeID]error{}
	for _, g := range groups {
		id, err := x.ToGroup(ctx, g, others, m, r)
		if err != nil && !errors.Is(err, exchange.ErrNoMember) {
			failed++
			missing[NodeID(id)] = n.public(err)
		}
	}
	if failed > 0 {
		return &UndeliveredError{Delivered: len(groups) - failed, Wanted: len(groups), Missing: missing}
	}
	return nil
}

// publishTo is publish for targets that mean several members, or want to hear of them.
func (n *Node) publishTo(ctx context.Context, m session.Message, t *Target) error {
	if err := t.check(); err != nil {
		return err
	}
	ids := n.members(t)
	switch {
	case len(ids) == 0 && t.kind == targetLeader:
		return n.leaderless()
	case len(ids) == 0:
		return ErrNoMember
	}
	var r *exchange.Receipts
	if t.wish != frame.WishNone {
		if len(ids) > receiptsMax {
			return fmt.Errorf("%w: %d members, limit %d", ErrTooManyAcks, len(ids), receiptsMax)
		}
		r = n.eng.Exchange().Receipts(t.wish)
	}
	missing := map[NodeID]error{}
	if t.broadcast() {
		err := n.broadcast(ctx, m, t.kind == targetOthers, r)
		if u, some := errors.AsType[*UndeliveredError](err); some {
			missing = u.Missing // the others may confirm it all the same
		} else if err != nil {
			return err
		}
	} else {
		missing = n.direct(ctx, m, ids, r)
		if len(missing) == len(ids) && len(ids) == 1 {
			return missing[NodeID(ids[0])]
		}
	}
	switch {
	case r != nil:
		return n.confirmed(ctx, t, r, missing)
	case len(missing) > 0:
		return &UndeliveredError{Delivered: len(ids) - len(missing), Wanted: len(ids), Missing: missing}
	}
	return nil
}

// direct sends m to each of the members, first to those that have room, and returns whom
// it was not sent to.
func (n *Node) direct(
	ctx context.Context, m session.Message, ids []ident.NodeID, r *exchange.Receipts,
) map[NodeID]error {
	missing := map[NodeID]error{}
	var full []ident.NodeID
	for _, id := range ids {
		switch err := n.eng.Exchange().TryDirect(id, m, r); {
		case errors.Is(err, session.ErrFull):
			full = append(full, id)
		case err != nil:
			missing[NodeID(id)] = n.public(err)
		}
	}
	for _, id := range full {
		if err := n.eng.Exchange().Direct(ctx, id, m, r); err != nil {
			missing[NodeID(id)] = n.public(err)
		}
	}
	return missing
}

// confirmed waits for the receipts of an event that was sent to all but the missing.
func (n *Node) confirmed(
	ctx context.Context, t *Target, r *exchange.Receipts, missing map[NodeID]error,
) error {
	enough := t.enough
	if enough == 0 {
		enough = math.MaxInt
	}
	out, err := n.eng.Exchange().Await(ctx, r, enough)
	for _, id := range out.Gone {
		missing[NodeID(id)] = ErrNoMember
	}
	for _, id := range out.Lost {
		missing[NodeID(id)] = ErrLagged
	}
	for _, id := range out.Open {
		missing[NodeID(id)] = n.public(err)
	}
	have, wanted := len(out.Confirmed), t.enough
	if wanted == 0 {
		wanted = max(1, have+len(missing))
	}
	if have >= wanted {
		return nil
	}
	for _, id := range out.Nobody {
		if missing[NodeID(id)] == nil {
			missing[NodeID(id)] = ErrNoSubscriber
		}
	}
	handled := t.wish == frame.WishHandled
	return &UndeliveredError{Delivered: have, Wanted: wanted, Missing: missing, handled: handled}
}
