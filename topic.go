package espial

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	"github.com/espial-go/espial/internal/session"
)

// Topic is a name under which values of type T are published, encoded as JSON. A
// program declares it once and shares it between both ends:
//
//	var Orders = espial.NewTopic[Order]("orders.placed")
type Topic[T any] struct {
	name string
}

// NewTopic returns the topic name: 1 to 8 words joined by dots, at most 255 bytes,
// each word 1 to 63 of A-Z, a-z, 0-9, '_' and '-'. A malformed or reserved name is
// reported by the first use.
func NewTopic[T any](name string) *Topic[T] { return &Topic[T]{name: name} }

// Name returns the name of the topic.
func (t *Topic[T]) Name() string { return t.name }

// Publish encodes v and publishes it as [Node.Publish] does.
func (t *Topic[T]) Publish(ctx context.Context, n *Node, v T, targets ...Target) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return n.publish(ctx, session.Message{Topic: t.name, Codec: codecJSON, Payload: b}, targets)
}

// PublishAs encodes v and publishes it as the leader, as [Term.Publish] does.
func (t *Topic[T]) PublishAs(ctx context.Context, term *Term, v T, targets ...Target) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return term.publish(ctx, session.Message{Topic: t.name, Codec: codecJSON, Payload: b}, targets)
}

// Subscribe yields the values published on the topic, as [Node.Subscribe] does. An
// event that does not decode is yielded with a [DecodeError]. Data of the events is
// valid only until the loop's next step: unlike Value, it does not belong to the loop.
func (t *Topic[T]) Subscribe(
	ctx context.Context, n *Node, opts ...SubscribeOption,
) iter.Seq2[EventOf[T], error] {
	events := n.Subscribe(ctx, t.name, append(slices.Clip(opts), ReuseData())...)
	return func(yield func(EventOf[T], error) bool) {
		for e, err := range events {
			v := EventOf[T]{Event: e}
			if err == nil {
				err = decode(e, &v.Value)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// The codecs of the wire format that this version knows.
const (
	codecRaw  uint8 = 0
	codecJSON uint8 = 1
)

// decode reads the payload of e into v. Raw bytes are taken for JSON, so that an
// untyped publisher can serve a typed reader.
func decode(e Event, v any) error {
	if e.codec != codecRaw && e.codec != codecJSON {
		return &DecodeError{Topic: e.Topic, From: e.From.ID, Err: errCodec}
	}
	if err := json.Unmarshal(e.Data, v); err != nil {
		return &DecodeError{Topic: e.Topic, From: e.From.ID, Err: err}
	}
	return nil
}
