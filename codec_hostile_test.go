package espial_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/codec/bson"
	"github.com/espial-go/espial/codec/cbor"
	"github.com/espial-go/espial/codec/msgpack"
	"github.com/espial-go/espial/codec/protobuf"
)

// node is a type in which everything of a hostile input finds a place.
type node struct {
	A     any               `json:"a" bson:"a"`
	Kids  []node            `json:"k" bson:"k"`
	Map   map[string]any    `json:"m" bson:"m"`
	Texts map[string]string `json:"t" bson:"t"`
	Keys  map[any]any       `json:"-" bson:"-" msgpack:"y"`
	Nums  []int64           `json:"n" bson:"n"`
	Names []string          `json:"s" bson:"s"`
	At    time.Time         `json:"at" bson:"at"`
	Int   int32             `json:"i" bson:"i"`
	Bytes []byte            `json:"b" bson:"b"`
}

// targets are what hostile input is decoded into.
var targets = []func() any{
	func() any { return new(any) },
	func() any { return new(node) },
	func() any { return new(map[string]any) },
	func() any { return new(map[string]string) },
	func() any { return new([]node) },
	func() any { return new([]string) },
	func() any { return new([]byte) },
	func() any { return new(string) },
	func() any { return new(int64) },
	func() any { return new(float64) },
	func() any { return new(time.Time) },
}

// document returns a document of BSON with what stands between its length and its end.
func document(inside string) string {
	return string(binary.LittleEndian.AppendUint32(nil, uint32(len(inside)+5))) + inside + "\x00"
}

// nestedBSON returns documents, or arrays, inside each other.
func nestedBSON(kind byte, depth int) string {
	const each = 1 + 2 + 4 + 1 // type, key, length, end
	b := make([]byte, 0, each*depth+5)
	b = binary.LittleEndian.AppendUint32(b, uint32(each*depth+5))
	for i := range depth {
		b = append(b, kind, '0', 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(each*(depth-i-1)+5))
	}
	return string(b) + strings.Repeat("\x00", depth+1)
}

// nestedMessage returns lists of Protocol Buffers inside each other, as structpb has them.
func nestedMessage(depth int) string {
	var parts []string
	size := 0
	for range depth {
		for range 2 { // Value.list_value and ListValue.values
			tag := byte(1<<3 | 2)
			if len(parts)%2 == 1 {
				tag = 6<<3 | 2
			}
			head := binary.AppendUvarint([]byte{tag}, uint64(size))
			parts = append(parts, string(head))
			size += len(head)
		}
	}
	slices.Reverse(parts)
	return strings.Join(parts, "")
}

const million = 1_000_000

