package espial_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/codec/bson"
	"github.com/espial-go/espial/codec/cbor"
	"github.com/espial-go/espial/codec/msgpack"
	"github.com/espial-go/espial/codec/protobuf"
	"github.com/espial-go/espial/internal/frame"
)

// documents are the codecs that carry structs.
var documents = []codec.Codec{espial.JSON(), cbor.Codec{}, msgpack.Codec{}, bson.Codec{}}

// gobs is a codec that a user brings.
type gobs struct{}

func (gobs) ID() codec.ID { return 200 }

func (gobs) Encode(b *bytes.Buffer, v any) error { return gob.NewEncoder(b).Encode(v) }

func (gobs) Decode(data []byte, v any) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(v) }

// numbered is a codec with a number of the test's choice.
type numbered struct {
	codec.Bytes
	id codec.ID
}

func (n numbered) ID() codec.ID { return n.id }

// encode returns the bytes of a value.
func encode[T any](t testing.TB, c codec.Codec, v T) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("before ")
	if err := c.Encode(&b, &v); err != nil {
		t.Fatalf("%v does not encode %+v: %v", c.ID(), v, err)
	}
	data, ok := bytes.CutPrefix(b.Bytes(), []byte("before "))
	if !ok {
		t.Fatalf("%v wrote over what the buffer had: %q", c.ID(), b.Bytes())
	}
	return data
}

