package council_test

import (
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// letters returns IDs that are named by letters.
func letters(s string) (ids []ident.NodeID) {
	for _, c := range []byte(s) {
		ids = append(ids, ident.NodeID{c})
	}
	return ids
}

// Who votes with this node, m. A capital is not eligible.
func TestVoters(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	named := func(s string) council.Mode { return council.Mode{Voters: letters(s)} }
	tests := []struct {
		name    string
		members string
		open    map[string]council.Mode
		said    string // who takes part in "jobs"
		want    string
	}{
		{"nobody where everybody may lead", "abm", map[string]council.Mode{"": {}}, "", ""},
		{"those named, as far as they are members", "abm", map[string]council.Mode{"": named("acm")}, "", "a"},
		{"nobody with a node that has no vote", "abm", map[string]council.Mode{"": named("ab")}, "", ""},
		{"all that are eligible", "aBcm", map[string]council.Mode{"": {Quorum: 3}}, "", "ac"},
		{"nobody with a node that is not", "abM", map[string]council.Mode{"": {Quorum: 3}}, "", ""},
		{"a few too many", "abcdem", map[string]council.Mode{"": {Quorum: 3}}, "", "abcde"},
		{"nobody where it is all", "abcdefm", map[string]council.Mode{"": {Quorum: 3}}, "", ""},
		{"who takes part in an election with a name", "abcm", map[string]council.Mode{"jobs": {Quorum: 3}}, "bc", "bc"},
		{"named ones even before they do", "abcm", map[string]council.Mode{"jobs": named("abm")}, "", "ab"},
		{
			"each of several elections once", "abcdm",
			map[string]council.Mode{"": named("abm"), "jobs": {Quorum: 3}, "rest": named("bcm")},
			"a", "abc",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := council.New(council.Config{Self: ident.NodeID{'m'}, Incarnation: 1})
			var all []council.Member
			for _, b := range []byte(tt.members) {
				all = append(all, council.Member{
					ID: ident.NodeID{b | 0x20}, Incarnation: 1, Join: 1, Eligible: b&0x20 != 0, Link: 1,
				})
			}
			c.View(now, all)
			for name, m := range tt.open {
				if err := c.Open(now, name, m); err != nil {
					t.Fatal(err)
				}
			}
			for _, id := range letters(tt.said) {
				c.Receive(now, id, frame.LeaseRule{Election: "jobs", Electorate: 3})
			}
			if got := c.Voters(); !slices.Equal(got, letters(tt.want)) {
				t.Errorf("%s vote with m among %s, want %s", got, tt.members, tt.want)
			}
		})
	}
}

func TestVotersChange(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	c := council.New(council.Config{Self: ident.NodeID{'m'}, Incarnation: 1})
	view := func(s string) {
		var all []council.Member
		for _, id := range letters(s) {
			all = append(all, council.Member{ID: id, Incarnation: 1, Join: 1, Eligible: true})
		}
		c.View(now, all)
	}
	want := func(when, voters string) {
		t.Helper()
		if got := c.Voters(); !slices.Equal(got, letters(voters)) {
			t.Errorf("%s: %s vote with m, want %s", when, got, voters)
		}
	}
	view("am")
	if err := c.Open(now, "", council.Mode{Quorum: 3}); err != nil {
		t.Fatal(err)
	}
	want("at first", "a")
	view("abm")
	want("when b came", "ab")
	c.SetEligible(now, "", false)
	want("when m gave its vote back", "")
	c.SetEligible(now, "", true)
	view("bm")
	want("when a left", "b")
}
