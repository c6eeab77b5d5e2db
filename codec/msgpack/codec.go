// Package msgpack carries the values of a topic as MessagePack (msgpack.org): binary,
// self-describing, with times exact to the nanosecond.
//
//	var Orders = espial.NewTopic[Order]("orders.placed").WithCodec(msgpack.Codec{})
//
// A field of a struct has the name of its msgpack tag, else that of its json tag, else its
// own. An any becomes what it becomes from JSON, with []byte, time.Time and the integers
// added.
package msgpack

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/espial-go/espial/codec"
)

// fallbackTag is the tag that names a field without a msgpack tag.
const fallbackTag = "json"

// Codec is the codec of MessagePack. It refuses values nested more than 1,000 deep, text
// that is not UTF-8, and extensions other than the timestamp. Of a key that a map has twice
// the last value counts.
type Codec struct{}

var _ codec.Codec = Codec{}

// ID returns [codec.MessagePack].
func (Codec) ID() codec.ID { return codec.MessagePack }

// Encode implements [codec.Codec].
func (Codec) Encode(b *bytes.Buffer, v any) error {
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(b)
	enc.SetCustomStructTag(fallbackTag)
	enc.UseCompactInts(true)
	return enc.Encode(v)
}

// decoder is a decoder of the library with what it reads from. Its function Unmarshal
// would do, but keeps a goroutine for each type for ever.
type decoder struct {
	*msgpack.Decoder
	data bytes.Reader
}

//nolint:gochecknoglobals // a pool has no state that anybody sees
var decoders = sync.Pool{New: func() any { return &decoder{Decoder: msgpack.NewDecoder(nil)} }}

// Decode implements [codec.Codec].
func (Codec) Decode(data []byte, v any) (err error) {
	if data, err = check(data); err != nil {
		return err
	}
	// The library panics where a key of a map[any] is no value to compare.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("msgpack: %v", r)
		}
	}()
	dec := decoders.Get().(*decoder) //nolint:errcheck // nothing else is in it
	dec.data.Reset(data)
	dec.Reset(&dec.data)
	dec.SetCustomStructTag(fallbackTag)
	if err = dec.Decode(v); err == nil { // after an error, who knows what it still holds
		dec.data.Reset(nil)
		decoders.Put(dec)
	}
	return err
}
