package espial

import (
	"bytes"
	"context"
	"fmt"
	"reflect"

	"github.com/espial-go/espial/codec"
)

// verb is a method without its types: what both ends do with pointers to its values.
type verb struct {
	name     string
	codec    codec.Codec
	argument string // the types by their names
	result   string
}

// service returns the service of a method at n: run reads the argument and returns a pointer to the
// result, which may be a flow.
func (v *verb) service(
	n *Node, flows bool, run func(ctx context.Context, c Caller, data []byte) (r any, err error),
) service {
	s := service{method: v.name, codec: v.codec.ID(), argument: v.argument, result: v.result}
	if flows {
		s.flows = &flowsMax{}
		s.handle = v.handleFlow(n, s.flows, run)
		return s
	}
	s.handle = func(ctx context.Context, c Caller, data []byte) ([]byte, error) {
		r, err := run(ctx, c, data)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := v.codec.Encode(&b, r); err != nil {
			return nil, fmt.Errorf("the result does not encode: %w", err)
		}
		return b.Bytes(), nil
	}
	return s
}

// read reads the argument of a call into q.
func (v *verb) read(ctx context.Context, n *Node, c *Caller, data []byte, q any) error {
	var err error
	if f, ok := q.(flower); ok {
		in := &reading{node: n, ctx: ctx, method: v.name, from: c.Sender, codec: v.codec}
		c.Codec, err = in.open(f, c.Codec, data)
	} else {
		err = n.decodeValue(c.Codec, v.codec, data, q)
	}
	if err != nil {
		return &argumentError{want: v.argument, err: err}
	}
	return nil
}

// request is what a call of a method sends to one member.
type request struct {
	codec codec.ID
	data  []byte
	life  context.Context // of the flow that comes back
	done  func()          // nil, or called when that was read, and at once where none comes
}

// ask calls the method at one member, and reads its result into r.
func (v *verb) ask(
	ctx context.Context, n *Node, id NodeID, q request, r any,
) (from Sender, c codec.ID, err error) {
	reply, from, err := n.ask(ctx, id, question{v.name, q.codec, v.argument, q.data})
	f, comes := r.(flower)
	if err == nil {
		c = codec.ID(reply.Codec)
		if comes {
			in := &reading{node: n, ctx: q.life, done: q.done, method: v.name, from: from, codec: v.codec}
			c, err = in.open(f, c, reply.Value)
		} else {
			err = n.decodeValue(c, v.codec, reply.Value, r)
		}
		if err != nil {
			err = &MismatchError{Here: v.result, There: reply.Text, Err: err}
			err = &MethodError{Method: v.name, Member: from, Err: err}
		}
	}
	if q.done != nil && (!comes || err != nil) {
		q.done()
	}
	return from, c, err
}

// call calls the method with the argument to which q points at one of the members that to means, and
// reads its result into r.
func (v *verb) call(ctx context.Context, n *Node, to *Target, q, r any) error {
	if f, ok := q.(flower); ok {
		return v.callFlow(ctx, n, to, f, r)
	}
	var b bytes.Buffer
	if err := v.codec.Encode(&b, q); err != nil {
		return v.unencoded(err)
	}
	id, err := n.callee(v.name, to)
	if err != nil {
		return err
	}
	_, _, err = v.ask(ctx, n, id, request{codec: v.codec.ID(), data: b.Bytes(), life: ctx}, r)
	return err
}

// unencoded returns the error of an argument that does not encode.
func (v *verb) unencoded(err error) error {
	return &MethodError{Method: v.name, Reason: "the argument does not encode", Err: err}
}

// decodeValue reads an argument or a result into v.
func (n *Node) decodeValue(id codec.ID, own codec.Codec, data []byte, v any) error {
	if id == flowCodec {
		return errFlowHere
	}
	c := n.codec(id, own)
	if c == nil {
		return errCodec
	}
	return c.Decode(data, v)
}

// typeName returns the name of a type, for who reads of a mismatch.
func typeName[T any]() string { return nameOf((*T)(nil)) }

// nameOf returns the name of the type to which v points.
func nameOf(v any) string {
	if f, ok := v.(flower); ok {
		return "espial.Flow[" + f.values() + "]"
	}
	return reflect.TypeOf(v).Elem().String()
}
