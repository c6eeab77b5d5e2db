package frame_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/frame"
)

func TestMethods(t *testing.T) {
	want := []frame.Method{
		{Name: "a"}, {Name: "orders.place", Codec: 1, Argument: "shop.Order", Result: "int", About: "places an order"},
	}
	var b []byte
	for _, m := range want {
		b = m.Append(b)
	}
	if got, ok := frame.DecodeMethods(b); !ok || !slices.Equal(got, want) {
		t.Errorf("DecodeMethods = %v, %v, want %v", got, ok, want)
	}
	if got, ok := frame.DecodeMethods(nil); !ok || len(got) != 0 {
		t.Errorf("DecodeMethods of nothing = %v, %v", got, ok)
	}
	long := frame.Method{Name: "a", Argument: strings.Repeat("x", 129), About: strings.Repeat("x", 257)}
	if got, ok := frame.DecodeMethods(long.Append(nil)); !ok || len(got[0].Argument) != 128 || len(got[0].About) != 256 {
		t.Errorf("what is too long comes back as %v, %v", got, ok)
	}
	for name, b := range map[string][]byte{
		"cut": b[:len(b)-1], "a name alone": {1, 'a'}, "too long": make([]byte, frame.MethodsMax+1),
	} {
		if got, ok := frame.DecodeMethods(b); ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}
