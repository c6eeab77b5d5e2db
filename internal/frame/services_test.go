package frame_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/frame"
)

func TestServices(t *testing.T) {
	want := []string{"a", "api", strings.Repeat("x", frame.NameMax)}
	var b []byte
	for _, name := range want {
		b = frame.AppendService(b, name)
	}
	if got, ok := frame.DecodeServices(b); !ok || !slices.Equal(got, want) {
		t.Errorf("DecodeServices = %q, %v, want %q", got, ok, want)
	}
	if got, ok := frame.DecodeServices(nil); !ok || len(got) != 0 {
		t.Errorf("DecodeServices of nothing = %q, %v", got, ok)
	}
	for name, b := range map[string][]byte{
		"cut":                        b[:len(b)-1],
		"a name with too many bytes": frame.AppendService(nil, strings.Repeat("x", frame.NameMax+1)),
		"too long":                   make([]byte, frame.ServicesMax+1),
	} {
		if got, ok := frame.DecodeServices(b); ok {
			t.Errorf("%s: %q", name, got)
		}
	}
}
