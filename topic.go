package espial

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/espial-go/espial/codec"
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
	drafts sync.Pool // of *draft[T]
}

// topicOptions is what the methods of a [Topic] change that return another one.
type topicOptions struct {
	codec codec.Codec
	err   error // what is wrong with them
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
	if reason := checkCodec(c); reason != "" {
		o.err = &TopicError{Topic: t.name, Reason: reason}
	}
	return &Topic[T]{name: t.name, opts: o}
}

// Name returns the name of the topic.
func (t *Topic[T]) Name() string { return t.name }

// Publish encodes v and publishes it as [Node.Publish] does. A value that its codec
// cannot encode is an error that wraps the codec's, a [codec.TypeError] if the codec carries no
// value of type T.
func (t *Topic[T]) Publish(ctx context.Context, n *Node, v T, targets ...Target) error {
	return t.publish(v, func(m session.Message) error { return n.publish(ctx, m, targets) })
}

// PublishAs encodes v and publishes it as the leader, as [Term.Publish] does.
func (t *Topic[T]) PublishAs(ctx context.Context, term *Term, v T, targets ...Target) error {
	return t.publish(v, func(m session.Message) error { return term.publish(ctx, m, targets) })
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
func (t *Topic[T]) publish(v T, send func(session.Message) error) error {
	if t.opts.err != nil {
		return t.opts.err
	}
	d, ok := t.drafts.Get().(*draft[T])
	if !ok {
		d = &draft[T]{}
	}
	d.value = v
	err := t.opts.codec.Encode(&d.bytes, &d.value)
	if err == nil {
		err = send(session.Message{
			Topic: t.name, Codec: uint8(t.opts.codec.ID()), Payload: d.bytes.Bytes(),
		})
	} else {
		err = fmt.Errorf("espial: topic %s: the value does not encode: %w", t.name, err)
	}
	if d.bytes.Cap() <= draftMax {
		var zero T
		d.value = zero
		d.bytes.Reset()
		t.drafts.Put(d)
	}
	return err
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
	events := n.Subscribe(ctx, t.name, append(slices.Clip(opts), ReuseData())...)
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
