package gossip_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
)

// sees gives the router a graph.
func (s *script) sees(pairs string) *script {
	return s.do(func(r *gossip.Router, now time.Time) { r.View(now, edges(pairs)) })
}

func TestMembersThatGo(t *testing.T) {
	const without = "ab as bs sc sd"
	begun := func(t *testing.T) *script {
		s := newScript(t, around, "abcd").silent("hail tell forward pull")
		return s.get('a', s.batch('x', 1)).skip()
	}
	t.Run("what a member left is delivered and repaired for a minute", func(t *testing.T) {
		s := begun(t)
		b := s.batches('x', 4)
		s.sees(without).to(30_000).get('b', b[1]).want()
		s.get('c', b[0]).want("30000 deliver x 2-2", "30000 deliver x 3-3")
		s.mark('c', 'x', 4, 5, 6).silent("hail tell forward").to(30_020).want("30020 pull c x 4-5")
	})
	t.Run("a gap that is open when the minute is over is told", func(t *testing.T) {
		s := begun(t)
		b := s.batches('x', 4)
		s.sees(without).to(50_000).mark('c', 'x', 1, 3, 4).get('b', b[2]).to(100_000)
		if len(s.lines) != 1 || s.lines[0][len("60000 "):] != "deliver x 4-4 lost 2" {
			t.Errorf("got %q, want one delivery and its loss", s.lines)
		}
	})
	t.Run("the same start that comes back goes on, and counts exactly what it misses", func(t *testing.T) {
		s := begun(t)
		missed := s.batches('x', 7)
		s.sees(without).to(300_000).want()
		if n := s.r.Stats().Bytes; n != 0 {
			t.Errorf("%d bytes are kept of who went 5 minutes ago, want 0", n)
		}
		s.sees(around)
		for _, c := range []byte("abcd") {
			s.mark(c, 'x', 6, 8, 9)
		}
		s.to(300_020).get('a', missed[4:]...)
		s.want("300020 deliver x 6-6 lost 4", "300020 deliver x 7-7", "300020 deliver x 8-8")
	})
	t.Run("another start of the node ends the former one at once", func(t *testing.T) {
		s := begun(t)
		b := s.batches('x', 4)
		s.get('a', b[2]).want()
		s.sees("Xa Xb as bs sc sd ab").want("0 deliver x 4-4 lost 2")
		s.get('a', b[3], b[0]).want()
		s.get('a', s.batch('X', 1)).want("0 deliver x 1-1")
	})
	t.Run("which is told if neighbours knew of more", func(t *testing.T) {
		s := begun(t).mark('b', 'x', 1, 5, 6)
		s.sees("Xa Xb as bs sc sd ab").want("0 deliver x unknown")
	})
	t.Run("what is passed on of the new start goes down its own tree", func(t *testing.T) {
		s := begun(t).silent("hail tell deliver pull").sees("Xa Xb as bs sc sd ab")
		s.get('a', s.batch('X', 1)).want("0 forward x 1-1 to cd")
	})
}

// Of members that went only numbers are remembered, and not of more than so many.
func TestFormersAreBounded(t *testing.T) {
	const n = gossip.FormersMax + 500
	self := gossip.Member{ID: ident.NodeID{0xee}, Incarnation: one}
	members := []gossip.Member{self}
	for i := range n {
		m := gossip.Member{Incarnation: one}
		m.ID[0] = 1
		binary.BigEndian.PutUint32(m.ID[4:], uint32(i))
		members = append(members, m)
	}
	slices.SortFunc(members, byID)
	r := gossip.New(clock(0), gossip.Config{Self: self.ID, Incarnation: one})
	r.View(clock(0), rings(members))
	for _, m := range members {
		if m != self {
			r.Receive(clock(0), name('a'), (&writer{self: m, next: 1, message: 1}).batch(piece{count: 1}))
			r.Take()
		}
	}
	r.View(clock(1), rings([]gossip.Member{self}))
	for now := 1; now < 100_000; now += 100 {
		if at, ok := r.Next(); ok && !at.After(clock(now)) {
			r.Tick(clock(now))
		}
		r.Take()
	}
	if st := r.Stats(); st.Origins != gossip.FormersMax || st.Bytes != 0 {
		t.Errorf("%d origins and %d bytes are kept, want %d, 0", st.Origins, st.Bytes, gossip.FormersMax)
	}
	if at, ok := r.Next(); ok {
		t.Errorf("Next = %v when nothing is due, want none", at.Sub(clock(0)))
	}
}

