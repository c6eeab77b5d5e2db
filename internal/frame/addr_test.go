package frame_test

import (
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/frame"
)

func TestParseAddr(t *testing.T) {
	tests := []struct {
		text string
		want frame.Addr
		says string // of the error; empty for none
	}{
		{"10.0.0.1:27272", frame.Addr{Scheme: "tcp", Addr: "10.0.0.1:27272"}, ""},
		{"db.example:1", frame.Addr{Scheme: "tcp", Addr: "db.example:1"}, ""},
		{"unix:///run/Db 1.sock", frame.Addr{}, "spaces"},
		{"unix:///run/Db-ä.sock", frame.Addr{Scheme: "unix", Addr: "/run/Db-ä.sock"}, ""},
		{"wss://db.example/link", frame.Addr{Scheme: "wss", Addr: "db.example/link"}, ""},
		{"a+b-1://x", frame.Addr{Scheme: "a+b-1", Addr: "x"}, ""},
		{"ws://a/b?token=c", frame.Addr{}, "'?'"},
		{"ws://user@a/b", frame.Addr{}, "'@'"},
		{"ws://a/b#c", frame.Addr{}, "'#'"},
		{"ws://a/\x1b[2J", frame.Addr{}, "control"},
		{"ws://a/\xff", frame.Addr{}, "control"},
		{"ws://", frame.Addr{}, "nothing behind"},
		{"://a", frame.Addr{}, `"" is no scheme`},
		{"WS://a", frame.Addr{}, `"WS" is no scheme`},
		{strings.Repeat("x", 17) + "://a", frame.Addr{}, "is no scheme"},
		{"ws://" + strings.Repeat("x", 129), frame.Addr{}, "at most 128"},
		{"ws://" + strings.Repeat("x", 128), frame.Addr{Scheme: "ws", Addr: strings.Repeat("x", 128)}, ""},
	}
	for _, tt := range tests {
		got, err := frame.ParseAddr(tt.text)
		if got != tt.want || (err == nil) != (tt.says == "") {
			t.Errorf("ParseAddr(%q) = %v, %v; want %v and an error that says %q", tt.text, got, err, tt.want, tt.says)
		}
		if err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("ParseAddr(%q): %v, want an error that says %q", tt.text, err, tt.says)
		}
		if err == nil && got.String() != tt.text {
			t.Errorf("ParseAddr(%q) prints as %q", tt.text, got)
		}
	}
}

func TestAddrParts(t *testing.T) {
	tests := []struct {
		addr    string
		numeric bool
		rest    string
		local   bool
	}{
		{"192.0.2.1:1", true, "", false},
		{"127.0.0.1:80/link", true, "/link", true},
		{"[::ffff:127.0.0.1]:80/a/b", true, "/a/b", true},
		{"[2001:db8::1]:80/", true, "/", false},
		{"/run/x.sock", false, "/run/x.sock", true},
		{"localhost:80/x", false, "/x", true},
		{"LOCALHOST", false, "", true},
		{"localhost.:80/x", false, "/x", true},
		{"a.Localhost./x", false, "/x", true},
		{"nolocalhost:80", false, "", false},
		{"localhost.example", false, "", false},
		{"db.example/link", false, "/link", false},
		{"192.0.2.1", false, "", false},
		{"127.0.0.2/link", false, "/link", true},
		{"[::1]/link", false, "/link", true},
		{"::1", false, "", true},
	}
	for _, tt := range tests {
		a := frame.Addr{Scheme: "ws", Addr: tt.addr}
		_, rest, numeric := a.Split()
		if local := a.IsLocal(); numeric != tt.numeric || rest != tt.rest || local != tt.local {
			t.Errorf("%q: numeric %v, rest %q, local %v; want %v, %q, %v",
				tt.addr, numeric, rest, local, tt.numeric, tt.rest, tt.local)
		}
	}
}
