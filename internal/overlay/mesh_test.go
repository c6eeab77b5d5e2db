package overlay_test

import (
	"testing"

	"github.com/espial-go/espial/internal/overlay"
)

func TestFullMesh(t *testing.T) {
	none := overlay.Config{}
	t.Run("in a small cluster everybody is wanted, the neighbours first", func(t *testing.T) {
		newScript(t, none, "aklnoz").want("0 dial l", "0 dial n", "0 dial a", "0 dial k", "0 dial o", "0 dial z")
	})
	t.Run("nobody takes the place of who cannot be reached", func(t *testing.T) {
		s := newScript(t, none, "aklnoz").up("akloz").forget()
		s.failed("n").to(1000).want("1000 dial n")
	})
	t.Run("who states fewer rings than that takes is wanted by its neighbours alone", func(t *testing.T) {
		newScript(t, none, "aklno").forget().join("bcq", 1).join("p", 4).want("0 dial p")
	})
	t.Run("unless its rings leave room for all", func(t *testing.T) {
		newScript(t, none, "an").forget().join("b", 2).want("0 dial b")
	})
	t.Run("who may not have so many links has its neighbours", func(t *testing.T) {
		newScript(t, overlay.Config{MinPeers: 1, MaxPeers: 8}, "abcdefghln").want("0 dial l", "0 dial n")
	})
	t.Run("as has who states too few rings for it", func(t *testing.T) {
		newScript(t, overlay.Config{MinPeers: 1, MaxPeers: 5}, "ln").forget().join("abo", 4).want()
	})
	t.Run("who just may has all", func(t *testing.T) {
		newScript(t, overlay.Config{MinPeers: 1, MaxPeers: 9}, "abcdefgln").
			want("0 dial l", "0 dial n", "0 dial a", "0 dial b", "0 dial c", "0 dial d", "0 dial e", "0 dial f", "0 dial g")
	})
	t.Run("the limit of members is an option", func(t *testing.T) {
		newScript(t, overlay.Config{MinPeers: 1, FullMeshMax: 4}, "alno").want("0 dial l", "0 dial n")
		newScript(t, overlay.Config{MinPeers: 1, FullMeshMax: 5}, "alno").
			want("0 dial l", "0 dial n", "0 dial a", "0 dial o")
	})
}

// TestFullMeshDoesNotFlap: a mesh that has outgrown its limit by up to an eighth keeps
// the links that it has and adds none.
func TestFullMeshDoesNotFlap(t *testing.T) {
	s := newScript(t, overlay.Config{MinPeers: 1, FullMeshMax: 8}, "abchijk").up("abchijk").forget()
	s.join("d", 4).to(60_000).want() // the ninth is no neighbour: a and k are
	s.leave("c").down("c", overlay.Lost).want("60000 dial d").up("d")
	for ms := 61_000; ms < 600_000; ms += 20_000 {
		s.to(ms).join("c", 4).to(ms + 10_000).leave("c")
	}
	s.want()
	s.to(600_000).join("ce", 4).to(601_999).want()
	s.to(602_000).want("602000 close b unused", "602000 close d unused", "602000 close h unused",
		"602000 close i unused", "602000 close j unused")
	s.to(700_000).leave("ce").want("700000 dial b", "700000 dial d", "700000 dial h", "700000 dial i", "700000 dial j")
}