// What a program publishes is what another one reads, whatever the codec, and the bytes
// may be used again when it is read.
func TestValuesSurviveTheirCodec(t *testing.T) {
	type line struct {
		Name  string `json:"name"`
		Count int    `json:"count"`
	}
	type order struct {
		ID    string            `json:"id"`
		Lines []line            `json:"lines"`
		Notes map[string]string `json:"notes"`
		At    time.Time         `json:"at"`
		Price float64           `json:"price"`
		Cents int64             `json:"cents"`
		Seal  []byte            `json:"seal"`
		Next  *line             `json:"next"`
		Any   any               `json:"any"`
	}
	want := order{
		ID: "7 é", Lines: []line{{"a", 1}, {"b", -2}}, Notes: map[string]string{"k": "v"},
		At: time.Date(2026, 11, 20, 13, 0, 0, 987e6, time.UTC), Price: 1.5, Cents: 1 << 60,
		Seal: []byte{0, 1, 255}, Next: &line{"c", 3}, Any: "text",
	}
	for _, c := range documents {
		t.Run(c.ID().String(), func(t *testing.T) {
			data := encode(t, c, want)
			var got order
			if err := c.Decode(data, &got); err != nil {
				t.Fatal(err)
			}
			for i := range data {
				data[i] = 0xc1
			}
			got.At = got.At.UTC() // the instant is what survives
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("raw", func(t *testing.T) {
		data := encode(t, codec.Bytes{}, []byte("as it is"))
		var got []byte
		if err := (codec.Bytes{}).Decode(data, &got); err != nil {
			t.Fatal(err)
		}
		data[0] = 'X'
		if string(got) != "as it is" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("protobuf", func(t *testing.T) {
		want, err := structpb.NewStruct(map[string]any{"id": "7", "lines": []any{1, true, nil}})
		if err != nil {
			t.Fatal(err)
		}
		data := encode(t, protobuf.Codec{}, want)
		var got *structpb.Struct
		if err := (protobuf.Codec{}).Decode(data, &got); err != nil {
			t.Fatal(err)
		}
		clear(data)
		if !proto.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// An any becomes what JSON makes of it, so that a program need not care for the codec.
func TestUntypedValuesAreTheSameInMostCodecs(t *testing.T) {
	want := map[string]any{"a": "text", "b": true, "c": nil, "d": []any{"x"}, "e": map[string]any{"f": 1.5}}
	for _, c := range []codec.Codec{espial.JSON(), cbor.Codec{}, msgpack.Codec{}} {
		var got any
		if err := c.Decode(encode(t, c, any(want)), &got); err != nil {
			t.Fatalf("%v: %v", c.ID(), err)
		}
		if diff := cmp.Diff(any(want), got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.ID(), diff)
		}
	}
}

// A type that a codec cannot carry is the program's mistake, and the error names both.
func TestTypesThatACodecDoesNotCarry(t *testing.T) {
	type order struct{ ID string }
	tests := []struct {
		name  string
		codec codec.Codec
		v     any // a pointer, as a topic hands it over
		says  string
	}{
		{"raw text", codec.Bytes{}, new(string), "the codec raw carries a []byte and not string"},
		{"a struct as Protocol Buffers", protobuf.Codec{}, &order{}, "protobuf carries a proto.Message and not espial_test.order"},
		{"a message that is no pointer", protobuf.Codec{}, new(struct{ structpb.Struct }), "a proto.Message and not"},
		{"a nil message of any type", protobuf.Codec{}, new(proto.Message), "a proto.Message and not"},
		{"a list as BSON", bson.Codec{}, &[]string{"a"}, "bson carries a document and not []string"},
		{"a number as BSON", bson.Codec{}, new(int), "bson carries a document and not int"},
		{"a list in an any as BSON", bson.Codec{}, new(any([]int{1})), "bson carries a document and not []int"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			err := tt.codec.Encode(&b, tt.v)
			te, ok := errors.AsType[*codec.TypeError](err)
			if !ok || te.Codec != tt.codec.ID() || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Encode(%T) = %v, want a TypeError that says %q", tt.v, err, tt.says)
			}
			if err := tt.codec.Decode([]byte("\x05\x00\x00\x00\x00"), tt.v); err == nil && tt.codec != (bson.Codec{}) {
				t.Errorf("Decode into a %T succeeds", tt.v)
			}
		})
	}
}

// The numbers of the public packages are those of the wire format.
func TestCodecsHaveTheNumbersOfTheWire(t *testing.T) {
	for id, want := range map[codec.ID]uint8{
		codec.Raw: frame.CodecRaw, codec.JSON: frame.CodecJSON, codec.CBOR: frame.CodecCBOR,
		codec.MessagePack: frame.CodecMessagePack, codec.BSON: frame.CodecBSON,
		codec.Protobuf: frame.CodecProtobuf, codec.User: frame.CodecUser,
	} {
		if uint8(id) != want {
			t.Errorf("%v has the number %d, on the wire it has %d", id, uint8(id), want)
		}
	}
	for c, want := range map[codec.Codec]codec.ID{
		espial.JSON(): codec.JSON, codec.Bytes{}: codec.Raw, cbor.Codec{}: codec.CBOR,
		msgpack.Codec{}: codec.MessagePack, bson.Codec{}: codec.BSON, protobuf.Codec{}: codec.Protobuf,
	} {
		if c.ID() != want {
			t.Errorf("%T is %v, want %v", c, c.ID(), want)
		}
	}
}

// Bytes in a binary codec may happen to be JSON, and are not.
func TestOnlyJSONIsShownAsJSON(t *testing.T) {
	tests := []struct {
		codec codec.ID
		data  string
		want  string
	}{
		{codec.Raw, `{"a":1}`, `"codec":"raw","data":{"a":1}}`},
		{codec.Raw, "text", `"codec":"raw","data_base64":"dGV4dA=="}`},
		{codec.JSON, `{"a":1}`, `"codec":"json","data":{"a":1}}`},
		{codec.JSON, `{`, `"codec":"json","data_base64":"ew=="}`},
		{codec.MessagePack, "1", `"codec":"msgpack","data_base64":"MQ=="}`},
		{200, "1", `"codec":"200","data_base64":"MQ=="}`},
	}
	for _, tt := range tests {
		b, err := json.Marshal(espial.Event{Codec: tt.codec, Data: []byte(tt.data)})
		if err != nil || !strings.HasSuffix(string(b), tt.want) {
			t.Errorf("%v %q is shown as %s, %v, want the end %s", tt.codec, tt.data, b, err, tt.want)
		}
	}
}

// Each event is decoded by the codec that it names. One that nobody knows, or that does
// not decode, is an error in its place, and the reader goes on.
func TestReadersGoByTheCodecOfTheEvent(t *testing.T) {
	type order struct{ ID int }
	const name = "orders.placed"
	old := espial.NewTopic[order](name)
	now := espial.NewTopic[order](name).WithCodec(cbor.Codec{})
	own := espial.NewTopic[order](name).WithCodec(gobs{})
	strange := espial.NewTopic[[]byte](name).WithCodec(numbered{id: 201})
	broken := espial.NewTopic[[]byte](name).WithCodec(numbered{id: codec.CBOR})
	inCluster(t, 1, func(c *cluster) {
		a := c.nodes[0]
		b := c.start(espial.Config{Codecs: []codec.Codec{gobs{}}})
		c.meet(2)
		events, untyped := now.Subscribe(c.Context(), b), b.Subscribe(c.Context(), name)
		ctx := c.Context()
		if err := errors.Join(
			old.Publish(ctx, a, order{1}),
			now.Publish(ctx, a, order{2}),
			own.Publish(ctx, a, order{3}),
			strange.Publish(ctx, a, []byte("?")),
			broken.Publish(ctx, a, []byte{0xff}),
			a.Publish(ctx, name, []byte("\xa1\x62ID\x06")), // raw bytes are taken for CBOR
			a.Publish(ctx, name, []byte("\xa0")),           // without an ID: none is left of the last one
			now.Publish(ctx, a, order{8}),
		); err != nil {
			c.Fatal(err)
		}
		var got []string
		for e, err := range events {
			word := fmt.Sprint(e.Codec, " ", e.Value.ID)
			if de, ok := errors.AsType[*espial.DecodeError](err); ok && de.Codec == e.Codec && de.From == a.ID() {
				word = fmt.Sprint(e.Codec, ": ", de.Err)
			} else if err != nil {
				c.Fatal(err)
			}
			if got = append(got, word); len(got) == 8 {
				break
			}
		}
		c.same("values", got, []string{
			"json 1", "cbor 2", "200 3",
			"201: this node does not know the codec; Config.Codecs has those that it should",
			`cbor: cbor: unexpected "break" code`, "raw 6", "raw 0", "cbor 8",
		})
		var codecs []string
		for e, err := range untyped {
			if err != nil {
				c.Fatal(err)
			}
			if codecs = append(codecs, e.Codec.String()); len(codecs) == 8 {
				break
			}
		}
		c.same("codecs", codecs, strings.Fields("json cbor 200 201 cbor raw raw cbor"))
	})
}

// A leader's events have the topic's codec, too.
func TestLeadersPublishInTheCodecOfTheTopic(t *testing.T) {
	orders := espial.NewTopic[int]("orders.counted").WithCodec(msgpack.Codec{})
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		events := orders.Subscribe(c.Context(), n)
		for term := range n.Terms(c.Context()) {
			if err := orders.PublishAs(c.Context(), term, 7); err != nil {
				c.Fatal(err)
			}
			break
		}
		for e, err := range events {
			if e.Value != 7 || e.Codec != codec.MessagePack || e.Term == 0 || err != nil {
				c.Errorf("got %d in %v of term %d, %v, want 7 in msgpack of a term", e.Value, e.Codec, e.Term, err)
			}
			break
		}
	})
}

// What a topic cannot do is said by its first use, and nothing is sent.
func TestTopicsRefuseWhatTheyCannotEncode(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n, ctx := c.nodes[0], c.Context()
		tests := []struct {
			name string
			err  error
			says string
		}{
			{
				"a type that the codec does not carry",
				espial.NewTopic[int]("t").WithCodec(protobuf.Codec{}).Publish(ctx, n, 1),
				"espial: topic t: the value does not encode: the codec protobuf carries a proto.Message and not int",
			},
			{
				"a value that JSON does not have",
				espial.NewTopic[chan int]("t").Publish(ctx, n, nil),
				"json: unsupported type: chan int",
			},
			{
				"no codec",
				espial.NewTopic[int]("t").WithCodec(nil).Publish(ctx, n, 1),
				"has a codec that is nil",
			},
			{
				"a number that is set aside",
				espial.NewTopic[[]byte]("t").WithCodec(numbered{id: 6}).Publish(ctx, n, nil),
				"number 6, which is set aside; users have 128 to 255",
			},
		}
		for _, tt := range tests {
			if tt.err == nil || !strings.Contains(tt.err.Error(), tt.says) {
				c.Errorf("%s: Publish = %v, want an error that says %q", tt.name, tt.err, tt.says)
			}
		}
		if _, ok := errors.AsType[*codec.TypeError](tests[0].err); !ok {
			c.Errorf("%v wraps no TypeError", tests[0].err)
		}
		errs := 0
		for _, err := range espial.NewTopic[int]("t").WithCodec(nil).Subscribe(ctx, n) {
			if _, ok := errors.AsType[*espial.TopicError](err); !ok {
				c.Errorf("Subscribe without a codec yields %v, want a TopicError", err)
			}
			errs++
		}
		if errs != 1 {
			c.Errorf("Subscribe without a codec yields %d errors, want one", errs)
		}
	})
}
