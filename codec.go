package espial

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/espial-go/espial/codec"
)

// checkCodec says what is wrong with a codec, nothing if it can be used.
func checkCodec(c codec.Codec) (reason string) {
	switch {
	case c == nil:
		return "has a codec that is nil"
	case c.ID().SetAside():
		return fmt.Sprintf("has a codec with the number %v, which is set aside; users have %v to 255",
			c.ID(), codec.User)
	}
	return ""
}

// checkCodecs returns a [ConfigError] for the first codec that cannot be used.
func checkCodecs(codecs []codec.Codec) error {
	for i, c := range codecs {
		if reason := checkCodec(c); reason != "" {
			return &ConfigError{Field: "Codecs", Reason: reason}
		}
		if slices.ContainsFunc(codecs[:i], func(d codec.Codec) bool { return d.ID() == c.ID() }) {
			return outOfRange("Codecs", "has two codecs with the number %d", c.ID())
		}
	}
	return nil
}

// codec returns the codec with which a topic decodes events that name id, nil for none.
func (n *Node) codec(id codec.ID, own codec.Codec) codec.Codec {
	if id == own.ID() || id == codec.Raw {
		return own
	}
	for _, c := range n.cfg.Codecs { // JSON is the last of them
		if c.ID() == id {
			return c
		}
	}
	return nil
}

// decode reads the payload of e into v, for a topic with a codec of its own.
func (n *Node) decode(e Event, own codec.Codec, v any) error {
	c, err := n.codec(e.Codec, own), errCodec
	if c != nil {
		err = c.Decode(e.Data, v)
	}
	if err != nil {
		return &DecodeError{Topic: e.Topic, From: e.From.ID, Codec: e.Codec, Err: err}
	}
	return nil
}

// jsonCodec is the codec of topics that name none.
type jsonCodec struct{ encoders sync.Pool }

// jsonEncoder writes to a buffer that changes with each value, because making an encoder
// costs an allocation.
type jsonEncoder struct {
	*json.Encoder
	to *bytes.Buffer
}

func (e *jsonEncoder) Write(p []byte) (int, error) { return e.to.Write(p) }

func (*jsonCodec) ID() codec.ID { return codec.JSON }

// Encode implements [codec.Codec].
func (c *jsonCodec) Encode(b *bytes.Buffer, v any) error {
	e, ok := c.encoders.Get().(*jsonEncoder)
	if !ok {
		e = &jsonEncoder{}
		e.Encoder = json.NewEncoder(e)
	}
	e.to = b
	err := e.Encode(v)
	e.to = nil
	c.encoders.Put(e)
	if err == nil {
		b.Truncate(b.Len() - 1) // the line's end, which an Encoder adds
	}
	return err
}

var errUTF8 = errors.New("text that is not UTF-8")

// Decode implements [codec.Codec].
func (*jsonCodec) Decode(data []byte, v any) error {
	if !utf8.Valid(data) { // the library would put U+FFFD in place of what was sent
		return errUTF8
	}
	return json.Unmarshal(data, v)
}
