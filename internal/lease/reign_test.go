package lease_test

import (
	"errors"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/lease"
)

func TestHandOver(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cause lease.Cause
		do    func(w *world, leader, target *node)
	}{
		{"the leader promotes another", lease.CausePromote, func(_ *world, leader, target *node) {
			leader.input(func(now time.Time) { leader.must(leader.e.Promote(now, target.id)) })
		}},
		{"another asks for itself", lease.CausePromote, func(_ *world, _, target *node) {
			target.input(func(now time.Time) { target.must(target.e.Promote(now, target.id)) })
		}},
		{"the leader resigns", lease.CauseResign, func(_ *world, leader, _ *node) {
			leader.input(func(now time.Time) { leader.must(leader.e.Resign(now)) })
		}},
		{"the leader is unfit", lease.CauseUnfit, func(_ *world, leader, _ *node) {
			leader.input(func(now time.Time) { leader.e.SetFit(now, false) })
		}},
		{"the leader is ineligible", lease.CauseIneligible, func(w *world, leader, _ *node) {
			w.setEligible(leader, false)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seeds(t, func(seed uint64) *world {
				w, leader := led(seed, 5)
				target := w.nodes[(leader.index+3)%5]
				if tt.cause != lease.CausePromote { // the oldest of the others follows
					target = w.nodes[0]
					if leader.index == 0 {
						target = w.nodes[1]
					}
				}
				since := w.now
				tt.do(w, leader, target)
				w.run(5 * time.Second)
				w.within("the successor", since, w.last(), 50*time.Millisecond) // five times the longest latency, and some
				if w.only() != target || w.reigns() != 2 {
					w.fail("%v leads after %d reigns, want %v", w.leaders(), w.reigns(), target)
				}
				if len(leader.demoted) != 1 || leader.demoted[0].Cause != tt.cause {
					w.fail("%v: %+v, want cause %q", leader, leader.demoted, tt.cause)
				}
				return w
			})
		})
	}
}

func (n *node) must(err error) {
	if err != nil {
		n.w.fail("%v: %v", n, err)
	}
}

// The successor dies in the same moment: the others wait for it no longer than they must.
func TestSuccessorThatIsGone(t *testing.T) {
	seeds(t, func(seed uint64) *world {
		w, leader := led(seed, 5)
		target := w.nodes[(leader.index+1)%5]
		target.kill()
		since := w.now
		leader.input(func(now time.Time) { leader.must(leader.e.Promote(now, target.id)) })
		w.run(3 * time.Second)
		w.within("the next leader", since, w.last(), 400*time.Millisecond)
		if w.reigns() != 2 || w.only() == leader {
			w.fail("%v after %d reigns", w.leaders(), w.reigns())
		}
		return w
	})
}

// Who resigned leads again if nobody else can.
func TestResignWithoutASuccessor(t *testing.T) {
	w, leader := led(1, 3)
	for _, n := range w.nodes {
		if n != leader {
			n.input(func(now time.Time) { n.e.SetFit(now, false) })
		}
	}
	leader.input(func(now time.Time) { leader.must(leader.e.Resign(now)) })
	w.run(2 * time.Second)
	if w.only() != leader || w.reigns() != 2 {
		w.fail("%v lead after %d reigns, want %v in the second", w.leaders(), w.reigns(), leader)
	}
	w.done(t)
}

func TestPromoteErrors(t *testing.T) {
	w, leader := led(1, 4)
	other := w.nodes[(leader.index+1)%4]
	w.setEligible(other, false)
	w.run(time.Second)
	for _, n := range w.nodes {
		for _, tt := range []struct {
			name   string
			target int
			want   error
		}{
			{"a stranger", 77, lease.ErrUnknown},
			{"an ineligible member", other.index, lease.ErrIneligible},
			{"the leader", leader.index, nil},
		} {
			if err := n.e.Promote(n.clock(), name(tt.target)); !errors.Is(err, tt.want) {
				t.Errorf("promote %s: %v, want %v", tt.name, err, tt.want)
			}
		}
		if err := n.e.Resign(n.clock()); n != leader && !errors.Is(err, lease.ErrNotLeader) {
			t.Errorf("Resign of another: %v, want %v", err, lease.ErrNotLeader)
		} else if n == leader && err != nil {
			t.Errorf("Resign of the leader: %v", err)
		}
	}

	early := newElection(t, lease.Config{Electorate: lease.Quorum(3)})
	early.e.View(early.now, members(1, 2))
	if err := early.e.Promote(early.now, name(1)); !errors.Is(err, lease.ErrNoLeader) {
		t.Errorf("Promote without a leader: %v, want %v", err, lease.ErrNoLeader)
	}
	alone := newElection(t, lease.Config{Electorate: lease.Quorum(3)})
	alone.e.View(alone.now, members(1))
	if err := alone.e.Promote(alone.now, name(0)); !errors.Is(err, lease.ErrNoQuorum) {
		t.Errorf("Promote without a majority: %v, want %v", err, lease.ErrNoQuorum)
	}
}

// At rest no node of five sends and takes more than 25 messages a second, with a disk or
// without.
func TestMessageRate(t *testing.T) {
	for _, durable := range []bool{false, true} {
		w := quorum(1, 5)
		w.durable = durable
		w.start().run(3 * time.Second)
		leader := w.only()
		for _, n := range w.nodes {
			n.traffic = 0
		}
		w.run(10 * time.Second)
		for _, n := range w.nodes {
			if n.traffic > 25*10 || n.traffic == 0 {
				t.Errorf("%v, where %v leads: %d messages in 10 s, want some and at most 25 a second", n, leader, n.traffic)
			}
		}
		w.done(t)
	}
}

// Without a leader, members that cannot find one are not loud either.
func TestMessageRateWithoutALeader(t *testing.T) {
	for name, cut := range map[string]func(i, j int) bool{
		"nobody hears":       func(_, _ int) bool { return true },
		"rings of two":       func(i, j int) bool { return i/2 != j/2 },
		"all say, none hear": func(i, j int) bool { return i > j },
	} {
		w := quorum(1, 5).start()
		w.run(time.Second / 2)
		for i := range 5 { // links stay up
			for j := range 5 {
				w.cuts[i][j] = i != j && cut(i, j)
			}
		}
		w.run(5 * time.Second)
		w.sent = 0
		w.run(20 * time.Second)
		if rate := w.sent / 20 / 5; rate > 25 {
			t.Errorf("%s: %d messages a node and second, want 25 at most", name, rate)
		}
	}
}

// A newcomer, and members without a vote, know who leads, and when it does not any more.
func TestMembersWithoutAVote(t *testing.T) {
	seeds(t, func(seed uint64) *world {
		w := newWorld(seed, 5, lease.Quorum(3), time.Second)
		w.voters = 3
		for i := range 5 {
			if w.add(i); i == 3 {
				w.linkAll(0)
				w.run(3 * time.Second)
			}
		}
		w.linkAll(0)
		w.run(10 * time.Second)
		leader := w.only()
		if leader.index >= 3 || w.reigns() != 1 {
			w.fail("%v leads after %d reigns", leader, w.reigns())
		}
		leader.kill()
		w.run(3 * time.Second)
		w.only()
		for _, n := range w.nodes[:3] {
			if !n.dead && !n.e.Leading(n.clock()) {
				n.kill()
			}
		}
		w.run(5 * time.Second)
		if got := w.nodes[4].leader; !got.ID.IsZero() || len(w.leaders()) > 0 {
			w.fail("%v sees %+v, want nobody", w.nodes[4], got)
		}
		return w
	})
}
