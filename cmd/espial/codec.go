package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	mongo "go.mongodb.org/mongo-driver/v2/bson"

	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/codec/bson"
	"github.com/espial-go/espial/codec/cbor"
	"github.com/espial-go/espial/codec/msgpack"
)

// Numbers that are not converted.
var (
	errNumber = errors.New("a whole number has more than 64 bits")
	errDigits = errors.New("a number has more digits than anybody reads")
)

// bitsMax bounds an integer that is shown: writing digits takes the square of their number.
const bitsMax = 4096

// encodePayload returns the payload that data, which is JSON but for the codec raw, makes
// in the codec called name. Without a name it is data itself, as JSON if it is JSON.
func encodePayload(name string, data []byte) (codec.ID, []byte, error) {
	isJSON := utf8.Valid(data) && json.Valid(data)
	if name == "" && !isJSON {
		return codec.Raw, data, nil
	}
	id := codec.JSON
	if name != "" {
		if err := id.UnmarshalText([]byte(name)); err != nil || id > codec.Protobuf {
			return 0, nil, usagef("--codec: is %q, must be json, raw, cbor, msgpack or bson", name)
		}
	}
	switch {
	case id == codec.Raw:
		return id, data, nil
	case id == codec.Protobuf:
		return 0, nil, usagef("--codec protobuf: JSON does not say which message it is; --codec raw " +
			"publishes encoded bytes, which readers of a typed topic take for its codec")
	case !isJSON:
		return 0, nil, usagef("--codec %s: the data is no JSON; --codec raw publishes any bytes", name)
	case id == codec.JSON:
		return id, data, nil
	}
	b, err := fromJSON(id, data)
	if err != nil {
		return 0, nil, usagef("--codec %s: %v", name, err)
	}
	return id, b, nil
}

// fromJSON returns the value that data describes in a binary codec.
func fromJSON(id codec.ID, data []byte) ([]byte, error) {
	var b bytes.Buffer
	if id == codec.BSON {
		var doc mongo.D // keeps the order, and $date and the like become what they mean
		if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
			return nil, errors.New("the data must be a JSON object")
		}
		if err := mongo.UnmarshalExtJSON(data, false, &doc); err != nil {
			return nil, err
		}
		err := bson.Codec{}.Encode(&b, &doc)
		return b.Bytes(), err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // or whole numbers would become floats
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	v, err := numbers(v)
	if err != nil {
		return nil, err
	}
	err = binaryCodec(id).Encode(&b, &v)
	return b.Bytes(), err
}

// binaryCodec returns the codec whose payloads can be read without a schema, nil for others.
func binaryCodec(id codec.ID) codec.Codec {
	switch id {
	case codec.CBOR:
		return cbor.Codec{}
	case codec.MessagePack:
		return msgpack.Codec{}
	case codec.BSON:
		return bson.Codec{}
	default:
		return nil
	}
}

// numbers replaces every [json.Number] in v by an integer or a float.
func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return number(v)
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = numbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func number(n json.Number) (any, error) {
	if strings.ContainsAny(string(n), ".eE") {
		return n.Float64()
	}
	var u uint64
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	if err := json.Unmarshal([]byte(n), &u); err != nil {
		return nil, errNumber
	}
	return u, nil
}

// readable returns an event with its data as JSON, where a codec that describes itself lets
// it. Any other event comes back as it is.
func readable(event json.RawMessage) json.RawMessage {
	var e struct {
		Codec  codec.ID `json:"codec"`
		Base64 []byte   `json:"data_base64"`
	}
	if err := json.Unmarshal(event, &e); err != nil || binaryCodec(e.Codec) == nil {
		return event
	}
	data, err := toJSON(e.Codec, e.Base64)
	if err != nil {
		return event // data_base64 tells no less
	}
	return withJSON(event, "data", data)
}

// toJSON returns the value of a payload as JSON.
func toJSON(id codec.ID, payload []byte) ([]byte, error) {
	if id == codec.BSON {
		var doc mongo.D
		if err := (bson.Codec{}).Decode(payload, &doc); err != nil {
			return nil, err
		}
		return mongo.MarshalExtJSON(doc, false, false)
	}
	var v any
	if err := binaryCodec(id).Decode(payload, &v); err != nil {
		return nil, err
	}
	if endless(v) {
		return nil, errDigits
	}
	return json.Marshal(v)
}

// endless reports whether an integer in v has more than [bitsMax] bits.
func endless(v any) bool {
	switch v := v.(type) {
	case *big.Int:
		return v.BitLen() > bitsMax
	case []any:
		return slices.ContainsFunc(v, endless)
	case map[string]any:
		for _, e := range v {
			if endless(e) {
				return true
			}
		}
	}
	return false
}

// withJSON returns an event, or an answer, with data as a field in the place of that field in
// base64, and everything else as it was.
func withJSON(event json.RawMessage, field string, data []byte) json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(event))
	if _, err := dec.Token(); err != nil { // the brace
		return event
	}
	out := []byte{'{'}
	for dec.More() {
		key, err := dec.Token()
		var value json.RawMessage
		if err != nil || dec.Decode(&value) != nil {
			return event
		}
		if key == field+"_base64" {
			key, value = field, data
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		name, err := json.Marshal(key)
		if err != nil {
			return event
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}')
}
