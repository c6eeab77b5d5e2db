package espial

import (
	"context"
	"fmt"
	"reflect"
	"strings"
)

// Bind returns a T, a struct of functions, that call the methods of an object that members serve
// under prefix: see [ServeObject]. to is as for [Node.Call]; an object with a state of its own is
// best bound to one member.
//
//	type Printer struct {
//		Print func(ctx context.Context, doc Document) (Receipt, error)
//		Get   struct {
//			Name func(ctx context.Context) (string, error)
//		}
//	}
//	printer, err := espial.Bind[Printer](n, espial.Named("office"), "printer")
//
// Each exported field is a function that takes a context and at most one argument, and returns at most
// one result and an error. It calls the method of its name, printer.Print; an error is that of
// [Method.Call]. A field that is a struct stands for what is below its name, and one called Get for
// the fields of the object. A tag gives another name, `espial:"get.Name"`, and `espial:"-"` passes
// the field over. The functions may be used by many goroutines.
//
// Nobody is asked: a method that is not served is an [ErrNoHandler] when it is called, and one with
// other types a [MismatchError]. Bind returns a [MethodError] for a field of another kind, a prefix
// that no method can have, or a T that is no struct, and a [TargetError].
func Bind[T any](n *Node, to Target, prefix string) (T, error) {
	var t T
	err := to.check()
	if err == nil {
		err = n.bind(reflect.ValueOf(&t).Elem(), &to, prefix)
	}
	if err != nil {
		var none T
		return none, err
	}
	return t, nil
}

// bind fills a struct of functions.
func (n *Node) bind(v reflect.Value, to *Target, prefix string) error {
	if v.Kind() != reflect.Struct {
		reason := fmt.Sprintf("is bound to a %v, which is no struct", v.Type())
		return &MethodError{Method: prefix, Reason: reason}
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("espial")
		switch {
		case name == "-" || !f.IsExported():
			continue
		case name == "" && f.Type.Kind() == reflect.Struct && f.Name == "Get":
			name = "get"
		case name == "":
			name = f.Name
		}
		if err := n.bindField(v.Field(i), to, prefix+"."+name); err != nil {
			return err
		}
	}
	return nil
}

// bindField fills one field of a struct of functions.
func (n *Node) bindField(v reflect.Value, to *Target, name string) error {
	if v.Kind() == reflect.Struct {
		return n.bind(v, to, name)
	}
	if !strings.HasPrefix(name, lentPrefix) {
		if err := checkMethod(name); err != nil {
			return err
		}
	}
	if v.Kind() == reflect.Func {
		if s, ok := shapeOf(v.Type()); ok && s.ctx && s.fails && !s.caller {
			v.Set(reflect.MakeFunc(v.Type(), n.stub(s, v.Type(), to, name)))
			return nil
		}
	}
	const want = "func(context, [argument]) ([result], error)"
	reason := fmt.Sprintf("is bound to a %v, and not to a %s", v.Type(), want)
	return &MethodError{Method: name, Reason: reason}
}

// stub returns a function of that type which calls a method.
func (n *Node) stub(
	s shape, t reflect.Type, to *Target, name string,
) func(args []reflect.Value) (results []reflect.Value) {
	v := s.verb(name)
	return func(args []reflect.Value) []reflect.Value {
		ctx, _ := reflect.TypeAssert[context.Context](args[0])
		q, r := reflect.New(s.argument), reflect.New(s.result)
		if len(args) > 1 {
			q.Elem().Set(args[1])
		}
		failed := reflect.New(reflect.TypeFor[error]()).Elem()
		if err := v.call(ctx, n, to, q.Interface(), r.Interface()); err != nil {
			failed.Set(reflect.ValueOf(err))
		}
		if t.NumOut() == 1 {
			return []reflect.Value{failed}
		}
		return []reflect.Value{r.Elem(), failed}
	}
}
