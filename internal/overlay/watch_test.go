package overlay_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/overlay"
)

func letters(ids []ident.NodeID) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(letter(id))
	}
	return b.String()
}

func TestWatchers(t *testing.T) {
	one := overlay.Config{MaxPeers: 2}
	tests := []struct {
		name     string
		c        overlay.Config
		members  string
		of, want string // who watches whom
		watched  string // by m
	}{
		{"everybody watches everybody in a small cluster", overlay.Config{}, "abcdefm", "a", "bcdefm", "abcdef"},
		{"the neighbours on the ring and one more", one, "abcdefm", "c", "bde", "aef"},
		{"round the end of the ring", one, "abcdefm", "f", "aem", "aef"},
		{"of three members the other two", one, "abm", "a", "bm", "ab"},
		{"of two the other one", one, "am", "m", "a", "a"},
		{"nobody watches who is alone", one, "m", "m", "", ""},
		{"nobody watches a stranger", one, "abm", "z", "", "ab"},
		{"who is no member watches nobody", one, "abcd", "a", "bcd", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.Self = name("m")
			k := overlay.New(tt.c)
			k.View(overlay.NewView(list(tt.members, overlay.Rings(tt.c.MaxPeers))))
			if got := letters(k.Watchers(nil, name(tt.of))); got != tt.want {
				t.Errorf("watchers of %s among %s = %s, want %s", tt.of, tt.members, got, tt.want)
			}
			if got := letters(k.Watched(nil)); got != tt.watched {
				t.Errorf("watched by m among %s = %s, want %s", tt.members, got, tt.watched)
			}
		})
	}
}

// TestAllAgreeOnWhoWatchesWhom: a node watches exactly those that every other node thinks
// it does, at least three watch each, and nobody watches many.
func TestAllAgreeOnWhoWatchesWhom(t *testing.T) {
	for _, rings := range []uint8{1, 2, 3, 4, 0} {
		all := crowd(100)
		for i := range all {
			if all[i].Rings = rings; rings == 0 {
				all[i].Rings = uint8(1 + i%4)
			}
		}
		v := overlay.NewView(all)
		watched := map[ident.NodeID][]ident.NodeID{} // by whom
		var k *overlay.Keeper
		for _, m := range all {
			k = overlay.New(overlay.Config{Self: m.ID})
			k.View(v)
			of := k.Watched(nil)
			if len(of) > 9 {
				t.Errorf("with %d rings a member watches %d, want at most 9", rings, len(of))
			}
			for _, id := range of {
				watched[id] = append(watched[id], m.ID)
			}
		}
		for _, m := range all {
			by := watched[m.ID]
			slices.SortFunc(by, ident.NodeID.Compare)
			want := k.Watchers(nil, m.ID)
			slices.SortFunc(want, ident.NodeID.Compare)
			if !slices.Equal(by, want) || len(by) < 3 {
				t.Errorf("with %d rings %s is watched by %d, want the %d that all name", rings, m.ID.Short(), len(by), len(want))
			}
		}
	}
}

// TestWatchersAreNeighbours: where a member has three neighbours they watch it, so that
// probes run over links that are there.
func TestWatchersAreNeighbours(t *testing.T) {
	all := crowd(1000)
	k := overlay.New(overlay.Config{Self: all[0].ID})
	k.View(overlay.NewView(all))
	g := k.Graph()
	for i, id := range g.IDs {
		var want []ident.NodeID
		for _, o := range g.Neighbours(i) {
			want = append(want, g.IDs[o])
		}
		if got := k.Watchers(nil, id); !slices.Equal(got, want) {
			t.Fatalf("watchers of member %d = %v, want its neighbours %v", i, got, want)
		}
	}
}
