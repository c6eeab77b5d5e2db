package engine_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/frame"
)

// What others are told of a listener, by TCP and by others.
func TestAdvertised(t *testing.T) {
	local := []engine.Local{
		{Interface: "lo", Prefix: netip.MustParsePrefix("127.0.0.1/8")},
		{Interface: "eth0", Prefix: netip.MustParsePrefix("10.0.0.5/24")},
		{Interface: "eth0", Prefix: netip.MustParsePrefix("2001:db8::5/64")},
	}
	tests := []struct{ what, listen, want string }{
		{"", "10.0.0.5:1", "10.0.0.5:1"},
		{"", "0.0.0.0:1", "10.0.0.5:1"},
		{"", "[::]:1", "10.0.0.5:1 [2001:db8::5]:1"},
		{"10.9.9.9:2", "[::]:1", "10.9.9.9:2"},
		{"2001:db8::/64", "[::]:1", "[2001:db8::5]:1"},
		{"wss://db.example/link", "[::]:1", "wss://db.example/link"},
		{"", "ws://[::]:80/link", "ws://10.0.0.5:80/link ws://[2001:db8::5]:80/link"},
		{"", "ws://127.0.0.1:80/link", "ws://127.0.0.1:80/link"},
		{"eth0", "ws://127.0.0.1:80/link", "ws://10.0.0.5:80/link ws://[2001:db8::5]:80/link"},
		{"10.9.9.9", "ws://0.0.0.0:80/link", "ws://10.9.9.9:80/link"},
		{"10.9.9.9:81", "ws://0.0.0.0:80/link", "ws://10.9.9.9:81/link"},
		{"", "unix:///run/a.sock", "unix:///run/a.sock"},
		{"unix:///mnt/a.sock", "unix:///run/a.sock", "unix:///mnt/a.sock"},
		{"", "ws://db.example/link", "ws://db.example/link"},
	}
	for _, tt := range tests {
		listen, err := frame.ParseAddr(tt.listen)
		if err != nil {
			t.Fatal(err)
		}
		addrs, err := engine.Advertised(tt.what, listen, local)
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		if !slices.Equal(got, strings.Fields(tt.want)) || err != nil {
			t.Errorf("Advertised(%q, %s) = %q, %v; want %s", tt.what, tt.listen, got, err, tt.want)
		}
	}
}
