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
	if err := s.launch(""); err != nil {
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

// sightings is when which node saw something.
type sightings func() ([]sighting, error)

// sighting is when one node saw something.
type sighting struct {
	by string
	at time.Time
}

// watch begins to look for a change at every node of this process, at once. The result waits
// until all have seen it.
func (s *stage) watch(ctx context.Context, is func(espial.Change) bool) sightings {
	ctx, cancel := context.WithTimeout(ctx, sceneMax)
	g, ctx := errgroup.WithContext(ctx)
	seen := make([]sighting, len(s.own))
	for i, n := range s.own {
		changes := n.Changes(ctx)
		g.Go(func() error {
			for c := range changes {
				if is(c) {
					seen[i] = sighting{n.Name(), c.At}
					return nil
				}
			}
			return fmt.Errorf("%s saw nothing for %v", n.Name(), sceneMax)
		})
	}
	return func() ([]sighting, error) {
		defer cancel()
		if err := g.Wait(); err != nil {
			return nil, err
		}
		slices.SortFunc(seen, func(a, b sighting) int { return a.at.Compare(b.at) })
		return seen, nil
	}
}

// tell shows what was seen.
func (s *stage) tell(seen sightings, start time.Time, what, words string) error {
	all, err := seen()
	if err != nil {
		return err
	}
	for _, one := range all {
		took := one.at.Sub(start)
		s.fact(step{Step: what, Node: s.victim.name, By: one.by, Took: ms(took)},
			"   %9s  %-5s %s", "+"+round(took).String(), one.by, words)
	}
	return nil
}
