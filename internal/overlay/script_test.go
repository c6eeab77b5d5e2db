package overlay_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/overlay"
)

// start is when every test begins.
var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// name returns an ID that is a letter on each of the four rings.
func name(letters string) ident.NodeID {
	var id ident.NodeID
	for ring := range overlay.RingsMax {
		id[8*ring] = letters[ring%len(letters)]
	}
	return id
}

// letter is the inverse of name for ring 0.
func letter(id ident.NodeID) string { return string(id[0]) }

// list returns members with a number of rings, one for each letter, who are in the same
// order on each ring.
func list(letters string, rings uint8) (all []overlay.Member) {
	for _, c := range letters {
		all = append(all, overlay.Member{ID: name(string(c)), Rings: rings, Links: links(rings)})
	}
	return all
}

// links is how few links a node with so many rings may take: 0, no limit, for all rings.
func links(rings uint8) uint16 {
	if rings >= overlay.RingsMax {
		return 0
	}
	return 2 * uint16(max(rings, 1))
}

// script runs one Keeper, that of node m, and notes what it does. Every call of it is
// followed by the Tick that it makes due.
type script struct {
	t    *testing.T
	k    *overlay.Keeper
	view *overlay.View
	ids  map[string]ident.NodeID // of who is not the same letter on all rings
	now  time.Duration
	log  []string
}

// newScript begins with a view of this node and others that state as many rings as it.
func newScript(t *testing.T, c overlay.Config, letters string) *script {
	t.Helper()
	c.Self = name("m")
	s := &script{t: t, k: overlay.New(c), view: overlay.NewView(list(letters+"m", overlay.Rings(c.MaxPeers)))}
	s.k.View(s.view)
	return s.tick()
}

// newRings begins with members of one letter for each ring; they are on as many rings as
// they have letters. The first is this node.
func newRings(t *testing.T, c overlay.Config, members ...string) *script {
	t.Helper()
	s := &script{t: t, ids: map[string]ident.NodeID{}}
	var all []overlay.Member
	for _, m := range members {
		s.ids[m[:1]] = name(m)
		all = append(all, overlay.Member{ID: name(m), Rings: uint8(len(m)), Links: links(uint8(len(m)))})
	}
	c.Self = all[0].ID
	s.k = overlay.New(c)
	return s.look(overlay.NewView(all))
}

func (s *script) at() time.Time { return start.Add(s.now) }

// tick carries out what is due.
func (s *script) tick() *script {
	s.t.Helper()
	for range 1000 {
		if at, ok := s.k.Next(); !ok || at.After(s.at()) {
			return s
		}
		for _, a := range s.k.Tick(s.at()) {
			switch a := a.(type) {
			case overlay.Dial:
				s.note("dial %s", letter(a.ID))
			case overlay.Close:
				s.note("close %s %s", letter(a.ID), word(a.Why))
			}
		}
	}
	s.t.Fatalf("no end of ticks at %v", s.now)
	return s
}

func word(w overlay.Why) string { return [...]string{"lost", "unused", "full"}[w] }

func (s *script) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf("%d ", s.now.Milliseconds())+fmt.Sprintf(format, args...))
}

// to lets time pass until so many milliseconds.
func (s *script) to(ms int) *script {
	s.t.Helper()
	for end := time.Duration(ms) * time.Millisecond; ; s.tick() {
		at, ok := s.k.Next()
		if !ok || at.After(start.Add(end)) {
			s.now = end
			return s
		}
		s.now = max(s.now, at.Sub(start))
	}
}

// each calls f for the ID of every letter, and ticks after it.
func (s *script) each(letters string, f func(id ident.NodeID)) *script {
	s.t.Helper()
	for _, c := range letters {
		id, ok := s.ids[string(c)]
		if !ok {
			id = name(string(c))
		}
		f(id)
		s.tick()
	}
	return s
}

// up brings links up that this node dialled, guest links that others did.
func (s *script) up(letters string) *script {
	s.t.Helper()
	return s.each(letters, func(id ident.NodeID) { s.k.Up(s.at(), id, true) })
}

func (s *script) guest(letters string) *script {
	s.t.Helper()
	return s.each(letters, func(id ident.NodeID) { s.k.Up(s.at(), id, false) })
}

func (s *script) down(letters string, why overlay.Why) *script {
	s.t.Helper()
	return s.each(letters, func(id ident.NodeID) { s.k.Down(s.at(), id, why) })
}

func (s *script) failed(letters string) *script {
	s.t.Helper()
	return s.each(letters, func(id ident.NodeID) { s.k.Failed(s.at(), id) })
}

// admit asks for each letter and notes the answer.
func (s *script) admit(letters string) *script {
	s.t.Helper()
	return s.each(letters, func(id ident.NodeID) {
		word := "no"
		if s.k.Admit(s.at(), id) {
			word = "yes"
		}
		s.note("%s to %s", word, letter(id))
	})
}

// join and leave change the view.
func (s *script) join(letters string, rings uint8) *script {
	s.t.Helper()
	return s.look(s.view.With(list(letters, rings), nil))
}

func (s *script) leave(letters string) *script {
	s.t.Helper()
	var gone []ident.NodeID
	for _, m := range list(letters, 1) {
		gone = append(gone, m.ID)
	}
	return s.look(s.view.With(nil, gone))
}

func (s *script) look(v *overlay.View) *script {
	s.t.Helper()
	s.view = v
	s.k.View(v)
	return s.tick()
}

// want holds what was noted since the last want.
func (s *script) want(lines ...string) *script {
	s.t.Helper()
	if !slices.Equal(s.log, lines) {
		s.t.Errorf("got:\n\t%s\nwant:\n\t%s", strings.Join(s.log, "\n\t"), strings.Join(lines, "\n\t"))
	}
	s.log = nil
	return s
}

// forget drops what was noted.
func (s *script) forget() *script {
	s.log = nil
	return s
}
