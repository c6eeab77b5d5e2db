package espial

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/session"
)

// Topic is a name under which values of type T are published, encoded as JSON unless
// [Topic.WithCodec] says otherwise. A program declares it once and shares it between both
// ends:
//
//	var Orders = espial.NewTopic[Order]("orders.placed")
type Topic[T any] struct {
	name   string
	opts   topicOptions
	key    func(T) string // of the values, for KeepLastOf; nil for none
	drafts sync.Pool      // of *draft[T]
}

// topicOptions is what the methods of a [Topic] change that return another one.
type topicOptions struct {
	codec codec.Codec
	keep  exchange.Keep // Last is 0 for nothing
	max   int           // bytes of a payload; 0 for what the node takes
	err   error         // what is wrong with them
}

// NewTopic returns the topic name: 1 to 8 words joined by dots, at most 255 bytes,
// each word 1 to 63 of A-Z, a-z, 0-9, '_' and '-'. A malformed or reserved name is
// reported by the first use.
func NewTopic[T any](name string) *Topic[T] {
	return &Topic[T]{name: name, opts: topicOptions{codec: &jsonCodec{}}}
}

// WithCodec returns the topic with another codec, in which it publishes. Readers go by what
// each event says of its codec, so that the two ends need not change at once: see
// [Topic.Subscribe]. A codec that cannot be used is reported by the first use.
//
//	var Orders = espial.NewTopic[Order]("orders.placed").WithCodec(cbor.Codec{})
func (t *Topic[T]) WithCodec(c codec.Codec) *Topic[T] {
	o := t.opts
	o.codec = c
	return t.with(o, checkCodec(c))
}

// KeepLast returns the topic with a memory: every publisher keeps the last so many values
// that it published to all or to others, and whoever subscribes later, or joins later, gets
// them first: see [Replay], which is in force for this topic. At least 1, at most 65,536; a
// node keeps 16 MiB of all topics. Of two topics of one name a node keeps what the one
// says with which it publishes first.
func (t *Topic[T]) KeepLast(values int) *Topic[T] {
	o := t.opts
	o.keep = exchange.Keep{Last: values}
	reason := ""
	if values < 1 || values > exchange.KeptMax {
		reason = fmt.Sprintf("KeepLast(%d) is not between 1 and %d", values, exchange.KeptMax)
	}
	return t.with(o, reason)
}

// KeepLastOf is [Topic.KeepLast] for the last value of each key: the latest price of each
// article. Each publisher keeps its own last one, and between publishers there is no order.
func (t *Topic[T]) KeepLastOf(key func(T) string) *Topic[T] {
	o := t.opts
	o.keep = exchange.Keep{Last: 1, Keyed: true}
	reason := ""
	if key == nil {
		reason = "KeepLastOf needs a function"
	}
	out := t.with(o, reason)
	out.key = key
	return out
}

// WithMax returns the topic with a limit for the encoded values, in bytes, below that of
// [Config.EventMax]: Publish returns [ErrTooLarge] beyond it.
func (t *Topic[T]) WithMax(bytes int) *Topic[T] {
	o := t.opts
	o.max = bytes
	reason := ""
	if bytes < 1 {
		reason = fmt.Sprintf("WithMax(%d) is not above 0", bytes)
	}
	return t.with(o, reason)
}

// with returns the topic with other options, of which the last has something wrong unless
// reason is empty. The first mistake counts.
func (t *Topic[T]) with(o topicOptions, reason string) *Topic[T] {
	if reason != "" && o.err == nil {
		o.err = &TopicError{Topic: t.name, Reason: reason}
	}
	return &Topic[T]{name: t.name, opts: o, key: t.key}
}

// Name returns the name of the topic.
func (t *Topic[T]) Name() string { return t.name }

// Publish encodes v and publishes it as [Node.Publish] does. A value that its codec
// cannot encode is an error that wraps the codec's, a [codec.TypeError] if the codec carries no
// value of type T.
func (t *Topic[T]) Publish(ctx context.Context, n *Node, v T, targets ...Target) error {
	return t.publish(n, v, func(m session.Message) error {
		if n.post(m.Topic, m.Codec, m.Payload, targets) {
			return nil
		}
		return n.publish(ctx, m, targets)
	})
}

// PublishAs encodes v and publishes it as the leader, as [Term.Publish] does.
func (t *Topic[T]) PublishAs(ctx context.Context, term *Term, v T, targets ...Target) error {
	return t.publish(term.n, v, func(m session.Message) error { return term.publish(ctx, m, targets) })
}

// draft is a value on its way to its bytes. Both are used again: handing a value to a
// codec moves it to the heap.
type draft[T any] struct {
	value T
	bytes bytes.Buffer
}

// draftMax is the largest buffer that is kept for the next value, in bytes.
const draftMax = 64 << 10

// publish gives send the message that holds v, which is good until send returns.
func (t *Topic[T]) publish(n *Node, v T, send func(session.Message) error) error {
	if t.opts.err != nil {
		return t.opts.err
	}
	d, ok := t.drafts.Get().(*draft[T])
	if !ok {
		d = &draft[T]{}
	}
	d.value = v
	err := t.opts.codec.Encode(&d.bytes, &d.value)
	switch {
	case err != nil:
		err = fmt.Errorf("espial: topic %s: the value does not encode: %w", t.name, err)
	case t.opts.max > 0 && d.bytes.Len() > t.opts.max:
		err = fmt.Errorf("%w: %d bytes, limit %d (Topic.WithMax)", ErrTooLarge, d.bytes.Len(), t.opts.max)
	default:
		err = send(t.message(n, d))
	}
	if d.bytes.Cap() <= draftMax {
		var zero T
		d.value = zero
		d.bytes.Reset()
		t.drafts.Put(d)
	}
	return err
}

// message returns the message of a draft.
func (t *Topic[T]) message(n *Node, d *draft[T]) session.Message {
	m := session.Message{Topic: t.name, Codec: uint8(t.opts.codec.ID()), Payload: d.bytes.Bytes()}
	if t.opts.keep.Last > 0 {
		n.eng.Exchange().Keep(t.name, t.opts.keep)
		if t.key != nil {
			m.Key = t.key(d.value)
		}
	}
	return m
}

// Subscribe yields the values published on the topic, as [Node.Subscribe] does. Each is
// decoded with the codec that its event names: the topic's own, one of [Config.Codecs],
// JSON or [codec.Bytes]. Raw bytes are taken for the topic's own codec, so that an untyped
// publisher can serve a typed reader. An event that does not decode, or whose codec nobody
// here knows, is yielded with a [DecodeError], and the loop goes on. Data of the events is
// valid only until the loop's next step: unlike Value, it does not belong to the loop.
func (t *Topic[T]) Subscribe(
	ctx context.Context, n *Node, opts ...SubscribeOption,
) iter.Seq2[EventOf[T], error] {
	if t.opts.err != nil {
		return func(yield func(EventOf[T], error) bool) { yield(EventOf[T]{}, t.opts.err) }
	}
	opts = append(slices.Clip(opts), ReuseData())
	if t.opts.keep.Last > 0 {
		opts = append(opts, Replay())
	}
	events := n.Subscribe(ctx, t.name, opts...)
	return func(yield func(EventOf[T], error) bool) {
		var value, zero T // one for all events: it moves to the heap
		for e, err := range events {
			out := EventOf[T]{Event: e}
			if err == nil {
				value = zero
				if err = n.decode(e, t.opts.codec, &value); err == nil {
					out.Value = value
				}
			}
			if !yield(out, err) {
				return
			}
		}
	}
}
