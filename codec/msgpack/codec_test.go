package msgpack_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/codec/msgpack"
)

func ExampleCodec() {
	type Order struct {
		ID    string `msgpack:"i"`
		Total int64  `json:"total"` // the tag of JSON counts, too
		At    time.Time
	}
	_ = espial.NewTopic[Order]("orders.placed").WithCodec(msgpack.Codec{})
}

// Values of every code are read, and nothing that lacks a byte anywhere.
func TestEveryCodeIsRead(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, data := range []string{
		"\x00", "\x7f", "\xe0", "\xff", "\xc0", "\xc2", "\xc3",
		"\xcc\x01", "\xcd\x01\x02", "\xce\x01\x02\x03\x04", "\xcf\x01\x02\x03\x04\x05\x06\x07\x08",
		"\xd0\x01", "\xd1\x01\x02", "\xd2\x01\x02\x03\x04", "\xd3\x01\x02\x03\x04\x05\x06\x07\x08",
		"\xca\x01\x02\x03\x04", "\xcb\x01\x02\x03\x04\x05\x06\x07\x08",
		"\xa0", "\xbf" + long(31), "\xd9\x02" + long(2), "\xda\x00\x02" + long(2), "\xdb\x00\x00\x00\x02" + long(2),
		"\xc4\x02\x00\xff", "\xc5\x00\x02\x00\xff", "\xc6\x00\x00\x00\x02\x00\xff",
		"\x90", "\x92\x01\x91\x02", "\xdc\x00\x01\x01", "\xdd\x00\x00\x00\x01\x01",
		"\x80", "\x81\xa1a\x01", "\xde\x00\x01\xa1a\x01", "\xdf\x00\x00\x00\x01\xa1a\x01",
		"\xd6\xff\x00\x00\x00\x01", "\xd7\xff\x00\x00\x00\x04\x00\x00\x00\x01",
		"\xc7\x0c\xff\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		if err := (msgpack.Codec{}).Decode([]byte(data), new(any)); err != nil {
			t.Errorf("%q: %v", data, err)
		}
		for n := range len(data) {
			if err := (msgpack.Codec{}).Decode([]byte(data[:n]), new(any)); err == nil {
				t.Errorf("%q is a value, the first %d bytes of %q", data[:n], n, data)
			}
		}
	}
}

func TestBytes(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    any
		want string
	}{
		{"an integer is as short as it can be", new(int64(7)), "\x07"},
		{"a time of whole seconds", new(time.Unix(1, 0)), "\xd6\xff\x00\x00\x00\x01"},
		{"a field by its tag of JSON", &struct {
			ID int `json:"id"`
		}{7}, "\x81\xa2id\x07"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := (msgpack.Codec{}).Encode(&b, tt.v); err != nil || b.String() != tt.want {
				t.Errorf("got %q, %v, want %q", b.String(), err, tt.want)
			}
		})
	}
}
