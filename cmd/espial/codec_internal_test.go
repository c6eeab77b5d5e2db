package main

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

func TestReadable(t *testing.T) {
	for _, tt := range []struct {
		name, codec, payload string
		want                 string // the end of the event, in the place of data_base64
	}{
		{"CBOR", `"cbor"`, "\xa1\x61a\x01", `"data":{"a":1}`},
		{"a time", `"msgpack"`, "\xd6\xff\x00\x00\x00\x01", `"data":"1970-01-01T00:00:01Z"`},
		{"bytes", `"msgpack"`, "\xc4\x02\x00\xff", `"data":"AP8="`},
		{"a large number", `"cbor"`, "\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00", `"data":18446744073709551616`},
		{"BSON that JSON has no form for", `"bson"`, "\x10\x00\x00\x00\x01a\x00\x00\x00\x00\x00\x00\x00\xf8\x7f\x00", `"data":{"a":{"$numberDouble":"NaN"}}`},
		{"a number that takes long to write", `"cbor"`, "\x81\xc2\x59\x02\x01" + strings.Repeat("\xff", 513), `"data_base64":"` + base64.StdEncoding.EncodeToString([]byte("\x81\xc2\x59\x02\x01"+strings.Repeat("\xff", 513))) + `"`},
		{"the same in a tag", `"cbor"`, "\xd9\x03\xe7\xc2\x59\x02\x01" + strings.Repeat("\xff", 513), `"data_base64":"` + base64.StdEncoding.EncodeToString([]byte("\xd9\x03\xe7\xc2\x59\x02\x01"+strings.Repeat("\xff", 513))) + `"`},
		{"what JSON does not have", `"cbor"`, "\xf9\x7e\x00", `"data_base64":"+X4A"`},
		{"keys that are no text", `"cbor"`, "\xa1\x01\x02", `"data_base64":"oQEC"`},
		{"what does not decode", `"cbor"`, "\xff", `"data_base64":"/w=="`},
		{"what needs a schema", `"protobuf"`, "\x08\x01", `"data_base64":"CAE="`},
		{"a codec of somebody's own", `"200"`, "1", `"data_base64":"MQ=="`},
		{"raw bytes", `"raw"`, "\xa1\x61a\x01", `"data_base64":"oWFhAQ=="`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const before = `{"time":"2026-11-20T12:00:00Z","topic":"a","seq":9007199254740993,"later":[1, 2],"codec":`
			in := before + tt.codec + `,"data_base64":"` + base64.StdEncoding.EncodeToString([]byte(tt.payload)) + `"}`
			want := before + tt.codec + "," + tt.want + "}"
			if got := string(readable(json.RawMessage(in))); strings.ReplaceAll(got, ", ", ",") != strings.ReplaceAll(want, ", ", ",") {
				t.Errorf("readable(%s)\n got %s\nwant %s", in, got, want)
			}
		})
	}
}
