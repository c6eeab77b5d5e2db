package espial_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/codec/bson"
	"github.com/espial-go/espial/codec/cbor"
	"github.com/espial-go/espial/codec/msgpack"
	"github.com/espial-go/espial/codec/protobuf"
)

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":1.5e300,"k":[{"i":2147483648,"i":1}],"m":{"":null},"t":{"a":"\ud800"},"b":"AAE="}`))
	f.Add([]byte(strings.Repeat(`{"k":[`, 100) + strings.Repeat(`]}`, 100)))
	fuzz(f, espial.JSON())
}

func FuzzCBOR(f *testing.F) {
	f.Add([]byte("\xa2\x61a\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00\x61k\x9f\xa1\x61i\x1b\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\xa1\x61a\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\xa2\x62at\xc0\x74" + "2026-11-20T13:00:00Z" + "\x61a\xc1\x1a\x65\x00\x00\x00"))
	f.Add([]byte("\xa1\x61n\x9a\x80\x00\x00\x00\x01"))
	fuzz(f, cbor.Codec{})
}

func FuzzMessagePack(f *testing.F) {
	f.Add([]byte("\x83\xa1a\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1k\x91\x81\xa1i\xd2\x80\x00\x00\x00\xa1b\xc4\x01\x00"))
	f.Add([]byte("\x82\xa1m\xd6\xff\x81\xa1a\x91\xa2at\xd7\xff\xdf\xff\xff\xff\x00\x00\x00\x00"))
	f.Add([]byte("\x81\xa1y\x81\x91\x01\x01"))
	f.Add([]byte("\xdf\x80\x00\x00\x00\xa1a"))
	fuzz(f, msgpack.Codec{})
}

func FuzzBSON(f *testing.F) {
	f.Add([]byte(document("\x03m\x00" + document("\x01d\x00\x00\x00\x00\x00\x00\x00\xf8\x7f") + "\x10i\x00\x01\x00\x00\x00")))
	f.Add([]byte(document("\x05b\x00\x05\x00\x00\x00\x02\x01\x00\x00\x00a" + "\x09at\x00\x00\x00\x00\x00\x00\x00\x00\x00")))
	f.Add([]byte(document("\x0ba\x00x\x00i\x00" + "\x0fb\x00\x12\x00\x00\x00\x05\x00\x00\x00code\x00" + document(""))))
	f.Add([]byte(nestedBSON(4, 20)))
	fuzz(f, bson.Codec{})
}

// fuzz feeds arbitrary bytes to a codec, as every type that they may be meant for. What it
// takes for a value is one: it has an encoding, which is the same value again. Nothing
// costs more memory than its bytes allow.
func fuzz(f *testing.F, c codec.Codec) {
	f.Fuzz(func(t *testing.T, data []byte) {
		before := allocations()
		for _, target := range targets {
			_ = c.Decode(data, target())
		}
		most := uint64(len(targets)) * memoryMax(data)
		if got := allocations() - before; got > most {
			t.Errorf("%v: %d bytes cost %d bytes, want at most %d", c.ID(), len(data), got, most)
		}
		var v any
		if c.Decode(data, &v) != nil {
			return
		}
		text := fmt.Sprint(v)
		if !utf8.ValidString(text) || strings.Contains(text, " UTC") {
			// MessagePack takes bytes for text where text belongs, as in a key. CBOR has more
			// forms of a time than it writes: not a number is the zero time and becomes null,
			// and there are years of more than four digits.
			return
		}
		var b bytes.Buffer
		if err := c.Encode(&b, &v); err != nil {
			t.Fatalf("%v decodes %x as %v and does not encode it: %v", c.ID(), data, v, err)
		}
		var again any
		if err := c.Decode(b.Bytes(), &again); err != nil || fmt.Sprint(again) != text {
			t.Fatalf("%v decodes %x as %v, which comes back as %v, %v", c.ID(), data, v, again, err)
		}
	})
}

// allocations returns how many bytes were allocated so far.
func allocations() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func FuzzProtobuf(f *testing.F) {
	f.Add([]byte(nestedMessage(20)))
	f.Add([]byte("\x2a\x0a\x0a\x08\x0a\x01k\x12\x03\x1a\x01v"))
	f.Add([]byte("\x1a\x80\x80\x80\x80\x08a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := allocations()
		var v *structpb.Value
		err := protobuf.Codec{}.Decode(data, &v)
		if got := allocations() - before; got > memoryMax(data) {
			t.Errorf("%d bytes cost %d bytes, want at most %d", len(data), got, memoryMax(data))
		}
		if err != nil {
			return
		}
		var again *structpb.Value
		if err := (protobuf.Codec{}).Decode(encode(t, protobuf.Codec{}, v), &again); err != nil || again.String() != v.String() {
			t.Fatalf("%x is %v, which comes back as %v, %v", data, v, again, err)
		}
	})
}
