package espial

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/espial-go/espial/codec"
)

// Sender is who published an event.
type Sender struct {
	ID   NodeID `json:"id"`   // proved by its key
	Name string `json:"name"` // its node name
}

// Event is one message on a topic.
type Event struct {
	Topic    string    // what it was published under
	From     Sender    // who published it
	Seq      uint64    // the number that From gave it; broadcasts and direct events count apart
	Data     []byte    // the payload; it belongs to the receiver, unless ReuseData is set
	Direct   bool      // it was sent to chosen members, not broadcast
	Replayed bool      // it was published before, and kept for who comes late; see [Replay]
	Codec    codec.ID  // what Data is encoded with; [codec.Raw] for [Node.Publish]
	At       time.Time // when it reached this node
	Term     uint64    // the reign in which From published it with [Term.Publish]; 0 for none
}

// MarshalJSON returns the stable shape that the command espial sub prints: data
// that is JSON stands as it is, anything else as data_base64. Bytes in another codec are
// never taken for JSON, even where they happen to look like it.
func (e Event) MarshalJSON() ([]byte, error) {
	shape := struct {
		Time     string          `json:"time"`
		Topic    string          `json:"topic"`
		From     Sender          `json:"from"`
		Seq      uint64          `json:"seq"`
		Direct   bool            `json:"direct,omitempty"`
		Replayed bool            `json:"replayed,omitempty"`
		Term     uint64          `json:"term,omitempty"`
		Codec    codec.ID        `json:"codec"`
		Data     json.RawMessage `json:"data,omitempty"`
		Base64   *[]byte         `json:"data_base64,omitempty"`
	}{
		Time: e.At.Format(time.RFC3339Nano), Topic: e.Topic, From: e.From, Seq: e.Seq,
		Direct: e.Direct, Replayed: e.Replayed, Term: e.Term, Codec: e.Codec,
	}
	if e.Codec <= codec.JSON && json.Valid(e.Data) {
		shape.Data = e.Data
	} else {
		shape.Base64 = &e.Data
	}
	return json.Marshal(shape)
}

// EventOf is an [Event] with its decoded value.
type EventOf[T any] struct {
	Event
	Value T // the decoded payload
}

// DecodeError reports one event whose payload is no value of the topic's type. The
// subscription goes on.
type DecodeError struct {
	Topic string   // what the event was published under
	From  NodeID   // who published it
	Codec codec.ID // what it says that it is encoded with
	Err   error    // what the codec said, or that this node does not know it
}

// Error says which event does not decode, and why.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("espial: topic %s: event of %s does not decode as %v: %s",
		e.Topic, e.From.Short(), e.Codec, strings.TrimPrefix(e.Err.Error(), e.Codec.String()+": "))
}

// Unwrap returns what the codec said.
func (e *DecodeError) Unwrap() error { return e.Err }
