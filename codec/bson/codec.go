// Package bson carries the values of a topic as BSON (bsonspec.org), the documents of
// MongoDB: T is a struct, a map, or a document of its library.
//
//	var Orders = espial.NewTopic[Order]("orders.placed").WithCodec(bson.Codec{})
//
// A field of a struct has the name of its bson tag, else its own in lower case; times are
// exact to the millisecond. An any becomes a bson.D.
package bson

import (
	"bytes"
	"errors"
	"reflect"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/espial-go/espial/codec"
)

// Codec is the codec of BSON. A value that is no document, such as a slice or a number, is
// refused and not wrapped, so that every reader of BSON finds what it expects. Documents
// nested more than 1,000 deep are refused; of a key that a document has twice the last
// value counts, unless T keeps both.
type Codec struct{}

var _ codec.Codec = Codec{}

// ID returns [codec.BSON].
func (Codec) ID() codec.ID { return codec.BSON }

// Encode implements [codec.Codec]. It returns an [codec.TypeError] if the value is no
// document.
func (Codec) Encode(b *bytes.Buffer, v any) error {
	doc, err := bson.Marshal(v)
	if _, ok := errors.AsType[bson.TransitionError](err); ok {
		return noDocument(v)
	}
	b.Write(doc)
	return err
}

// Decode implements [codec.Codec].
func (Codec) Decode(data []byte, v any) error {
	if err := check(data); err != nil {
		return err
	}
	return bson.Unmarshal(data, v)
}

// noDocument names the type of the value itself where T is an interface.
func noDocument(v any) error {
	t := reflect.TypeOf(v).Elem()
	if p := reflect.ValueOf(v).Elem(); t.Kind() == reflect.Interface && !p.IsNil() {
		t = p.Elem().Type()
	}
	return &codec.TypeError{Codec: codec.BSON, Type: t, Want: "a document"}
}