// Whatever a member sends is answered with an error, at once, and costs memory for the bytes
// that came only (case D07).
func TestHostilePayloads(t *testing.T) {
	le := func(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }
	hidden := "\x03a\x00" + nestedBSON(3, million)
	tests := []struct {
		name  string
		codec codec.Codec
		data  string
	}{
		{"arrays a million deep", espial.JSON(), strings.Repeat("[", million)},
		{"arrays a million deep that end", espial.JSON(), strings.Repeat("[", million) + strings.Repeat("]", million)},
		{"maps a million deep", espial.JSON(), strings.Repeat(`{"k":`, million)},
		{"children a million deep", espial.JSON(), strings.Repeat(`{"k":[`, million)},
		{"not a number", espial.JSON(), `{"a":NaN}`},
		{"text that is not UTF-8", espial.JSON(), "{\"a\":\"\xff\"}"},
		{"nothing", espial.JSON(), ""},
		{"more behind it", espial.JSON(), "1 2"},

		{"arrays a million deep", cbor.Codec{}, strings.Repeat("\x81", million)},
		{"arrays a million deep that end", cbor.Codec{}, strings.Repeat("\x81", million) + "\x01"},
		{"arrays of any length a million deep", cbor.Codec{}, strings.Repeat("\x9f", million)},
		{"maps a million deep", cbor.Codec{}, strings.Repeat("\xa1\x61k", million)},
		{"tags a million deep", cbor.Codec{}, strings.Repeat("\xc1", million) + "\x01"},
		{"a key twice", cbor.Codec{}, "\xa2\x61a\x01\x61a\x02"},
		{"text that is not UTF-8", cbor.Codec{}, "\xa1\x61a\x61\xff"},
		{"an array of 2^31", cbor.Codec{}, "\x9a\x80\x00\x00\x00\x01"},
		{"an array of 2^26", cbor.Codec{}, "\x9a\x04\x00\x00\x00\x01"},
		{"an array of 2^63", cbor.Codec{}, "\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"},
		{"a map of 2^31", cbor.Codec{}, "\xba\x80\x00\x00\x00\x61a"},
		{"a map of 2^26", cbor.Codec{}, "\xba\x04\x00\x00\x00\x61a"},
		{"text of 2^31", cbor.Codec{}, "\x7a\x80\x00\x00\x00a"},
		{"bytes of 2^31", cbor.Codec{}, "\x5a\x80\x00\x00\x00a"},
		{"an array in an array of 2^26", cbor.Codec{}, "\x82\x01\x9a\x04\x00\x00\x00"},
		{"an array as a key", cbor.Codec{}, "\xa1\x81\x01\x01"},
		{"nothing", cbor.Codec{}, ""},
		{"more behind it", cbor.Codec{}, "\x01\x02"},

		{"arrays a million deep", msgpack.Codec{}, strings.Repeat("\x91", million)},
		{"arrays a million deep that end", msgpack.Codec{}, strings.Repeat("\x91", million) + "\x01"},
		{"maps a million deep", msgpack.Codec{}, strings.Repeat("\x81\xa1k", million) + "\x01"},
		{"children a million deep", msgpack.Codec{}, strings.Repeat("\x81\xa1k\x91", million) + "\x01"},
		{"text that is not UTF-8", msgpack.Codec{}, "\x81\xa1a\xa1\xff"},
		{"an array of 2^31", msgpack.Codec{}, "\xdd\x80\x00\x00\x00\x01"},
		{"an array of 2^20", msgpack.Codec{}, "\xdd\x00\x10\x00\x00\x01"},
		{"a map of 2^31", msgpack.Codec{}, "\xdf\x80\x00\x00\x00\xa1a"},
		{"a map of 2^20", msgpack.Codec{}, "\xdf\x00\x10\x00\x00\xa1a"},
		{"a map in a map of 2^31", msgpack.Codec{}, "\x81\xa1m\xdf\x80\x00\x00\x00\xa1a"},
		{"text of 2^31", msgpack.Codec{}, "\xdb\x80\x00\x00\x00a"},
		{"bytes of 2^31", msgpack.Codec{}, "\xc6\x80\x00\x00\x00a"},
		{"an extension of 2^31", msgpack.Codec{}, "\xc9\x80\x00\x00\x00\xffa"},
		{"a map of 2^32 inside an extension", msgpack.Codec{}, "\xc7\x05\x01\xdf\xff\xff\xff\xff"},
		{"an array as a key that must be compared", msgpack.Codec{}, "\x81\xa1y\x81\x91\x01\x01"},
		{"a code that means nothing", msgpack.Codec{}, "\xc1"},
		{"a billion nanoseconds", msgpack.Codec{}, "\xc7\x0c\xff\x3b\x9a\xca\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"nothing", msgpack.Codec{}, ""},
		{"more behind it", msgpack.Codec{}, "\x01\x02"},

		{"documents a million deep", bson.Codec{}, nestedBSON(3, million)},
		{"arrays a million deep", bson.Codec{}, nestedBSON(4, million)},
		{"text that is not UTF-8", bson.Codec{}, document("\x02a\x00" + le(2) + "\xff\x00")},
		{"a key that is not UTF-8", bson.Codec{}, document("\x0a\xff\x00")},
		{"a document of 2^31", bson.Codec{}, le(1<<31) + "\x00"},
		{"a document of 2^31-1", bson.Codec{}, le(1<<31-1) + "\x00"},
		{"an array of 2^31-1", bson.Codec{}, document("\x04n\x00" + le(1<<31-1) + "\x00")},
		{"text of 2^31-1", bson.Codec{}, document("\x02a\x00" + le(1<<31-1) + "a\x00")},
		{"bytes of 2^31-1", bson.Codec{}, document("\x05b\x00" + le(1<<31-1) + "\x00")},
		{"old bytes of 2^31-1", bson.Codec{}, document("\x05b\x00" + le(5) + "\x02" + le(1<<31-1) + "a")},
		{"old bytes that hide documents", bson.Codec{}, document("\x05b\x00" + le(uint32(4+len(hidden))) + "\x02" + le(0) + hidden)},
		{"code of 2^31-1", bson.Codec{}, document("\x0fa\x00" + le(1<<31-1) + le(1) + "\x00" + document(""))},
		{"a type that means nothing", bson.Codec{}, document("\x20a\x00")},
		{"nothing", bson.Codec{}, ""},
		{"more behind it", bson.Codec{}, document("") + "\x00"},

		{"text of 2^31", protobuf.Codec{}, "\x1a\x80\x80\x80\x80\x08a"},
		{"messages half a million deep", protobuf.Codec{}, nestedMessage(million / 2)},
		{"groups a million deep", protobuf.Codec{}, strings.Repeat("\x7b", million)},
		{"text that is not UTF-8", protobuf.Codec{}, "\x1a\x01\xff"},
	}
	for _, tt := range tests {
		t.Run(tt.codec.ID().String()+"/"+tt.name, func(t *testing.T) {
			into := targets
			if tt.codec.ID() == codec.Protobuf {
				into = []func() any{func() any { return new(*structpb.Value) }}
			}
			for _, target := range into {
				checkHostile(t, tt.codec, []byte(tt.data), target)
			}
		})
	}
}

// checkHostile fails unless data is refused in the time and the memory that it may take.
func checkHostile(t *testing.T, c codec.Codec, data []byte, target func() any) {
	t.Helper()
	const limit = 10 * time.Millisecond
	least, runs := time.Hour, 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for ; runs < 3 || least > limit && runs < 50 && !raceEnabled; runs++ { // the machine may be busy
		v := target()
		began := time.Now()
		err := c.Decode(data, v)
		least = min(least, time.Since(began))
		if err == nil {
			t.Fatalf("%.20q... becomes the %T %.100s", data, v, fmt.Sprint(v))
		}
	}
	runtime.ReadMemStats(&after)
	if least > limit && !raceEnabled {
		t.Errorf("a %T took %v, want at most %v", target(), least, limit)
	}
	if got, most := (after.TotalAlloc-before.TotalAlloc)/uint64(runs), memoryMax(data); got > most {
		t.Errorf("a %T of %d bytes cost %d bytes, want at most %d", target(), len(data), got, most)
	}
}

// memoryMax is how much memory data may cost when it is decoded, in bytes. A byte may be the
// whole of a node, of a map, or of the pair of an interface and what it holds.
func memoryMax(data []byte) uint64 { return 32<<10 + 400*uint64(len(data)) }

// Of a key that comes twice the last value counts. CBOR refuses it instead, see above.
func TestOfAKeyThatComesTwiceTheLastCounts(t *testing.T) {
	for _, tt := range []struct {
		codec codec.Codec
		data  string
	}{
		{espial.JSON(), `{"i":1,"i":2}`},
		{msgpack.Codec{}, "\x82\xa1i\x01\xa1i\x02"},
		{bson.Codec{}, document("\x10i\x00\x01\x00\x00\x00\x10i\x00\x02\x00\x00\x00")},
	} {
		var v node
		if err := tt.codec.Decode([]byte(tt.data), &v); err != nil || v.Int != 2 {
			t.Errorf("%v: 1 and then 2 become %d, %v, want 2", tt.codec.ID(), v.Int, err)
		}
	}
}

// What some take for hostile is a value all the same.
func TestOddPayloadsAreValues(t *testing.T) {
	tests := []struct {
		name  string
		codec codec.Codec
		data  string
		want  string
	}{
		{"not a number", cbor.Codec{}, "\xa1\x61a\xf9\x7e\x00", "NaN"},
		{"not a number", msgpack.Codec{}, "\x81\xa1a\xca\x7f\xc0\x00\x00", "NaN"},
		{"not a number", bson.Codec{}, document("\x01a\x00\x00\x00\x00\x00\x00\x00\xf8\x7f"), "NaN"},
		{"an integer of 2^64-1", cbor.Codec{}, "\xa1\x61a\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"},
		{"an integer of 2^64-1", msgpack.Codec{}, "\x81\xa1a\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"},
		{"an integer of 2^64", cbor.Codec{}, "\xa1\x61a\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00", "18446744073709551616"},
	}
	for _, tt := range tests {
		var v node
		if err := tt.codec.Decode([]byte(tt.data), &v); err != nil || fmt.Sprint(v.A) != tt.want {
			t.Errorf("%v: %s becomes %v, %v, want %s", tt.codec.ID(), tt.name, v.A, err, tt.want)
		}
	}
}

// An integer that does not fit its field is refused and not cut. The library of MessagePack
// cuts it, which docs/codecs.md says.
func TestIntegersThatAreTooLarge(t *testing.T) {
	for _, tt := range []struct {
		codec codec.Codec
		data  string
	}{
		{espial.JSON(), `{"i":2147483648}`},
		{espial.JSON(), `{"i":1` + strings.Repeat("0", 1000) + `}`},
		{cbor.Codec{}, "\xa1\x61i\x1b\xff\xff\xff\xff\xff\xff\xff\xff"},
		{bson.Codec{}, document("\x12i\x00\x00\x00\x00\x00\x00\x00\x00\x40")},
	} {
		var v node
		if err := tt.codec.Decode([]byte(tt.data), &v); err == nil {
			t.Errorf("%v: an integer that is too large becomes %d", tt.codec.ID(), v.Int)
		}
	}
}

// Values up to the depth that the documentation states are read.
func TestDepthsThatAreRead(t *testing.T) {
	for _, tt := range []struct {
		codec codec.Codec
		data  string
	}{
		{espial.JSON(), strings.Repeat("[", 10000) + strings.Repeat("]", 10000)},
		{cbor.Codec{}, strings.Repeat("\x81", 1000) + "\x01"},
		{msgpack.Codec{}, strings.Repeat("\x91", 1000) + "\x01"},
		{bson.Codec{}, nestedBSON(3, 999)},
	} {
		var v any
		if err := tt.codec.Decode([]byte(tt.data), &v); err != nil {
			t.Errorf("%v: %v", tt.codec.ID(), err)
		}
	}
	var v *structpb.Value
	if err := (protobuf.Codec{}).Decode([]byte(nestedMessage(499)), &v); err != nil {
		t.Errorf("protobuf: %v", err)
	}
}

// Every timestamp is read as it was sent, whatever its bytes look like.
func TestTimestampsThatLookLikeMaps(t *testing.T) {
	type stamped struct {
		Before int
		At     time.Time
		Any    any
		After  map[string]any
	}
	seconds := []int64{0, 1, 0x80000000, 0x81a16100, 0xc0000000, 0xdeffffff, 0xdfffffff, 1 << 33, -1, 1 << 40}
	for _, s := range seconds {
		for top := range int64(0xef) {
			at := time.Unix(s, min(top<<22|1, 999_999_999)).UTC()
			want := stamped{1, at, at, map[string]any{"k": at}}
			var got stamped
			if err := (msgpack.Codec{}).Decode(encode(t, msgpack.Codec{}, want), &got); err != nil {
				t.Fatalf("%v: %v", at, err)
			}
			inner, _ := got.After["k"].(time.Time)
			any, _ := got.Any.(time.Time)
			if !got.At.Equal(at) || !any.Equal(at) || !inner.Equal(at) || got.Before != 1 {
				t.Fatalf("%v becomes %+v", at, got)
			}
		}
	}
}

// A timestamp where the program expects a map is no map, even if its bytes look like one.
func TestATimestampIsNoMap(t *testing.T) {
	for _, content := range []string{"\x81\xa1a\x91", "\xdf\xff\xff\xff", "\xde\xff\xff\xff", "\xc0\x01\x01\x01", "\x80\x01\x01\x01"} {
		data := []byte("\x82\xa1m\xd6\xff" + content + "\xa1s\x91\xdb\x00\x0f\x42\x40" + strings.Repeat("\x11", million))
		checkHostile(t, msgpack.Codec{}, data, func() any { return new(node) })
		checkHostile(t, msgpack.Codec{}, bytes.Replace(data, []byte("\xa1m"), []byte("\xa1t"), 1), func() any { return new(node) })
	}
}
