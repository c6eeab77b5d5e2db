package espial_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// reign returns the next reign of n in e. It lasts for the test as it lasts for n.
func (c *cluster) reign(e *espial.Election, n *espial.Node) *espial.Term {
	c.Helper()
	got := make(chan *espial.Term, 1)
	terms := n.Terms(c.Context())
	if e != nil {
		terms = e.Terms(c.Context())
	}
	go func() {
		for term := range terms {
			got <- term
			<-term.Done()
			return
		}
		close(got)
	}()
	select {
	case term := <-got:
		return term
	case <-time.After(10 * time.Second):
		c.Fatalf("%s leads not within 10s", n.Name())
		return nil
	}
}

// inTerms returns what came, each with the term under which it was published.
func (s *stream) inTerms(direct bool) (words []string) {
	payloads := s.got(direct)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Direct == direct {
			words = append(words, fmt.Sprintf("%s in %d", payloads[len(words)], e.Term))
		}
	}
	return words
}

// What the leader publishes says in which term, to all, to one, and typed; what it
// publishes as anybody says nothing; and when the term is over it can publish no more.
func TestLeadersPublishUnderTheirTerm(t *testing.T) {
	orders := espial.NewTopic[string]("t")
	inElection(t, 3, espial.Available(), func(c *cluster) {
		leader, number := c.led(4 * time.Second)
		n := c.nodes[leader]
		term := c.reign(nil, n)
		other := (leader + 1) % 3
		var streams []*stream
		for _, n := range c.nodes {
			streams = append(streams, c.collect(n, "t"))
		}
		for _, err := range []error{
			term.Publish(c.Context(), "t", []byte("to-all")),
			n.Publish(c.Context(), "t", []byte("as-anybody")),
			orders.PublishAs(c.Context(), term, "typed"),
			term.Publish(c.Context(), "t", []byte("to-one"), only(c.nodes[other])),
		} {
			if err != nil {
				c.Errorf("publish: %v", err)
			}
		}
		time.Sleep(time.Second)
		broadcasts := []string{
			fmt.Sprintf("to-all in %d", number), "as-anybody in 0", fmt.Sprintf(`"typed" in %d`, number),
		}
		for i, s := range streams {
			c.same(fmt.Sprint("broadcasts at node ", i), s.inTerms(false), broadcasts)
			var direct []string
			if i == other {
				direct = []string{fmt.Sprintf("to-one in %d", number)}
			}
			c.same(fmt.Sprint("direct events at node ", i), s.inTerms(true), direct)
		}
		if err := term.Publish(c.Context(), "bad topic", nil); err == nil {
			c.Error("a bad topic is taken")
		}
		if err := n.Resign(c.Context()); err != nil {
			c.Fatal(err)
		}
		c.led(time.Second)
		for _, err := range []error{
			term.Publish(c.Context(), "t", []byte("late")), orders.PublishAs(c.Context(), term, "late"),
		} {
			if !errors.Is(err, espial.ErrStaleTerm) {
				c.Errorf("publish after Resign = %v, want ErrStaleTerm", err)
			}
		}
		time.Sleep(time.Second)
		for i, s := range streams {
			if got := s.got(false); len(got) != len(broadcasts) {
				c.Errorf("node %d got %q", i, got)
			}
		}
	})
}

// A leader that is cut off and does not know it yet publishes into links that carry
// nothing. When they carry again another one leads: nobody takes what is from the old
// term, what needs no leader comes as ever, and nothing is called lost.
func TestNobodyTakesEventsOfAFormerLeader(t *testing.T) {
	for _, name := range []string{"", "jobs"} {
		t.Run("election "+name, func(t *testing.T) {
			inElection(t, 5, espial.Quorum(5), func(c *cluster) { formerLeader(c, name) })
		})
	}
}

func formerLeader(c *cluster, name string) {
	elections := make([]*espial.Election, len(c.nodes))
	if name != "" {
		for i, n := range c.nodes {
			elections[i] = n.Election(name, espial.Quorum(5))
		}
	}
	leading := func(i int) bool {
		if elections[i] != nil {
			return elections[i].Leading()
		}
		return c.nodes[i].Leading()
	}
	leader := -1
	find := func(except int) {
		c.within(10*time.Second, "a leader", func() bool {
			for i := range c.nodes {
				if i != except && leading(i) {
					leader = i
					return true
				}
			}
			return false
		})
	}
	find(-1)
	old := leader
	term := c.reign(elections[old], c.nodes[old])
	var streams []*stream
	for _, n := range c.nodes {
		streams = append(streams, c.collect(n, "t"))
	}

	c.net.Partition([]netip.Addr{ip(old)})
	one := (old + 2) % 5
	for _, err := range []error{
		term.Publish(c.Context(), "t", []byte("stale"), espial.Others()),
		term.Publish(c.Context(), "t", []byte("stale"), only(c.nodes[one])),
		c.nodes[old].Publish(c.Context(), "t", []byte("needs-no-leader"), espial.Others()),
	} {
		if err != nil {
			c.Fatalf("publish while the lease lasts: %v", err)
		}
	}
	find(old)
	if err := term.Publish(c.Context(), "t", []byte("stale")); !errors.Is(err, espial.ErrStaleTerm) {
		c.Errorf("publish after the lease = %v, want ErrStaleTerm", err)
	}
	next := c.reign(elections[leader], c.nodes[leader])
	time.Sleep(5 * time.Second)
	c.net.Heal()
	c.meet(5)
	if err := next.Publish(c.Context(), "t", []byte("news")); err != nil {
		c.Fatalf("publish of the next leader: %v", err)
	}
	time.Sleep(10 * time.Second)

	for i, s := range streams {
		want := []string{"needs-no-leader in 0", fmt.Sprintf("news in %d", next.Token)}
		refused := uint64(1)
		switch i {
		case old:
			want, refused = want[1:], 0
		case one:
			refused = 2
		}
		got := s.inTerms(false)
		slices.Sort(got) // they are from two senders
		c.same(fmt.Sprint("node ", i), got, want)
		c.same(fmt.Sprint("direct events at node ", i), s.inTerms(true), nil)
		if got := c.nodes[i].Status().Dropped["stale_terms"]; got != refused {
			c.Errorf("node %d refused %d events, want %d", i, got, refused)
		}
		if times, count := s.lost(); times > 0 {
			c.Errorf("node %d was told %d times that %d events are lost", i, times, count)
		}
	}
}
