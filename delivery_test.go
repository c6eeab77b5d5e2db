package espial_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
)

// stream is what one subscription brought: messages in the order in which they came, and
// losses.
type stream struct {
	mu     sync.Mutex // guards what follows
	events []espial.Event
	lagged []*espial.LaggedError
	errs   []error // any other
	ended  bool
}

// collect reads a subscription to pattern at n on a goroutine of its own.
func (c *cluster) collect(n *espial.Node, pattern string, opts ...espial.SubscribeOption) *stream {
	return collect(n.Subscribe(c.Context(), pattern, opts...))
}

func collect(events iter.Seq2[espial.Event, error]) *stream {
	s := &stream{}
	go func() {
		for e, err := range events {
			s.note(e, err)
		}
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
	}()
	return s
}

func (s *stream) note(e espial.Event, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lag, ok := errors.AsType[*espial.LaggedError](err)
	switch {
	case ok:
		s.lagged = append(s.lagged, lag)
	case err != nil:
		s.errs = append(s.errs, err)
	default:
		s.events = append(s.events, e)
	}
}

// got returns the payloads of one kind so far, once the bubble came to rest.
func (s *stream) got(direct bool) (payloads []string) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Direct == direct {
			payloads = append(payloads, strings.TrimRight(string(e.Data), " "))
		}
	}
	return payloads
}

// lost returns how often and how many messages were reported lost.
func (s *stream) lost() (times int, count uint64) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lagged {
		count += l.Count
	}
	return len(s.lagged), count
}

// numbers returns the words from "first" up to "last".
func numbers(first, last int) (words []string) {
	for i := first; i <= last; i++ {
		words = append(words, fmt.Sprint(i))
	}
	return words
}

// publish publishes the numbers from first up to last at n, padded to size bytes.
func (c *cluster) publish(n *espial.Node, first, last, size int, to ...espial.Target) {
	c.Helper()
	for i := first; i <= last; i++ {
		if err := n.Publish(c.Context(), "t", padded(i, size), to...); err != nil {
			c.Fatalf("publish %d: %v", i, err)
		}
	}
}

// padded returns a number with spaces behind it.
func padded(i, size int) []byte {
	p := fmt.Append(nil, i)
	return append(p, bytes.Repeat([]byte{' '}, max(0, size-len(p)))...)
}

// same fails the test unless exactly the wanted words came.
func (c *cluster) same(what string, got, want []string) {
	c.Helper()
	if slices.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	c.Errorf("%s: got %d events, want %d; the first difference is event %d: got %.20q, want %.20q",
		what, len(got), len(want), at, got[min(at, len(got)):], want[min(at, len(want)):])
}

func TestTargetsSayWhoGetsAnEvent(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		var all []*stream
		for _, n := range c.nodes {
			all = append(all, c.collect(n, "t"))
		}
		a := c.nodes[0]
		for i, to := range [][]espial.Target{
			nil, {espial.All()}, {espial.Others()}, {espial.Only(c.nodes[1].ID())}, {espial.Only(a.ID())}, nil,
		} {
			c.publish(a, i, i, 1, to...)
		}
		time.Sleep(time.Second)
		for i, want := range []struct{ broadcast, direct []string }{
			{[]string{"0", "1", "5"}, []string{"4"}},
			{[]string{"0", "1", "2", "5"}, []string{"3"}},
			{[]string{"0", "1", "2", "5"}, nil},
		} {
			c.same(fmt.Sprint("broadcasts at node ", i), all[i].got(false), want.broadcast)
			c.same(fmt.Sprint("direct events at node ", i), all[i].got(true), want.direct)
		}
		for i, n := range c.nodes[1:] {
			s := all[i+1]
			for k, e := range s.events {
				if e.From.ID != a.ID() || e.From.Name != "node-0" || e.At.After(time.Now()) || e.At.IsZero() {
					c.Errorf("event %d at %s is from %v at %v", k, n.Name(), e.From, e.At)
				}
			}
		}
	})
}

