// Package protobuf carries the values of a topic as Protocol Buffers: T is a message that
// protoc-gen-go generated, as a pointer.
//
//	var Orders = espial.NewTopic[*pb.Order]("orders.placed").WithCodec(protobuf.Codec{})
package protobuf

import (
	"bytes"
	"reflect"

	"google.golang.org/protobuf/proto"

	"github.com/espial-go/espial/codec"
)

// nestedMax bounds how deep messages are nested. The default of the library is 10,000, which
// takes some milliseconds for the stack to grow.
const nestedMax = 1000

// Codec is the codec of Protocol Buffers. It refuses messages nested more than 1,000 deep.
type Codec struct{}

var _ codec.Codec = Codec{}

// ID returns [codec.Protobuf].
func (Codec) ID() codec.ID { return codec.Protobuf }

// Encode implements [codec.Codec]. It returns an [codec.TypeError] if T is no message.
func (Codec) Encode(b *bytes.Buffer, v any) error {
	m, ok := reflect.TypeAssert[proto.Message](reflect.ValueOf(v).Elem())
	if !ok {
		return noMessage(v)
	}
	out, err := proto.MarshalOptions{}.MarshalAppend(b.AvailableBuffer(), m)
	if err == nil {
		b.Write(out)
	}
	return err
}

// Decode implements [codec.Codec]. It returns an [codec.TypeError] if T is no message.
func (Codec) Decode(data []byte, v any) error {
	p := reflect.ValueOf(v).Elem()
	m, ok := reflect.TypeAssert[proto.Message](p) // a nil pointer, which knows its type
	if !ok {
		return noMessage(v)
	}
	m = m.ProtoReflect().New().Interface()
	if err := (proto.UnmarshalOptions{RecursionLimit: nestedMax}).Unmarshal(data, m); err != nil {
		return err
	}
	p.Set(reflect.ValueOf(m))
	return nil
}

func noMessage(v any) error {
	return &codec.TypeError{
		Codec: codec.Protobuf, Type: reflect.TypeOf(v).Elem(), Want: "a proto.Message",
	}
}
