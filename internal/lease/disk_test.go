package lease_test

import (
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// write puts a term on the disk of n, again and again while that is full, unless n is
// killed before.
func (n *node) write(t ident.Term) {
	w, inc := n.w, n.inc
	w.after(w.draw(0, 300*time.Millisecond), func() {
		if n.dead || n.inc != inc {
			return
		}
		if n.full {
			n.write(t)
			return
		}
		n.disk = max(n.disk, t)
		n.input(func(now time.Time) { n.e.Kept(now, t) })
	})
}

// forget says that a term is on disk, and it never is.
func (n *node) forget(t ident.Term) {
	n.w.after(0, func() { n.input(func(now time.Time) { n.e.Kept(now, t) }) })
}

// hurry says so before the disk, a slow one, has it.
func (n *node) hurry(t ident.Term) {
	inc := n.inc
	n.w.after(n.w.draw(0, 10*time.Second), func() {
		if !n.dead && n.inc == inc {
			n.disk = max(n.disk, t)
		}
	})
	n.forget(t)
}

// onDisk gives the nodes disks and lets their times of day be wrong.
func onDisk(w *world) { w.durable, w.wild = true, 10*time.Hour }

// B24: all clocks are three days ahead, everything stops, and the clocks are right when it
// starts again: terms grow.
func TestTermsGrowAcrossARestartOfAll(t *testing.T) {
	for _, n := range sizes {
		seeds(t, func(seed uint64) *world {
			w := quorum(seed, n)
			w.durable = true
			for i := range n {
				n := w.add(i)
				n.wall += 72 * time.Hour
				n.e.SetWall(n.clock(), n.timeOfDay())
			}
			w.linkAll(0)
			w.run(3 * time.Second)
			before := w.only().reign
			for _, n := range w.nodes {
				n.kill()
				n.wall -= 72 * time.Hour
			}
			w.run(time.Second)
			for _, n := range w.nodes {
				n.restart()
			}
			started := w.now
			w.run(4 * time.Second)
			if after := w.only().reign; after <= before {
				w.fail("L3: term %d after %d", after, before)
			}
			w.within("a leader", started, w.last(), 2500*time.Millisecond)
			return w
		})
	}
}

// Elections write rarely, and do not wait for it.
func TestElectionsDoNotWaitForADisk(t *testing.T) {
	for seed := range uint64(2) {
		w := newWorld(seed, 5, lease.Quorum(5), 20*time.Second)
		w.durable = true
		writes := 0
		w.store = func(n *node, t ident.Term) { writes++; n.write(t) }
		w.start().run(time.Minute)
		if writes != 5 {
			w.fail("%d writes to begin with, want one of each node", writes)
		}
		w.run(4 * time.Hour)
		if writes > 5*9 {
			w.fail("%d writes of 5 nodes in four hours, want one in half an hour", writes)
		}
		for _, n := range w.nodes {
			n.full = true
		}
		before := writes
		for range 5 {
			leader, since := w.only(), w.now
			leader.input(func(now time.Time) { n := leader; _ = n.e.Resign(now) })
			w.run(4 * time.Minute)
			w.within("the next leader", since, w.last(), time.Second)
			if w.only() == leader {
				w.fail("%v leads on", leader)
			}
		}
		if writes > before+5 {
			w.fail("%d writes for five elections, want none", writes-before)
		}
		if w.done(t); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// B27: who cannot write votes as far as there is room on its disk, and no further. It
// follows a leader, a leader leads on, and all is well when the disk is.
func TestVoterThatCannotWriteDoesNotVote(t *testing.T) {
	for seed := range uint64(5) {
		w := newWorld(seed, 3, lease.Quorum(3), 20*time.Second)
		w.durable = true
		w.start().run(time.Minute)
		leader := w.only()
		for _, n := range w.nodes {
			n.full = n != leader
		}
		w.run(2 * time.Hour)
		if w.only() != leader || w.reigns() != 1 {
			w.fail("L9: %d reigns, though nothing ended the first", w.reigns())
		}
		for _, n := range []*node{leader, leader, w.nodes[(leader.index+1)%3]} {
			n.kill() // who starts again without a disk does not vote either
			w.run(5 * time.Minute)
			n.restart()
			w.run(5 * time.Minute)
			if w.reigns() != 1 {
				w.fail("%d reigns, with votes of nodes that cannot write", w.reigns())
			}
		}
		mended := w.now
		w.nodes[(leader.index+1)%3].full = false
		w.run(2 * time.Minute)
		w.only()
		w.within("a leader", mended, w.last(), 30*time.Second)
		if w.done(t); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Clocks may be wrong, and differ, where there are disks.
func TestChaosWithDisks(t *testing.T) {
	for seed := *firstFlag; seed < *firstFlag+uint64(*seedsFlag); seed++ {
		w := chaos(seed, onDisk)
		w.settle()
		w.only()
		if w.done(t); t.Failed() {
			t.Fatalf("seed %d: go test ./internal/lease -run TestChaosWithDisks -lease.first=%d -lease.seeds=1", seed, seed)
		}
	}
}

// keeps returns what s asked its disk to keep.
func (s *script) keeps() (all []ident.Term) {
	for _, a := range s.e.Take() {
		if k, ok := a.(lease.Keep); ok {
			all = append(all, k.Term)
		}
	}
	return all
}

func TestRoomOnDisk(t *testing.T) {
	const hour, spare = 60 * 60 * 1000, 1000
	now := ident.Term(epoch.UnixMilli())
	pass := func(d time.Duration) func(s *script) { return func(s *script) { s.pass(d) } }
	hear := func(m lease.Message) func(s *script) {
		return func(s *script) {
			s.pass(2 * time.Second)
			s.e.Receive(s.now, name(1), m)
		}
	}
	for _, tt := range []struct {
		name  string
		kept  ident.Term // by an earlier life
		first ident.Term // is asked for at the start
		do    func(s *script)
		want  []ident.Term // is asked for then
	}{
		{"nothing was on disk", 0, now + hour, pass(0), nil},
		{"it was for a time that is past", now - hour, now + hour, pass(0), nil},
		{"an earlier life may have used all of it", now + hour, now + hour + spare, pass(0), nil},
		{"the clock was ahead", now + 5*hour, now + 5*hour + spare, pass(time.Hour), nil},
		{"half of the room is left", 0, now + hour, pass(30 * time.Minute), nil},
		{"less than half is left", 0, now + hour, pass(30*time.Minute + time.Millisecond), []ident.Term{now + 3*hour/2 + 1}},
		{"a leader's term is ahead of the clock", 0, now + hour, hear(ask(lease.Renew, now+2*hour)), []ident.Term{now + 2*hour + spare}},
		{"a claim's is", 0, now + hour, hear(ask(lease.Claim, now+3*hour)), []ident.Term{now + 3*hour + spare}},
		{"terms are almost used up", lease.TermMax - 7, lease.TermMax, hear(ask(lease.Renew, lease.TermMax)), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newElection(t, lease.Config{Electorate: lease.Quorum(3), Durable: true, Kept: tt.kept})
			s.e.View(s.now, members(3, 1, 2))
			if got := s.keeps(); !slices.Equal(got, []ident.Term{tt.first}) {
				t.Errorf("at the start %d, want %d", got, tt.first)
			}
			tt.do(s)
			s.e.Tick(s.now)
			s.e.Tick(s.now) // does not ask again
			if got := s.keeps(); !slices.Equal(got, tt.want) {
				t.Errorf("then %d, want %d", got, tt.want)
			}
			if at, ok := s.e.Next(); ok && !at.After(s.now) {
				t.Errorf("Next() = %v in the past", at)
			}
		})
	}
}

func TestVotesWithADisk(t *testing.T) {
	const hour = 60 * 60 * 1000
	now := ident.Term(epoch.UnixMilli())
	for _, tt := range []struct {
		name   string
		former ident.Term // on disk by an earlier life
		kept   ident.Term // since then
		wait   time.Duration
		m      lease.Ask
		want   bool
	}{
		{"a claim above what is on disk", 0, now + 9000, 0, ask(lease.Claim, now+9001), false},
		{"the last claim for which there is room", 0, now + 9000, 0, ask(lease.Claim, now+9000), true},
		{"a claim before anything was written", 0, 0, 0, ask(lease.Claim, 1), false},
		{"a claim up to the earlier life", now, now + 9000, 0, ask(lease.Claim, now), false},
		{"a claim above it", now, now + 9000, 0, ask(lease.Claim, now+1), true},
		{"a poll with room", 0, now + 9000, 0, ask(lease.Poll, 0), true},
		{"a poll with room of the earlier life", now + hour, now + hour, 0, ask(lease.Poll, 0), false},
		{"a poll when the clock has used up the room", 0, now + 9000, time.Minute, ask(lease.Poll, 0), false},
		{"a renewal of a reign that began before", now, now, 0, ask(lease.Renew, now-5), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newElection(t, lease.Config{Electorate: lease.Quorum(3), Durable: true, Kept: tt.former})
			s.e.View(s.now, members(3, 1, 2))
			s.e.Kept(s.now, tt.kept)
			s.pass(2*time.Second + tt.wait)
			a, ok := s.say(1, tt.m)
			if !ok || a.Granted != tt.want || a.Seen < tt.former {
				t.Errorf("%+v: %+v (%t), want granted: %t", tt.m, a, ok, tt.want)
			}
		})
	}
}

// Who has no room on its disk does not stand, and does as soon as it has.
func TestWhoCannotWriteDoesNotStand(t *testing.T) {
	s := newElection(t, lease.Config{Electorate: lease.Quorum(3), Durable: true})
	s.e.View(s.now, members(1, 2, 3))
	s.pass(time.Minute)
	s.e.Tick(s.now)
	for _, a := range s.e.Take() {
		if send, ok := a.(lease.Send); ok {
			t.Errorf("%+v before there is room", send)
		}
	}
	s.e.Kept(s.now, ident.Term(s.now.UnixMilli()+1000))
	if at, ok := s.e.Next(); !ok || at.After(s.now) {
		t.Errorf("Next() = %v, %t; want to stand now, at %v", at, ok, s.now)
	}
	s.e.Tick(s.now)
	s.e.Receive(s.now, name(1), yes(s.asked(lease.Poll), 0, uint64(s.now.UnixMilli())+2000))
	for _, a := range s.e.Take() {
		if _, ok := a.(lease.Keep); !ok {
			t.Errorf("%+v, want no claim of a term for which there is no room", a)
		}
	}
}
