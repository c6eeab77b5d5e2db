package core_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/frame"
)

// Of a link that somebody dialled who is not to be found by TCP, his record says where he is:
// there its successor is dialled, and there alone a refusal says that his process is gone.
func TestWhereAnInboundPeerIs(t *testing.T) {
	tests := []struct {
		name   string
		addrs  []string
		remote string // where the link came from
		dialed string // for the next one; empty for none
		home   bool   // a refusal there tells of a death
	}{
		{"a path of this host", []string{"unix:///run/b"}, "", "unix:///run/b", true},
		{"an address with the IP of the link", []string{"ws://10.0.0.9/x", "ws://10.0.0.2/x"}, "10.0.0.2", "ws://10.0.0.2/x", true},
		{"an address with another IP", []string{"ws://10.0.0.9:80/x"}, "10.0.0.2", "ws://10.0.0.9:80/x", false},
		{"a name", []string{"ws://db/x"}, "", "ws://db/x", false},
		{"a path, and a link from elsewhere", []string{"unix:///run/b"}, "10.0.0.2", "unix:///run/b", false},
		{"what is not spoken", []string{"quic://10.0.0.2:1"}, "10.0.0.2", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.Speak("unix", "ws")
			if err := n.SetAddrs(n.now, []frame.Addr{{Scheme: "unix", Addr: "/run/a"}}); err != nil {
				t.Fatal(err)
			}
			n.take()
			l := n.link(1, 5, func(l *core.Link) {
				l.Addr = ""
				l.Remote, _ = netip.ParseAddr(tt.remote)
			})
			n.Learn(n.now, l, []frame.Record{record(1, 5, func(r *frame.Record) {
				r.Addrs = nil
				for _, text := range tt.addrs {
					a, err := frame.ParseAddr(text)
					if err != nil {
						t.Fatal(err)
					}
					r.Addrs = append(r.Addrs, a)
				}
			})})
			n.take()
			n.Rotate(n.now, l)
			dialed := ""
			for _, a := range n.Take() {
				if d, ok := a.(core.Dial); ok {
					dialed = d.Addr
				}
			}
			if dialed != tt.dialed {
				t.Errorf("the next link is dialled at %q, want %q", dialed, tt.dialed)
			}
			if home := n.Home(id(1)) != ""; home != tt.home {
				t.Errorf("it is known to be at %q, want that it is known: %v", n.Home(id(1)), tt.home)
			}
			if addrs := n.Addrs(id(1)); tt.dialed != "" && !slices.Contains(addrs, tt.dialed) {
				t.Errorf("Addrs = %q", addrs)
			}
		})
	}
}