func TestPublishRefuses(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		s := c.collect(b, ">")
		never, cancel := context.WithCancel(c.Context())
		cancel()
		tests := []struct {
			name  string
			err   error
			topic string
			size  int
			to    []espial.Target
		}{
			{name: "an event above EventMax", err: espial.ErrTooLarge, topic: "t", size: 1<<20 + 1},
			{name: "a stranger", err: espial.ErrNoMember, topic: "t", to: []espial.Target{espial.Only(espial.NodeID{1})}},
			{name: "an empty topic"},
			{name: "a wildcard", topic: "a.*"},
			{name: "the name of a change", topic: "added_node"},
			{name: "two targets", topic: "t", to: []espial.Target{espial.All(), espial.Others()}},
		}
		for _, tt := range tests {
			err := a.Publish(c.Context(), tt.topic, make([]byte, tt.size), tt.to...)
			if err == nil || tt.err != nil && !errors.Is(err, tt.err) {
				c.Errorf("%s: Publish = %v, want %v", tt.name, err, tt.err)
			}
			if _, ok := errors.AsType[*espial.TopicError](err); ok != (tt.err == nil && tt.to == nil) {
				c.Errorf("%s: Publish = %v; a TopicError: %v", tt.name, err, ok)
			}
		}
		if err := a.Publish(never, "t", []byte("x")); err != nil {
			c.Errorf("Publish with room and an ended context = %v; it need not wait", err)
		}
		time.Sleep(time.Second)
		c.same("events", s.got(false), []string{"x"})
		_ = a.Close()
		for _, to := range []espial.Target{espial.All(), espial.Only(b.ID()), espial.Only(a.ID())} {
			if err := a.Publish(c.Context(), "t", nil, to); !errors.Is(err, espial.ErrClosed) || !errors.Is(err, net.ErrClosed) {
				c.Errorf("Publish after Close = %v, want ErrClosed", err)
			}
		}
		for _, err := range a.Subscribe(c.Context(), "t") {
			if !errors.Is(err, espial.ErrClosed) {
				c.Errorf("Subscribe after Close yields %v, want ErrClosed", err)
			}
		}
	})
}

