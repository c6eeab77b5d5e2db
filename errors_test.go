package espial_test

import (
	"testing"

	"github.com/espial-go/espial"
)

// The names of the packages inside are not the reader's, and nothing is said twice.
func TestErrorsAreForReaders(t *testing.T) {
	_, badID := espial.ParseNodeID("UP")
	_, badAddr := espial.LocalAddr("10.0.0.0/33")
	inCluster(t, 1, func(c *cluster) {
		n := c.nodes[0]
		n.Election("billing", espial.Available())
		_, badStart := c.tryStart(espial.Config{Election: espial.Quorum(1025)})
		_, badName := c.tryStart(espial.Config{Name: "A"})
		tests := []struct {
			what string
			err  error
			want string
		}{
			{"an ID of 2 characters", badID, "espial: malformed node ID: 2 characters, want 52"},
			{"a subnet that is none", badAddr, `espial: nothing to advertise: "10.0.0.0/33" is no subnet`},
			{
				"a name in capitals", badName,
				`espial: config: Name: name "A": byte 1 is "A"; allowed are a-z, 0-9, "-" and "_"`,
			},
			{
				"a default election of too many", badStart,
				"espial: config: Election: bad electorate of 1025 nodes, must be 1 to 1024",
			},
			{
				"an election with a bad name", n.Election("A", espial.Available()).Err(),
				`espial: election: name "A": byte 1 is "A"; allowed are a-z, 0-9, "-" and "_"`,
			},
			{
				"an election of nobody", n.Election("none", espial.Quorum(0)).Err(),
				"espial: bad electorate of 0 nodes, must be 1 to 1024",
			},
			{
				"an election that is open in another mode", n.Election("billing", espial.Quorum(3)).Err(),
				`espial: the election is open in another mode: "billing"`,
			},
		}
		for _, tt := range tests {
			if tt.err == nil || tt.err.Error() != tt.want {
				c.Errorf("%s: %v\nwant %s", tt.what, tt.err, tt.want)
			}
		}
	})
}
