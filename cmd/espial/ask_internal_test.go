package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/espial-go/espial/internal/control"
)

// TestANameIsNoBeginningOfAnID: a node called a is meant by --node a, whatever the IDs of
// others begin with.
func TestANameIsNoBeginningOfAnID(t *testing.T) {
	var nodes []control.Node
	for _, h := range []control.Hello{
		{Name: "a", ID: "mzxw", Cluster: "shop"},
		{Name: "till", ID: "aaaa", Cluster: "shop"},
		{Name: "twin", ID: "abab", Cluster: "shop"},
		{Name: "twin", ID: "cdcd", Cluster: "bar"},
	} {
		nodes = append(nodes, control.Node{Hello: h})
	}
	for _, tt := range []struct{ node, cluster, want string }{
		{"a", "", "mzxw"},
		{"aa", "", "aaaa"},
		{"mz", "", "mzxw"},
		{"twin", "", "abab cdcd"},
		{"twin", "bar", "cdcd"},
		{"a", "bar", ""},
		{"", "shop", "mzxw aaaa abab"},
		{"till-9", "", ""},
	} {
		q := &question{node: tt.node}
		q.cluster = tt.cluster
		var ids []string
		for _, n := range q.meant(nodes) {
			ids = append(ids, n.ID)
		}
		if got := strings.Join(ids, " "); got != tt.want {
			t.Errorf("--node %q --cluster %q means %q, want %q", tt.node, tt.cluster, got, tt.want)
		}
	}
}

// TestANodeForTheMomentLeavesTheWellKnownPort: the next node of this
// host should get it.
func TestANodeForTheMomentLeavesTheWellKnownPort(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "0.0.0.0:0"},
		{[]string{"--listen", "127.0.0.1:27272"}, "127.0.0.1:27272"},
	} {
		q := &question{joins: true, warnings: io.Discard}
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		q.flags(fs)
		if err := fs.Parse(tc.args); err != nil {
			t.Fatal(err)
		}
		c, err := q.moment()
		if err != nil || c.Listen != tc.want || !c.Ineligible {
			t.Errorf("with %q it listens on %q (%v), want %q", tc.args, c.Listen, err, tc.want)
		}
	}
}
