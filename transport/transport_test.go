package transport_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/espial-go/espial/transport"
)

// named is a transport that fails with its name.
type named string

func (n named) Listen(context.Context, string) (net.Listener, error) {
	return nil, errors.New("listen by " + string(n))
}

func (n named) Dial(context.Context, string) (net.Conn, error) {
	return nil, errors.New("dial by " + string(n))
}

func TestByScheme(t *testing.T) {
	by := transport.ByScheme{"ws": named("web"), "tcp": named("plain"), "unix": nil}
	if got := by.Schemes(); !slices.Equal(got, []string{"tcp", "unix", "ws"}) {
		t.Errorf("Schemes = %q", got)
	}
	for _, tt := range []struct{ addr, want string }{
		{"10.0.0.1:1", "by plain"},
		{":1", "by plain"},
		{"ws://a/b", "by web"},
		{"wss://a/b", `unknown scheme "wss"; there are tcp, unix, ws`},
		{"unix:///run/x", `unknown scheme "unix"`},
	} {
		_, err := by.Listen(t.Context(), tt.addr)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Listen(%q) = %v, want %q", tt.addr, err, tt.want)
		}
		_, err = by.Dial(t.Context(), tt.addr)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Dial(%q) = %v, want %q", tt.addr, err, tt.want)
		}
	}
}