func TestStore(t *testing.T) {
	big := func(s *script, c byte) { s.get('a', s.of(c).batch(piece{count: 1, size: 64_000})) }
	first := func(s *script, c byte) string {
		s.lines = nil
		s.pull('c', c, 1, 1)
		var at int
		if len(s.lines) == 1 {
			fmt.Sscanf(s.lines[0][len("0 tell c, x "):], "%d", &at)
		}
		return fmt.Sprint(at)
	}
	t.Run("one origin has a quarter of it", func(t *testing.T) {
		s := newScript(t, around+" ya", "abcd")
		big(s, 'y')
		for range 100 {
			big(s, 'x')
		}
		st := s.r.Stats()
		if st.Bytes > gossip.StoreMaxDefault/4+70_000 || st.Bytes < gossip.StoreMaxDefault/4 {
			t.Errorf("%d bytes are kept of two origins, want a quarter of %d and a batch", st.Bytes, gossip.StoreMaxDefault)
		}
		s.silent("hail").skip()
		if got := first(s, 'x'); got != "36" {
			t.Errorf("the first number is %s, want 36: 65 batches fit", got)
		}
		if s.skip().pull('c', 'y', 1, 1).lines[0] != "0 forward y 1-1 to c" {
			t.Errorf("got %q, want the batch of the other one", s.lines)
		}
	})
	t.Run("of all the one that was delivered first goes first", func(t *testing.T) {
		s := newScript(t, around+" ya za ka la ma", "abcd")
		for range 60 {
			for _, c := range []byte("xyzklm") {
				big(s, c)
			}
		}
		if n := s.r.Stats().Bytes; n > gossip.StoreMaxDefault || n < gossip.StoreMaxDefault-70_000 {
			t.Errorf("%d bytes are kept, want %d", n, gossip.StoreMaxDefault)
		}
		s.silent("hail")
		for _, c := range []byte("xyzklm") {
			if got := first(s, c); got != "17" && got != "18" {
				t.Errorf("the first number of %c is %s, want 17 or 18", c, got)
			}
		}
	})
	t.Run("nothing is kept for more than a minute, and nothing wakes for it after that", func(t *testing.T) {
		s := newScript(t, around, "abcd")
		for i := range 50 {
			s.to(1000*i).get('a', s.batch('x', 1))
		}
		s.to(70_000)
		if n := s.r.Stats().Bytes; n == 0 || n > 40*1000 {
			t.Errorf("%d bytes are kept after 70 s, want 39 small batches", n)
		}
		ticks := 0
		for at, ok := s.r.Next(); ok; at, ok = s.r.Next() {
			s.r.Tick(at)
			ticks++
		}
		if n := s.r.Stats().Bytes; n != 0 || ticks > 50 {
			t.Errorf("%d bytes are kept in the end, after %d ticks; want 0, at most one a second", n, ticks)
		}
	})
	t.Run("a small store has room for the largest batch of four origins", func(t *testing.T) {
		s := newScriptOf(t, gossip.Config{StoreMax: 1}, around, "abcd")
		big(s, 'x')
		if n := s.r.Stats().Bytes; n < 64_000 || n > gossip.StoreMaxMin {
			t.Errorf("%d bytes are kept, want one batch", n)
		}
	})
}