// C21: every size up to the limit arrives as it was sent, in order.
func TestEverySizeUpToTheLimitArrives(t *testing.T) {
	const piece = 32<<10 - 512 // the largest event that travels whole
	sizes := []int{
		0, 1, 127, 128, 16383, 16384, piece - 1, piece, piece + 1,
		32<<10 - 1, 32 << 10, 32<<10 + 1, 2 * piece, 2*piece + 1, 1<<20 - 1, 1 << 20,
	}
	inCluster(t, 2, func(c *cluster) {
		all := []*stream{c.collect(c.nodes[0], "t"), c.collect(c.nodes[1], "t")}
		payload := func(i, size int) []byte {
			p := make([]byte, size)
			for k := range p {
				p[k] = byte(k*7 + k>>8 + i)
			}
			return p
		}
		for i, size := range sizes {
			for _, to := range []espial.Target{espial.All(), espial.Only(c.nodes[1].ID())} {
				if err := c.nodes[0].Publish(c.Context(), "t", payload(i, size), to); err != nil {
					c.Fatalf("%d bytes: %v", size, err)
				}
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for node, s := range all {
			var next [2]int
			for _, e := range s.events {
				lane := 0
				if e.Direct {
					lane = 1
				}
				i := next[lane]
				if next[lane]++; string(e.Data) != string(payload(i, sizes[i])) || e.Seq != uint64(i+1) {
					c.Errorf("node %d: event %d has %d bytes and number %d, want %d bytes as sent and %d",
						node, i, len(e.Data), e.Seq, sizes[i], i+1)
				}
			}
			if want := [2]int{len(sizes), len(sizes) * node}; next != want || len(s.lagged) > 0 {
				c.Errorf("node %d: %v events and %v, want %v", node, next, s.lagged, want)
			}
		}
	})
}

// C21: nodes may have different limits; an event above the receiver's is one lost event
// there, and the link lives.
func TestAnEventAboveTheReceiversLimitIsOneLost(t *testing.T) {
	empty(t, func(c *cluster) {
		large := c.start(espial.Config{EventMax: 4 << 20})
		small := c.start(espial.Config{EventMax: 100_000})
		tiny := c.start(espial.Config{EventMax: 10})
		c.meet(3)
		atSmall, atTiny := c.collect(small, "t"), c.collect(tiny, "t")
		for i, size := range []int{1, 100_000, 100_001, 3_000_000, 11, 10, 1} {
			c.publish(large, i, i, size)
		}
		time.Sleep(time.Second)
		c.same("at a limit of 100,000", atSmall.got(false), []string{"0", "1", "4", "5", "6"})
		c.same("at a limit of 10", atTiny.got(false), []string{"0", "5", "6"})
		if times, n := atSmall.lost(); times != 2 || n != 2 {
			c.Errorf("at a limit of 100,000 %d events are lost in %d reports, want 2 in 2", n, times)
		}
		if _, n := atTiny.lost(); n != 4 {
			c.Errorf("at a limit of 10 %d events are lost, want 4", n)
		}
		if s := large.Status(); s.Peers != 2 {
			c.Errorf("%d peers are left, want 2", s.Peers)
		}
	})
}

// C27: what is published after Subscribe and WaitFor returned reaches every subscription,
// wherever it is, though nothing was said between the nodes since.
func TestNothingIsMissedAfterSubscribe(t *testing.T) {
	for range runs(t) {
		empty(t, func(c *cluster) {
			var all []*stream
			for range 3 {
				n := c.start(espial.Config{})
				all = append(all, c.collect(n, "t"))
			}
			for i, n := range c.nodes {
				if err := n.WaitFor(c.Context(), 3); err != nil {
					c.Fatal(err)
				}
				c.publish(n, i, i, 1) // while the others may still wait
			}
			late := make([]*stream, 100)
			for i := range late {
				late[i] = c.collect(c.nodes[0], "t")
				c.publish(c.nodes[0], 3+i, 3+i, 1)
			}
			time.Sleep(time.Second)
			for i, s := range all {
				got := s.got(false)
				if slices.Sort(got); len(got) != 103 {
					c.Errorf("node %d got %d events, want 103", i, len(got))
				}
			}
			for i, s := range late {
				got := slices.DeleteFunc(s.got(false), func(word string) bool { return len(word) == 1 && word < "3" })
				for len(got) > 100-i { // published before, and still on its way
					got = got[1:]
				}
				c.same(fmt.Sprint("subscription ", i), got, numbers(3+i, 102))
			}
		})
	}
}

// runs is how often a test is repeated whose goroutines a bubble may order differently.
func runs(t *testing.T) int {
	t.Helper()
	if testing.Short() {
		return 2
	}
	return 20
}

func TestPatternsChooseTopics(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		patterns := map[string][]string{
			"a":     {"a"},
			"a.*":   {"a.b", "a.c"},
			"a.>":   {"a.b", "a.c", "a.b.c"},
			"*.b.*": {"a.b.c"},
			">":     {"a", "b", "a.b", "a.c", "a.b.c"},
			"x":     nil,
		}
		got := map[string]*stream{}
		for p := range patterns {
			got[p] = c.collect(c.nodes[1], p)
		}
		for _, topic := range []string{"a", "b", "a.b", "a.c", "a.b.c"} {
			if err := c.nodes[0].Publish(c.Context(), topic, []byte(topic)); err != nil {
				c.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		for p, want := range patterns {
			c.same("pattern "+p, got[p].got(false), want)
		}
		for _, p := range []string{"", "a..b", ">.a", "added_node", "espial.>"} {
			var errs []error
			for _, err := range c.nodes[0].Subscribe(c.Context(), p) {
				errs = append(errs, err)
			}
			if len(errs) != 1 {
				c.Fatalf("pattern %q yields %v, want one error", p, errs)
			}
			if te, ok := errors.AsType[*espial.TopicError](errs[0]); !ok || te.Topic != p {
				c.Errorf("pattern %q yields %v, want a TopicError", p, errs[0])
			}
		}
	})
}

func TestTypedTopicsDecodeAndReportWhatDoesNot(t *testing.T) {
	type order struct{ ID int }
	orders := espial.NewTopic[order]("orders.placed")
	inCluster(t, 2, func(c *cluster) {
		a, b := c.nodes[0], c.nodes[1]
		events := orders.Subscribe(c.Context(), b)
		if err := errors.Join(
			orders.Publish(c.Context(), a, order{1}),
			a.Publish(c.Context(), "orders.placed", []byte("{")),
			a.Publish(c.Context(), "orders.placed", []byte(`{"ID":2}`)),
			orders.Publish(c.Context(), a, order{3}, espial.Others()),
		); err != nil {
			c.Fatal(err)
		}
		var got []string
		for e, err := range events {
			word := fmt.Sprint(e.Value.ID)
			if de, ok := errors.AsType[*espial.DecodeError](err); ok && de.Topic == "orders.placed" && de.From == a.ID() {
				word = "undecodable"
			} else if err != nil {
				c.Fatal(err)
			}
			if got = append(got, fmt.Sprint(e.Seq, ": ", word)); len(got) == 4 {
				break
			}
		}
		c.same("values", got, []string{"1: 1", "2: undecodable", "3: 2", "4: 3"})
	})
}
