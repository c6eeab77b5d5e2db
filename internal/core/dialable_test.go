package core_test

import (
	"slices"
	"testing"

	"github.com/espial-go/espial/internal/frame"
)

// What another node names must not aim this one at what runs beside it (fault case D17).
func TestAddressesThatMeanAnotherPlaceAreNotDialled(t *testing.T) {
	of := func(scheme string, addrs ...string) (out []frame.Addr) {
		for _, a := range addrs {
			out = append(out, frame.Addr{Scheme: scheme, Addr: a})
		}
		return out
	}
	named := slices.Concat(
		of("tcp", "192.0.2.1:1", "127.0.0.1:2", "[::1]:3", "[fe80::1]:4", "169.254.1.1:5"),
		of("tcp", "[::ffff:127.0.0.1]:6", "[2001:db8::1]:7"),
		of("unix", "/run/x.sock"),
		of("ws", "192.0.2.1:80/x", "127.0.0.1:80/x", "localhost/x", "127.0.0.2/x", "[fe80::1]:80/x", "[fe80::1]/x", "db/x", "db/x?q"),
		of("WS", "192.0.2.1:80/x"),
	)
	tests := []struct {
		name   string
		self   []frame.Addr
		speaks []string
		want   []string
	}{
		{
			"a node that others reach", of("tcp", "192.0.2.9:27272"),
			[]string{"tcp"},
			[]string{"192.0.2.1:1", "[2001:db8::1]:7"},
		},
		{
			"a node on loopback alone", of("tcp", "127.0.0.1:27272"),
			[]string{"tcp"},
			[]string{"192.0.2.1:1", "127.0.0.1:2", "[::1]:3", "[::ffff:127.0.0.1]:6", "[2001:db8::1]:7"},
		},
		{
			"a node at a path, which speaks more", of("unix", "/run/y"),
			[]string{"unix", "ws", "WS"},
			[]string{"unix:///run/x.sock", "ws://192.0.2.1:80/x", "ws://db/x"},
		},
		{"a node at a name", of("ws", "me/x"), []string{"ws"}, []string{"ws://192.0.2.1:80/x", "ws://db/x"}},
		{
			"a node on loopback alone, by another transport", of("ws", "[::1]:80/x"),
			[]string{"ws", "unix"},
			[]string{"ws://192.0.2.1:80/x", "ws://127.0.0.1:80/x", "ws://localhost/x", "ws://127.0.0.2/x", "ws://db/x"},
		},
		{"a node that speaks none of them", of("mem", "me"), []string{"mem"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.Speak(tt.speaks...)
			if err := n.SetAddrs(n.now, tt.self); err != nil {
				t.Fatal(err)
			}
			if got := n.Dialable(named); !slices.Equal(got, tt.want) {
				t.Errorf("dialable = %q, want %q", got, tt.want)
			}
		})
	}
}
