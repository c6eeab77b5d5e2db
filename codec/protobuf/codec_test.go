package protobuf_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/codec/protobuf"
)

func ExampleCodec() {
	_ = espial.NewTopic[*timestamppb.Timestamp]("clock.tick").WithCodec(protobuf.Codec{})
}

func TestBytes(t *testing.T) {
	b := bytes.NewBufferString("before ")
	if err := (protobuf.Codec{}).Encode(b, new(wrapperspb.String("7"))); err != nil || b.String() != "before \x0a\x017" {
		t.Errorf("got %q, %v", b.String(), err)
	}
	var v *wrapperspb.StringValue
	if err := (protobuf.Codec{}).Decode([]byte("\x0a\x017"), &v); err != nil || v.GetValue() != "7" {
		t.Errorf("got %v, %v, want 7", v, err)
	}
	if err := (protobuf.Codec{}).Decode([]byte("\x0a\x027"), &v); err == nil || v.GetValue() != "7" {
		t.Errorf("got %v, %v, want an error and what was there", v, err)
	}
}
