package codec_test

import (
	"testing"

	"github.com/espial-go/espial/codec"
)

func TestIDsAsText(t *testing.T) {
	names := map[codec.ID]string{
		codec.Raw: "raw", codec.JSON: "json", codec.CBOR: "cbor",
		codec.MessagePack: "msgpack", codec.BSON: "bson", codec.Protobuf: "protobuf",
		6: "6", codec.User: "128", 255: "255",
	}
	for id, want := range names {
		text, err := id.MarshalText()
		if string(text) != want || err != nil {
			t.Errorf("%d is %q, %v, want %q", uint8(id), text, err, want)
		}
		if aside := id > codec.Protobuf && id < codec.User; id.SetAside() != aside {
			t.Errorf("SetAside of %v is %v", id, !aside)
		}
		var back codec.ID
		if err := back.UnmarshalText(text); back != id || err != nil {
			t.Errorf("%q is the codec %d, %v, want %d", text, back, err, uint8(id))
		}
	}
	for _, text := range []string{"", "JSON", "256", "-1", "xml"} {
		if err := new(codec.ID).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a codec", text)
		}
	}
}
