// Package codec has the words of payload codecs: what turns the values of a topic into the
// payloads of events, and back. JSON and [Bytes] are built in. Each package below this one
// holds another codec and links its library, so that a program has the libraries that it
// imports and no other.
//
//	var Orders = espial.NewTopic[Order]("orders.placed").WithCodec(cbor.Codec{})
package codec

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
)

// Codec turns values of type T into bytes, and back, for a topic of T. Many goroutines use
// it at a time.
type Codec interface {
	// ID is what every event says of its codec. It never changes, and means the same at
	// all nodes: one of the constants, or a number from [User] on.
	ID() ID

	// Encode appends the value that v points to: v is a *T. b may hold bytes already. An
	// error of type *[TypeError] says that no value of this type can be encoded.
	Encode(b *bytes.Buffer, v any) error

	// Decode sets the value that v points to, which is zero: v is a *T. data belongs to
	// others again when Decode returns, so what is kept of it must be copied. Any member of
	// the cluster may have written data: whatever it is, Decode returns, without a panic,
	// and uses memory for the bytes that are there, never for a length that they announce.
	Decode(data []byte, v any) error
}

// ID is the number by which an event names its codec. Those below [User] that have no name
// are set aside for later versions.
type ID uint8

// The codecs.
const (
	Raw         ID = 0   // bytes as they are: [Bytes]
	JSON        ID = 1   // the default of a topic
	CBOR        ID = 2   // package codec/cbor
	MessagePack ID = 3   // package codec/msgpack
	BSON        ID = 4   // package codec/bson
	Protobuf    ID = 5   // package codec/protobuf
	User        ID = 128 // the first of 128 for codecs that users bring
)

// names are the stable names of the codecs, by number.
//
//nolint:gochecknoglobals // a constant table
var names = [...]string{
	Raw: "raw", JSON: "json", CBOR: "cbor", MessagePack: "msgpack", BSON: "bson", Protobuf: "protobuf",
}

// SetAside reports whether the number is of no codec that this version knows, and not for
// users to give.
func (id ID) SetAside() bool { return int(id) >= len(names) && id < User }

// String returns the stable name of the codec, or its number where it has none.
func (id ID) String() string {
	if int(id) < len(names) {
		return names[id]
	}
	return strconv.Itoa(int(id))
}

// MarshalText returns what String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText sets id to the codec of that name or number.
func (id *ID) UnmarshalText(text []byte) error {
	if i := slices.Index(names[:], string(text)); i >= 0 {
		*id = ID(i)
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 8)
	if err != nil {
		return fmt.Errorf("codec: %q is none", text)
	}
	*id = ID(n)
	return nil
}

// TypeError reports a type that a codec does not carry: a mistake of this program, not of
// whoever published.
type TypeError struct {
	Codec ID           // which codec
	Type  reflect.Type // the T of the topic
	Want  string       // what the codec carries, as in "a []byte"
}

// Error names both the codec and the type.
func (e *TypeError) Error() string {
	return fmt.Sprintf("the codec %v carries %s and not %v", e.Codec, e.Want, e.Type)
}

// Bytes is the codec of bytes that are to stay as they are: T must be []byte.
type Bytes struct{}

// ID returns [Raw].
func (Bytes) ID() ID { return Raw }

// Encode appends the bytes. It returns a [TypeError] if T is not []byte.
func (Bytes) Encode(b *bytes.Buffer, v any) error {
	p, ok := v.(*[]byte)
	if !ok {
		return noBytes(v)
	}
	b.Write(*p)
	return nil
}

// Decode copies the bytes. It returns a [TypeError] if T is not []byte.
func (Bytes) Decode(data []byte, v any) error {
	p, ok := v.(*[]byte)
	if !ok {
		return noBytes(v)
	}
	*p = bytes.Clone(data)
	return nil
}

func noBytes(v any) error {
	return &TypeError{Codec: Raw, Type: reflect.TypeOf(v).Elem(), Want: "a []byte"}
}
