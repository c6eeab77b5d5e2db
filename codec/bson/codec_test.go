package bson_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	mongo "go.mongodb.org/mongo-driver/v2/bson"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/codec/bson"
)

func ExampleCodec() {
	type Order struct {
		ID    string    `bson:"_id"`
		Total float64   // "total"
		At    time.Time // "at", exact to the millisecond
	}
	_ = espial.NewTopic[Order]("orders.placed").WithCodec(bson.Codec{})
}

// The check lets everything pass that the library writes, of every type that BSON has.
func TestEveryTypeIsRead(t *testing.T) {
	want := mongo.D{
		{Key: "double", Value: 1.5},
		{Key: "text", Value: "é"},
		{Key: "document", Value: mongo.D{{Key: "", Value: nil}}},
		{Key: "array", Value: mongo.A{int32(1), mongo.A{}}},
		{Key: "bytes", Value: mongo.Binary{Data: []byte{0, 1}}},
		{Key: "old bytes", Value: mongo.Binary{Subtype: 2, Data: []byte("five!")}},
		{Key: "undefined", Value: mongo.Undefined{}},
		{Key: "id", Value: mongo.NewObjectID()},
		{Key: "bool", Value: true},
		{Key: "time", Value: mongo.DateTime(1)},
		{Key: "regex", Value: mongo.Regex{Pattern: "a.*", Options: "i"}},
		{Key: "pointer", Value: mongo.DBPointer{DB: "db", Pointer: mongo.NewObjectID()}},
		{Key: "code", Value: mongo.JavaScript("1")},
		{Key: "symbol", Value: mongo.Symbol("s")},
		{Key: "scope", Value: mongo.CodeWithScope{Code: "1", Scope: mongo.D{{Key: "x", Value: int64(2)}}}},
		{Key: "timestamp", Value: mongo.Timestamp{T: 1, I: 2}},
		{Key: "decimal", Value: mongo.NewDecimal128(1, 2)},
		{Key: "min", Value: mongo.MinKey{}},
		{Key: "max", Value: mongo.MaxKey{}},
	}
	var b bytes.Buffer
	if err := (bson.Codec{}).Encode(&b, &want); err != nil {
		t.Fatal(err)
	}
	var got mongo.D
	if err := (bson.Codec{}).Decode(b.Bytes(), &got); err != nil || len(got) != len(want) {
		t.Fatalf("got %v, %v, want %v", got, err, want)
	}
	var again bytes.Buffer
	if err := (bson.Codec{}).Encode(&again, &got); err != nil || !bytes.Equal(again.Bytes(), b.Bytes()) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	// And nothing that lacks a byte anywhere.
	for n := range b.Len() {
		if err := (bson.Codec{}).Decode(b.Bytes()[:n], new(any)); err == nil {
			t.Errorf("the first %d bytes of %d are a document", n, b.Len())
		}
	}
}

// Only a document can stand at the top, so nothing else is wrapped in secret.
func TestWhatIsNoDocument(t *testing.T) {
	for _, v := range []any{new(7), new("a"), &[]string{"a"}, new(time.Now()), new(any)} {
		var b bytes.Buffer
		err := bson.Codec{}.Encode(&b, v)
		if _, ok := errors.AsType[*codec.TypeError](err); !ok || b.Len() > 0 {
			t.Errorf("a %T encodes to %x, %v, want a TypeError", v, b.Bytes(), err)
		}
	}
}
