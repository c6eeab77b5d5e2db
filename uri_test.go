package espial_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/espial-go/espial"
)

func TestParseURI(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want espial.URI
		err  string
	}{
		{"espial://shop/db-1/backup.run", espial.URI{Cluster: "shop", Peer: "db-1", Method: "backup.run"}, ""},
		{"espial://shop/db-*/backup", espial.URI{Cluster: "shop", Peer: "db-*", Method: "backup"}, ""},
		{"espial://shop/db-?/backup", espial.URI{Cluster: "shop", Peer: "db-?", Method: "backup"}, ""},
		{"espial://shop/*/a", espial.URI{Cluster: "shop", Peer: "*", Method: "a"}, ""},
		{"http://shop/db-1/backup", espial.URI{}, "is no URI of the form espial://cluster/peer/method"},
		{"espial://shop/db-1", espial.URI{}, "is no URI of the form"},
		{"espial://shop/db-1/backup/", espial.URI{}, "is no URI of the form"},
		{"espial://Shop/db-1/backup", espial.URI{}, "names no cluster"},
		{"espial:///db-1/backup", espial.URI{}, "names no cluster"},
		{"espial://shop//backup", espial.URI{}, "names no peer"},
		{"espial://shop/DB/backup", espial.URI{}, "names no peer"},
		{"espial://shop/db-1/", espial.URI{}, "names no method: "},
		{"espial://shop/db-1/a?b=c", espial.URI{}, "names no method: "},
		{"espial://shop/db-1/espial.x", espial.URI{}, "names no method: the name is reserved"},
		{"", espial.URI{}, "is no URI of the form"},
	} {
		got, err := espial.ParseURI(tt.in)
		if _, ok := errors.AsType[*espial.TargetError](err); got != tt.want || ok != (tt.err != "") ||
			ok && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("ParseURI(%q) = %+v, %v; want %+v, %s", tt.in, got, err, tt.want, tt.err)
		}
		if err == nil && got.String() != tt.in {
			t.Errorf("%q is printed as %q", tt.in, got)
		}
	}
}

// TestAURINamesAMethodAtMembers: of this cluster, and of no other.
func TestAURINamesAMethodAtMembers(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.served(c.nodes[1].Serve("echo", echo))
		var u espial.URI
		if err := json.Unmarshal([]byte(`"espial://test/node-?/echo"`), &u); err != nil {
			t.Fatal(err)
		}
		to, err := u.Target(c.nodes[0])
		if err != nil {
			t.Fatal(err)
		}
		answers := 0
		for range c.nodes[0].Gather(c.Context(), u.Method, to, nil) {
			answers++
		}
		if answers != 3 {
			t.Errorf("%v names %d members, want 3", u, answers)
		}
		u.Cluster = "shop"
		if _, err := u.Target(c.nodes[0]); !errors.Is(err, espial.ErrOtherCluster) {
			t.Errorf("Target of %v = %v, want %v", u, err, espial.ErrOtherCluster)
		}
		if _, err := (espial.URI{}).Target(c.nodes[0]); err == nil {
			t.Error("the zero URI means somebody")
		}
	})
}

// FuzzParseURI reads arbitrary text: what is read is printed as it was.
func FuzzParseURI(f *testing.F) {
	f.Add("espial://shop/db-*/backup.run")
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := espial.ParseURI(s); err == nil && u.String() != s {
			t.Errorf("%q is printed as %q", s, u)
		}
	})
}
