package dial_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/dial"
)

func TestAddressesThatAreIgnored(t *testing.T) {
	tests := []struct {
		addr   string
		source dial.Source
		want   string // what is dialled; empty for nothing
	}{
		{"10.0.0.1:27272", dial.Multicast, "10.0.0.1:27272"},
		{"[fe80::1%eth0]:1", dial.Multicast, "[fe80::1%eth0]:1"},
		{"[::ffff:10.0.0.1]:1", dial.Peer, "10.0.0.1:1"},
		{"10.0.0.1:0", dial.Seed, ""},
		{"0.0.0.0:1", dial.Seed, ""},
		{"[::]:1", dial.Multicast, ""},
		{"239.255.77.82:1", dial.Multicast, ""},
		{"[ff12::1]:1", dial.Peer, ""},
		{"255.255.255.255:1", dial.Peer, ""},
		{"victim.example:1", dial.Peer, ""},
		{"victim.example:1", dial.Multicast, ""},
		{"node.example:1", dial.Seed, "node.example:1"},
		{"localhost:1", dial.Seed, "localhost:1"},
		{"node.example", dial.Seed, ""},
		{"node.example:0", dial.Seed, ""},
		{"node.example:65536", dial.Seed, ""},
		{":1", dial.Seed, ""},
		{"::1:1", dial.Seed, ""},
		{"[node]:1", dial.Seed, ""},
		{"node:1/path", dial.Seed, ""},
		{"unix:///run/Db.sock", dial.Peer, "unix:///run/Db.sock"},
		{"ws://node.example/Link", dial.Peer, "ws://node.example/Link"},
		{"ws://10.0.0.1:80/link", dial.Peer, "ws://10.0.0.1:80/link"},
		{"ws://0.0.0.0:80/link", dial.Peer, ""},
		{"ws://0.0.0.0/link", dial.Peer, ""},
		{"ws://[ff12::1]/link", dial.Peer, ""},
		{"ws://[2001:db8::1]/link", dial.Peer, "ws://[2001:db8::1]/link"},
		{"ws://239.255.77.82:80/link", dial.Seed, ""},
		{"ws://10.0.0.1:0/link", dial.Seed, ""},
		{"ws://" + strings.Repeat("x", 300), dial.Seed, ""},
		{"ws://", dial.Seed, ""},
		{"://x", dial.Seed, ""},
		{"", dial.Seed, ""},
		{"10.0.0.1:1", 0, ""},
		{"10.0.0.1:1", 99, ""},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%q from %v", tt.addr, tt.source), func(t *testing.T) {
			w := newWorld(t, always(hole))
			w.found(tt.addr, tt.source, 0)
			got := ""
			if log := w.run(0); len(log) > 0 {
				got = log[0].Addr
			}
			if ignored := w.s.Stats().Ignored; got != tt.want || (ignored == 1) != (tt.want == "") {
				t.Errorf("dialled %q with %d ignored, want %q", got, ignored, tt.want)
			}
		})
	}
}
