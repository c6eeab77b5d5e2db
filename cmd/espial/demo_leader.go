package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/espial-go/espial"
)

// election returns the mode of the election.
func (s *stage) election() espial.Mode {
	if n := s.quorum(); n > 0 {
		return espial.Quorum(n)
	}
	return espial.Available()
}

// leadership shows who leads, and what the mode promises.
func (s *stage) leadership(ctx context.Context) error {
	s.title("A leader")
	s.say("   Some work is for one node at a time. They elect it among themselves.\n")
	first := s.follow(ctx, func(espial.Leadership) bool { return true })
	all, err := first()
	if err != nil {
		return err
	}
	last := all[len(all)-1]
	took := last.at.Sub(s.began)
	s.fact(step{Step: "leader", Node: last.Leader.Name, Term: last.Term, Took: ms(took)},
		"   %s leads, in term %d: elected within %v of the start of the first node.\n",
		last.Leader.Name, last.Term, round(took))
	if n := s.quorum(); n > 0 {
		s.say("   The mode is Quorum(%d): at most one leader at any instant, none without a majority.", n)
		s.say("   Available, the default, always has one, and in a split one on each side.")
	} else {
		s.say("   The mode is Available, the default: always a leader, and in a split one on each side.")
		s.say("   Quorum(n) has at most one at any instant, none without a majority: --mode quorum.")
	}
	s.say("   This host is one network, which cannot split; docs/leadership.md says what would happen.")
	return nil
}

// leaderCrash makes the victim the leader, kills it, and shows who leads then.
func (s *stage) leaderCrash(ctx context.Context) error {
	old := s.sender(s.victim.name)
	if err := s.handOver(ctx, old); err != nil {
		return err
	}
	next := s.follow(ctx, func(l espial.Leadership) bool { return l.Leader.ID != old.ID })
	start := s.kill()
	if err := s.tellLeader(next, start, "replaced"); err != nil {
		return err
	}
	return s.comeBack(ctx, old.ID)
}

// leaderFreeze makes the victim the leader, stops its process for as long as it takes to
// replace it, and shows what it learns then.
func (s *stage) leaderFreeze(ctx context.Context) error {
	old := s.sender(s.victim.name)
	if err := s.handOver(ctx, old); err != nil {
		return err
	}
	next := s.follow(ctx, func(l espial.Leadership) bool { return l.Leader.ID != old.ID })
	s.victim.forget()
	s.fact(step{Step: "frozen", Node: old.Name},
		"   The process of %s is stopped where it stands. Its sockets stay open.\n", old.Name)
	start := time.Now()
	if err := freeze(s.victim.cmd.Process); err != nil {
		return fmt.Errorf("stop the process of %s: %w", old.Name, err)
	}
	err := s.tellLeader(next, start, "replaced")
	start = time.Now()
	// In any case: a frozen child could not end.
	if terr := thaw(s.victim.cmd.Process); err != nil || terr != nil {
		return errors.Join(err, terr)
	}
	s.fact(step{Step: "thawed", Node: old.Name},
		"\n   It goes on, and does not know yet what it missed.\n")
	return s.awakening(ctx, start)
}

// awakening shows what the victim learns after it was frozen, up to start.
func (s *stage) awakening(ctx context.Context, start time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, sceneMax)
	defer cancel()
	name := s.victim.name
	select {
	case d := <-s.victim.demotions:
		took := d.Time.Sub(start)
		s.after(took, name, step{Step: "demoted", Node: name, Cause: d.Cause}, "leads no more: "+d.Cause)
	case <-ctx.Done():
		return fmt.Errorf("%s was not demoted: %w", name, ctx.Err())
	}
	if _, err := s.meet(ctx); err != nil {
		return err
	}
	took := time.Since(start)
	s.fact(step{Step: "met", Nodes: s.nodes, Took: ms(took)},
		"   %9s  %s are linked again", "+"+round(took).String(), s.all())
	return nil
}

// handOver makes a member lead, if another one does, and says so.
func (s *stage) handOver(ctx context.Context, to espial.Sender) error {
	if l, ok := s.own[0].Leader(); ok && l.Leader == to {
		return nil
	}
	done := s.follow(ctx, func(l espial.Leadership) bool { return l.Leader.ID == to.ID })
	s.fact(step{Step: "promoted", Node: to.Name}, "   First the leader hands over to %s.\n", to.Name)
	start := time.Now()
	if err := s.promote(ctx, to.ID); err != nil {
		return err
	}
	err := s.tellLeader(done, start, "leader")
	s.say("")
	return err
}

// promote makes a member lead. One that has just started may not be able to: with Quorum
// it waits until no vote that it may have given before its start can be valid.
func (s *stage) promote(ctx context.Context, id espial.NodeID) error {
	const again, look = 500 * time.Millisecond, 5 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, sceneMax)
	defer cancel()
	for {
		err := s.own[0].Promote(ctx, id)
		if err != nil && !errors.Is(err, espial.ErrNotEligible) && !errors.Is(err, espial.ErrNoLeader) {
			return err
		}
		for end := time.Now().Add(again); time.Now().Before(end); {
			if l, ok := s.own[0].Leader(); ok && l.Leader.ID == id {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(look):
			}
		}
	}
}

// follow begins to look for a leader at every node of this process, at once. The result
// waits until all know one that is right.
func (s *stage) follow(ctx context.Context, is func(espial.Leadership) bool) sightings {
	return s.witness(ctx, func(n *espial.Node, changes iter.Seq[espial.Change]) (sighting, error) {
		right := func(at time.Time) (sighting, bool) {
			l, ok := n.Leader()
			return sighting{n, at, l}, ok && is(l)
		}
		if seen, ok := right(time.Now()); ok {
			return seen, nil
		}
		for c := range changes {
			if c.Kind != espial.NewLeader {
				continue
			}
			if seen, ok := right(c.At); ok {
				return seen, nil
			}
		}
		return sighting{}, fmt.Errorf("%s knows of no other leader after %v", n.Name(), sceneMax)
	})
}

// tellLeader shows who follows whom.
func (s *stage) tellLeader(seen sightings, start time.Time, what string) error {
	return s.tellEach(seen, start, func(one sighting) (step, string) {
		words := "follows " + one.Leader.Name
		if one.Leader.ID == one.by.ID() {
			words = "leads"
		}
		return step{Step: what, Node: one.Leader.Name, Term: one.Term},
			fmt.Sprintf("%s, in term %d", words, one.Term)
	})
}
