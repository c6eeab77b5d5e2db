package espial

import (
	"context"
	"fmt"
	"reflect"
	"slices"
)

// ServeObject serves the exported methods of v under prefix: Print of a value that is served as
// printer is the method printer.Print. If v is a struct or points to one, its exported fields can be
// read, as printer.get.Name. What calls them is a struct of functions that [Bind] fills, a [Method]
// with the same types, or the command espial call. Values are sent as JSON. All of them are served
// or none, until stop is called or the node ends; opts apply to each.
//
// A method takes a context, a [Caller] and one argument, and returns one result and an error: all of
// them optional, in this order. The argument or the result may be a [Flow]. The context is that of
// a [Handler]; without a Caller a method does not know who calls. Where there is no argument or
// result, a struct{} stands for it. Methods run at the same time as each other, as v must bear; a
// field is read when it is asked for, without a lock, so that one that changes should be a method.
//
// The error is a [MethodError]: for a method of another shape, because nothing that is exported
// should be missing in silence; for a v without methods and fields; and as for [Node.Serve]. An
// embedded type exports its methods, too. A program that uses ServeObject keeps all exported methods
// of all its types, which can make it larger by megabytes.
func ServeObject(n *Node, prefix string, v any, opts ...ServeOption) (stop func(), err error) {
	list, err := n.object(prefix, v)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if err := checkMethod(s.method); err != nil {
			return nil, err
		}
	}
	return n.serve(opts, list...)
}

// property stands between the prefix of an object and the name of a field.
const property = ".get."

// object returns the services of a value.
func (n *Node) object(prefix string, v any) (list []service, err error) {
	refused := func(name, reason string) error { return &MethodError{Method: prefix + name, Reason: reason} }
	value := reflect.ValueOf(v)
	if !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil() {
		return nil, refused("", "a nil value cannot be served")
	}
	for i := range value.NumMethod() {
		name := value.Type().Method(i).Name
		s, ok := n.objectMethod(prefix+"."+name, value.Method(i))
		if !ok {
			const want = "func([context], [Caller], [argument]) ([result], [error])"
			return nil, refused("."+name, "is not of the shape "+want)
		}
		list = append(list, s)
	}
	if value = reflect.Indirect(value); value.Kind() == reflect.Struct {
		for _, f := range reflect.VisibleFields(value.Type()) {
			if f.IsExported() && len(f.Index) == 1 {
				list = append(list, n.objectField(prefix+property+f.Name, value.FieldByIndex(f.Index)))
			}
		}
	}
	if len(list) == 0 {
		return nil, refused("", fmt.Sprintf("%T has no exported method or field", v))
	}
	return list, nil
}

// shape is what the method of an object takes and returns.
type shape struct {
	ctx, caller      bool
	argument, result reflect.Type // struct{} for none
	fails            bool         // its last result is an error
}

// shapeOf returns the shape of a function, if it has one.
func shapeOf(t reflect.Type) (s shape, ok bool) {
	none := reflect.TypeFor[struct{}]()
	s.argument, s.result = none, none
	in := slices.Collect(t.Ins())
	if s.ctx = len(in) > 0 && in[0] == reflect.TypeFor[context.Context](); s.ctx {
		in = in[1:]
	}
	if s.caller = len(in) > 0 && in[0] == reflect.TypeFor[Caller](); s.caller {
		in = in[1:]
	}
	out := t.NumOut()
	if s.fails = out > 0 && t.Out(out-1) == reflect.TypeFor[error](); s.fails {
		out--
	}
	if len(in) == 1 {
		s.argument = in[0]
	}
	if out == 1 {
		s.result = t.Out(0)
	}
	return s, len(in) <= 1 && out <= 1 && !t.IsVariadic()
}

// verb returns the method of that name.
func (s shape) verb(name string) *verb {
	return &verb{
		name: name, codec: &jsonCodec{},
		argument: nameOf(reflect.New(s.argument).Interface()),
		result:   nameOf(reflect.New(s.result).Interface()),
	}
}

// flows reports whether the result is a flow.
func (s shape) flows() bool {
	_, ok := reflect.TypeAssert[flower](reflect.New(s.result))
	return ok
}

// objectMethod returns the service of a method, if its shape is one that is served.
func (n *Node) objectMethod(name string, f reflect.Value) (service, bool) {
	t := f.Type()
	s, ok := shapeOf(t)
	if !ok {
		return service{}, false
	}
	v := s.verb(name)
	takes := t.NumIn() > 0 && t.In(t.NumIn()-1) == s.argument
	return v.service(n, s.flows(), func(ctx context.Context, c Caller, data []byte) (any, error) {
		q := reflect.New(s.argument)
		if takes {
			if err := v.read(ctx, n, &c, data, q.Interface()); err != nil {
				return nil, err
			}
		}
		in := make([]reflect.Value, 0, t.NumIn())
		if s.ctx {
			in = append(in, reflect.ValueOf(ctx))
		}
		if s.caller {
			in = append(in, reflect.ValueOf(c))
		}
		if takes {
			in = append(in, q.Elem())
		}
		out := f.Call(in)
		if s.fails {
			last := len(out) - 1
			if err, _ := reflect.TypeAssert[error](out[last]); err != nil {
				return nil, err
			}
			out = out[:last]
		}
		r := reflect.New(s.result)
		if len(out) > 0 {
			r.Elem().Set(out[0])
		}
		return r.Interface(), nil
	}), true
}

// objectField returns the service of a field.
func (n *Node) objectField(name string, f reflect.Value) service {
	v := shape{argument: reflect.TypeFor[struct{}](), result: f.Type()}.verb(name)
	return v.service(n, false, func(context.Context, Caller, []byte) (any, error) {
		r := reflect.New(f.Type())
		r.Elem().Set(f)
		return r.Interface(), nil
	})
}
