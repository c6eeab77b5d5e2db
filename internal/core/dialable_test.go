package core_test

import (
	"slices"
	"testing"

	"github.com/espial-go/espial/internal/frame"
)

// What another node names must not aim this one at what runs beside it (fault case D17).
func TestAddressesThatMeanAnotherPlaceAreNotDialled(t *testing.T) {
	tcp := func(addrs ...string) (out []frame.Addr) {
		for _, a := range addrs {
			out = append(out, frame.Addr{Scheme: "tcp", Addr: a})
		}
		return out
	}
	named := tcp("192.0.2.1:1", "127.0.0.1:2", "[::1]:3", "[fe80::1]:4", "169.254.1.1:5", "[::ffff:127.0.0.1]:6", "[2001:db8::1]:7")
	tests := []struct {
		name string
		self []frame.Addr
		want []string
	}{
		{"a node that others reach", tcp("192.0.2.9:27272"), []string{"192.0.2.1:1", "[2001:db8::1]:7"}},
		{
			"a node on loopback alone", tcp("127.0.0.1:27272"),
			[]string{"192.0.2.1:1", "127.0.0.1:2", "[::1]:3", "[::ffff:127.0.0.1]:6", "[2001:db8::1]:7"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			if err := n.SetAddrs(n.now, tt.self); err != nil {
				t.Fatal(err)
			}
			if got := n.Dialable(named); !slices.Equal(got, tt.want) {
				t.Errorf("dialable = %v, want %v", got, tt.want)
			}
		})
	}
}
