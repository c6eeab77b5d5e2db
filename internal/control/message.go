package control

import "encoding/json"

// verbMax bounds the length of a verb, in bytes.
const verbMax = 32

// Request is what a client asks.
type Request struct {
	Verb string          `json:"verb"`           // 1 to 32 characters a-z and '_'
	Args json.RawMessage `json:"args,omitempty"` // what belongs to the verb; any JSON value, or nothing

	take func(facts any) (*Stream, error)
}

// answer is one line of an answer. Exactly one field is set, but for data with a stream.
type answer struct {
	Data   json.RawMessage `json:"data,omitempty"`
	Stream bool            `json:"stream,omitempty"` // what follows is a [Stream]
	Done   bool            `json:"done,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// newRequest returns a request of a client.
func newRequest(verb string, args any) (Request, error) {
	r := Request{Verb: verb}
	if args == nil {
		return r, nil
	}
	b, err := json.Marshal(args)
	r.Args = b
	return r, err
}

// Hello is the answer to the verb "hello": who it is that listens.
type Hello struct {
	ID      string `json:"id"` // the full text form of the node's ID
	Name    string `json:"name"`
	Cluster string `json:"cluster"`
	Version string `json:"version"`
}

// decodeRequest reads the line of a request. Every error is an [*Error] with
// [CodeRequest]. Unknown fields are ignored, so that a later client can ask an
// earlier node.
func decodeRequest(line []byte) (Request, error) {
	var r Request
	if err := json.Unmarshal(line, &r); err != nil {
		return Request{}, badRequest("the request is not one JSON object on one line: %v", err)
	}
	if len(r.Verb) == 0 || len(r.Verb) > verbMax {
		return Request{}, badRequest("the verb has %d bytes, want 1 to %d", len(r.Verb), verbMax)
	}
	for _, c := range r.Verb {
		if (c < 'a' || c > 'z') && c != '_' {
			return Request{}, badRequest("the verb %q has characters other than a-z and _", r.Verb)
		}
	}
	return r, nil
}
