package espial_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// topicsOf returns the topics that came, sorted, each with how often.
func (s *stream) topicsOf() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var topics []string
	for _, e := range s.events {
		topics = append(topics, e.Topic)
	}
	slices.Sort(topics)
	return strings.Join(topics, " ")
}

// C28: what a subscription leaves out reaches it by no way: not as a broadcast of a neighbour or of
// who has no link, not as a direct event, not for its group, and not as what was kept.
func TestWhatIsExceptedIsNeverDelivered(t *testing.T) {
	topics := []string{"a.news", "a.secret", "a.b.secret", "a.b.c", "a.deep.news"}
	const want = "a.b.secret a.news" // a.> but for *.secret, a.b.c and a.deep.>
	except := espial.Except("*.secret", "a.b.c", "a.deep.>")
	empty(t, func(c *cluster) {
		for range 6 { // a ring, so that most have no link with the publisher
			c.start(espial.Config{MinPeers: 2, MaxPeers: 2})
		}
		c.meet(6)
		publisher := c.nodes[0]
		say := func(targets ...espial.Target) {
			for _, name := range topics {
				topic := espial.NewTopic[string](name).KeepLast(1)
				if err := topic.Publish(c.Context(), publisher, "x", targets...); err != nil {
					c.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		check := func(way string, s *stream, want string) {
			c.Helper()
			if got := s.topicsOf(); got != want {
				c.Errorf("%s: got %q, want %q", way, got, want)
			}
		}

		var streams []*stream
		for _, n := range c.nodes {
			streams = append(streams, c.collect(n, "a.>", except))
		}
		time.Sleep(time.Second)
		say()
		for i, s := range streams {
			check(fmt.Sprint("broadcast, at node ", i), s, want)
		}
		direct := c.collect(c.nodes[3], "a.>", except, espial.DirectOnly())
		say(only(c.nodes[3]))
		c.within(10*time.Second, "a link on demand", func() bool { return direct.topicsOf() != "" })
		time.Sleep(time.Second)
		check("direct", direct, want)
		late := c.collect(c.nodes[4], "a.>", except, espial.Replay())
		time.Sleep(time.Second)
		check("kept", late, want)
	})
}

// What one subscription of a group leaves out is for another one, and for none if all leave it out.
func TestAGroupGivesWhatIsExceptedToOthers(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		picky := c.collect(c.nodes[1], "jobs.>", espial.Group("workers"), espial.Except("jobs.heavy", "jobs.no.*"))
		strong := c.collect(c.nodes[2], "jobs.>", espial.Group("workers"), espial.Except("jobs.no.>"))
		time.Sleep(time.Second)
		for range 10 {
			for _, topic := range []string{"jobs.heavy", "jobs.light", "jobs.no.one"} {
				if err := c.nodes[0].Publish(c.Context(), topic, nil); err != nil {
					c.Fatal(err)
				}
			}
		}
		time.Sleep(time.Second)
		light := strings.TrimSpace(strings.Repeat("jobs.light ", 5))
		if got := picky.topicsOf(); got != light {
			c.Errorf("who leaves jobs.heavy out got %q, want %q", got, light)
		}
		heavy := strings.Repeat("jobs.heavy ", 10) + light
		if got := strong.topicsOf(); got != heavy {
			c.Errorf("who takes jobs.heavy got %q, want %q", got, heavy)
		}
		err := c.nodes[0].Publish(c.Context(), "jobs.no.one", nil, espial.All().Queued())
		if _, ok := errors.AsType[*espial.UndeliveredError](err); !ok {
			c.Errorf("all leave it out, and it was confirmed: %v", err)
		}
	})
}

func TestBadExceptionsAreAnError(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		for exception, want := range map[string]string{
			"a..b": `espial: topic "a..b": word 2 is empty`,
			"a b":  `espial: topic "a b": word 1 contains " "; allowed are A-Z, a-z, 0-9, "-" and "_"`,
		} {
			for _, err := range c.nodes[0].Subscribe(c.Context(), "a", espial.Except(exception, "b")) {
				if _, ok := errors.AsType[*espial.TopicError](err); !ok || err.Error() != want {
					c.Errorf("Except(%q): %v, want a TopicError: %s", exception, err, want)
				}
			}
		}
		many := slices.Repeat([]string{"a.b"}, 300)
		for _, err := range c.nodes[0].Subscribe(c.Context(), "a", espial.Except(many...)) {
			want := `espial: topic "a": has exceptions of 1199 bytes, at most 1024`
			if err == nil || err.Error() != want {
				c.Errorf("exceptions beyond the limit: %v, want %s", err, want)
			}
		}
	})
}
