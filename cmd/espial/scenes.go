package main

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial"
)

// reader is a node that subscribes in the scene of events.
type reader struct {
	name    string
	pattern string
	next    func() (espial.Event, error, bool)
}

// events shows a topic, and patterns.
func (s *stage) events(ctx context.Context) error {
	s.title("Events")
	ctx, cancel := context.WithTimeout(ctx, sceneMax)
	defer cancel()
	from := s.own[0]
	var readers []reader
	var words []string
	patterns := []string{"demo.greetings", "demo.*", "demo.>"}
	others := s.own[1:]
	if len(others) == 0 {
		others = s.own
	}
	if len(others) == 1 {
		patterns = patterns[2:] // the one that both topics match
	}
	for i, n := range others {
		pattern := patterns[i%len(patterns)]
		next, stop := iter.Pull2(n.Subscribe(ctx, pattern))
		defer stop()
		readers = append(readers, reader{n.Name(), pattern, next})
		if i < 3 {
			words = append(words, n.Name()+" reads "+pattern)
		}
	}
	s.say("   %s.", strings.Join(words, ", "))
	s.say("   In a pattern * stands for one word, and > for one or more.")
	for _, topic := range []string{"demo.greetings", "demo.orders.placed"} {
		if err := s.publish(ctx, from, topic, readers); err != nil {
			return err
		}
	}
	return nil
}

// message is what the demo publishes.
type message struct {
	Text string `json:"text"`
}

// publish publishes one event and shows whom it reaches.
func (s *stage) publish(ctx context.Context, from *espial.Node, topic string, readers []reader) error {
	v := message{"hello from " + from.Name()}
	s.fact(step{Step: "published", Node: from.Name(), Topic: topic},
		"\n   %s publishes %s {\"text\":%q}", from.Name(), topic, v.Text)
	start := time.Now()
	if err := espial.NewTopic[message](topic).Publish(ctx, from, v); err != nil {
		return err
	}
	for _, r := range readers {
		if !matches(r.pattern, topic) {
			continue
		}
		e, err, ok := r.next()
		switch {
		case err != nil:
			return err
		case !ok:
			return fmt.Errorf("%s got no event: %w", r.name, context.Cause(ctx))
		}
		took := e.At.Sub(start)
		s.fact(step{Step: "delivered", Node: r.name, Topic: topic, Took: ms(took)},
			"      %-5s has it after %v", r.name, round(took))
	}
	return nil
}

// matches tells which of the demo's patterns match its topics: all but these.
func matches(pattern, topic string) bool {
	return topic == "demo.greetings" || pattern == "demo.>"
}

// crash kills the victim, which does not lead, shows how that is noticed, and starts it again.
func (s *stage) crash(ctx context.Context) error {
	name := s.victim.name
	gone := s.sender(name).ID
	if l, ok := s.own[0].Leader(); ok && l.Leader.ID == gone {
		if err := s.handOver(ctx, s.sender(s.own[0].Name())); err != nil {
			return err
		}
	}
	removed := s.watch(ctx, func(c espial.Change) bool {
		return c.Kind == espial.RemovedNode && c.Member.ID == gone
	})
	suspected := s.watch(ctx, func(c espial.Change) bool {
		return c.Kind == espial.SuspectedNode && c.Member.ID == gone
	})
	start := s.kill()
	if err := s.tell(suspected, start, "suspected", "suspects "+name); err != nil {
		return err
	}
	if err := s.tell(removed, start, "removed", "has removed "+name+": failed, not left"); err != nil {
		return err
	}
	return s.comeBack(ctx, gone)
}

// kill kills the victim and returns when.
func (s *stage) kill() time.Time {
	s.fact(step{Step: "killed", Node: s.victim.name},
		"   The process of %s is killed and cannot say goodbye.\n", s.victim.name)
	start := time.Now()
	s.victim.kill()
	return start
}

// comeBack starts the victim again, which had the ID gone.
func (s *stage) comeBack(ctx context.Context, gone espial.NodeID) error {
	s.say("\n   It starts again, with a new key and a new port: a new member.\n")
	name := s.victim.name
	back := s.watch(ctx, func(c espial.Change) bool {
		return c.Kind == espial.AddedNode && c.Member.Name == name && c.Member.ID != gone
	})
	start := time.Now()
	if err := s.launch(ctx, ""); err != nil {
		return err
	}
	return s.tell(back, start, "returned", "knows "+name+" again")
}

// sender returns the ID and name of the member of the given name, which is there.
func (s *stage) sender(name string) espial.Sender {
	for m := range s.own[0].Members() {
		if m.Name == name {
			return espial.Sender{ID: m.ID, Name: name}
		}
	}
	return espial.Sender{Name: name}
}

// sighting is when one node of this process saw something, and whom it followed then if that
// is what it was asked.
type sighting struct {
	by *espial.Node
	at time.Time
	espial.Leadership
}

// sightings waits until every node of this process has seen something, and returns when each
// did, the first one first.
type sightings func() ([]sighting, error)

// witness begins to look for something at every node of this process, at once: look returns
// when it finds it among the changes, which begin before.
func (s *stage) witness(
	ctx context.Context, look func(*espial.Node, iter.Seq[espial.Change]) (sighting, error),
) sightings {
	ctx, cancel := context.WithTimeout(ctx, sceneMax)
	g, ctx := errgroup.WithContext(ctx)
	all := make([]sighting, len(s.own))
	for i, n := range s.own {
		changes := n.Changes(ctx) // before the first look, so that no change is missed
		g.Go(func() (err error) {
			all[i], err = look(n, changes)
			return err
		})
	}
	return func() ([]sighting, error) {
		defer cancel()
		if err := g.Wait(); err != nil {
			return nil, err
		}
		slices.SortFunc(all, func(a, b sighting) int { return a.at.Compare(b.at) })
		return all, nil
	}
}

// watch begins to look for a change at every node of this process.
func (s *stage) watch(ctx context.Context, is func(espial.Change) bool) sightings {
	return s.witness(ctx, func(n *espial.Node, changes iter.Seq[espial.Change]) (sighting, error) {
		for c := range changes {
			if is(c) {
				return sighting{by: n, at: c.At}, nil
			}
		}
		return sighting{}, fmt.Errorf("%s saw nothing for %v", n.Name(), sceneMax)
	})
}

// tellEach shows what was seen, as describe has it for each who saw it.
func (s *stage) tellEach(seen sightings, start time.Time, describe func(sighting) (step, string)) error {
	all, err := seen()
	if err != nil {
		return err
	}
	for _, one := range all {
		st, words := describe(one)
		st.By = one.by.Name()
		s.after(one.at.Sub(start), st.By, st, words)
	}
	return nil
}

// tell shows who saw something of the victim.
func (s *stage) tell(seen sightings, start time.Time, what, words string) error {
	return s.tellEach(seen, start, func(sighting) (step, string) {
		return step{Step: what, Node: s.victim.name}, words
	})
}

// after tells what somebody saw or did so long after a scene began.
func (s *stage) after(took time.Duration, who string, st step, words string) {
	st.Took = ms(took)
	s.fact(st, "   %9s  %-5s %s", "+"+round(took).String(), who, words)
}
