// Package cbor carries the values of a topic as CBOR (RFC 8949): binary, self-describing,
// with exact times and integers of any size.
//
//	var Orders = espial.NewTopic[Order]("orders.placed").WithCodec(cbor.Codec{})
//
// A field of a struct has the name of its cbor tag, else that of its json tag, else its
// own; reading, upper and lower case are the same. An any becomes what it becomes from
// JSON, with []byte, time.Time, int64 and *big.Int added and tags taken off.
package cbor

import (
	"bytes"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"github.com/espial-go/espial/codec"
)

// Limits of what is decoded. Both are above what any event holds, whose bytes are limited,
// but for the depth.
const (
	nestedMax   = 1000
	elementsMax = 64 << 20 // each has a byte at least, and an event at most as many
)

// Codec is the codec of CBOR. It refuses values nested more than 1,000 deep, keys that a map
// has twice, and text that is not UTF-8.
type Codec struct{}

var _ codec.Codec = Codec{}

// modes are the settings of the library.
//
//nolint:gochecknoglobals // constant; the library has no literal form
var modes = sync.OnceValues(func() (cbor.UserBufferEncMode, cbor.DecMode) {
	enc, err := cbor.EncOptions{
		Time: cbor.TimeRFC3339Nano, TimeTag: cbor.EncTagRequired,
	}.UserBufferEncMode()
	if err != nil {
		panic(err) //nolint:forbidigo // the options are constant
	}
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: nestedMax,
		MaxArrayElements: elementsMax, MaxMapPairs: elementsMax,
		IntDec: cbor.IntDecConvertSignedOrBigInt, BigIntDec: cbor.BigIntDecodePointer,
		DefaultMapType:       reflect.TypeFor[map[string]any](),
		UnrecognizedTagToAny: cbor.UnrecognizedTagContentToAny,
	}.DecMode()
	if err != nil {
		panic(err) //nolint:forbidigo // the options are constant
	}
	return enc, dec
})

// ID returns [codec.CBOR].
func (Codec) ID() codec.ID { return codec.CBOR }

// Encode implements [codec.Codec].
func (Codec) Encode(b *bytes.Buffer, v any) error {
	enc, _ := modes()
	return enc.MarshalToBuffer(v, b)
}

// Decode implements [codec.Codec].
func (Codec) Decode(data []byte, v any) error {
	_, dec := modes()
	return dec.Unmarshal(data, v)
}
