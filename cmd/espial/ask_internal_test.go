package main

import (
	"io"
	"testing"

	"github.com/spf13/pflag"
)

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
