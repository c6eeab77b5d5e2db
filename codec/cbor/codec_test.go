package cbor_test

import (
	"bytes"
	"math/big"
	"testing"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/codec/cbor"
)

func ExampleCodec() {
	type Order struct {
		ID    string   `cbor:"1,keyasint"` // a small number in the place of a name
		Total *big.Int `json:"total"`      // the tag of JSON counts, too
		At    time.Time
	}
	_ = espial.NewTopic[Order]("orders.placed").WithCodec(cbor.Codec{})
}

func TestBytes(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    any
		want string
	}{
		{"a time is text with its tag, exact", new(time.Date(2026, 11, 20, 13, 0, 0, 5, time.UTC)), "\xc0\x78\x1e2026-11-20T13:00:00.000000005Z"},
		{"a large integer", new(big.NewInt(0).Lsh(big.NewInt(1), 64)), "\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"a field by its tag of JSON", &struct {
			ID int `json:"id"`
		}{7}, "\xa1\x62id\x07"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := (cbor.Codec{}).Encode(&b, tt.v); err != nil || b.String() != tt.want {
				t.Errorf("got %q, %v, want %q", b.String(), err, tt.want)
			}
		})
	}
}
