package espial_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// crew starts db-1, db-2 and web-1, which have a role, and a node without any.
func crew(t *testing.T, f func(c *cluster)) {
	t.Helper()
	empty(t, func(c *cluster) {
		for name, role := range map[string]string{"db-1": "db", "db-2": "db", "web-1": "web"} {
			c.start(espial.Config{Name: name, Metadata: map[string]string{"role": role}})
		}
		c.start(espial.Config{Name: "none"})
		slices.SortFunc(c.nodes, func(a, b *espial.Node) int { return strings.Compare(a.Name(), b.Name()) })
		c.meet(4)
		f(c)
	})
}

// gather reads subscriptions until they end and returns what each brought.
func gather(subs []func(func(espial.Event, error) bool)) [][]espial.Event {
	done := make(chan struct{})
	out := make([][]espial.Event, len(subs))
	for i, events := range subs {
		go func() {
			for e, err := range events {
				if err == nil {
					out[i] = append(out[i], e)
				}
			}
			done <- struct{}{}
		}()
	}
	for range subs {
		<-done
	}
	return out
}

// got returns the names of the nodes at which what is published arrives.
func (c *cluster) got(publish func() error) (string, error) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), time.Second)
	defer cancel()
	var subs []func(func(espial.Event, error) bool)
	for _, n := range c.nodes {
		subs = append(subs, n.Subscribe(ctx, "t"))
	}
	err := publish()
	var names []string
	for i, events := range gather(subs) {
		for range events {
			names = append(names, c.nodes[i].Name())
		}
	}
	return strings.Join(names, " "), err
}

func TestATargetMeansItsMembers(t *testing.T) {
	crew(t, func(c *cluster) {
		publisher := c.nodes[0] // db-1
		for _, tt := range []struct {
			name string
			to   espial.Target
			want string
			err  error
		}{
			{"all", espial.All(), "db-1 db-2 none web-1", nil},
			{"others", espial.Others(), "db-2 none web-1", nil},
			{"one by ID", espial.Only(c.nodes[3].ID()), "web-1", nil},
			{"a name", espial.Named("db-2"), "db-2", nil},
			{"a name pattern, the publisher included", espial.Named("db-*"), "db-1 db-2", nil},
			{"a name pattern of one character", espial.Named("?eb-1"), "web-1", nil},
			{"metadata", espial.Where("role", "web"), "web-1", nil},
			{"the leader", espial.Leader(), c.leader().Name(), nil},
			{"one of a single member", espial.OneOf("web-*"), "web-1", nil},
			{"the beginning of an ID", espial.Named(c.nodes[3].ID().Short()), "web-1", nil},
			{"too little of an ID", espial.Named(c.nodes[3].ID().Short()[:15]), "", espial.ErrNoMember},
			{"nobody of that name", espial.Named("mail-*"), "", espial.ErrNoMember},
			{"nobody of that metadata", espial.Where("role", "mail"), "", espial.ErrNoMember},
			{"one of nobody", espial.OneOf("mail-*"), "", espial.ErrNoMember},
			{"a node that does not exist", espial.Only(espial.NodeID{1}), "", espial.ErrNoMember},
		} {
			got, err := c.got(func() error { return publisher.Publish(c.Context(), "t", []byte("x"), tt.to) })
			if got != tt.want || !errors.Is(err, tt.err) {
				c.Errorf("%s: arrived at %q, %v; want %q, %v", tt.name, got, err, tt.want, tt.err)
			}
		}
	})
}

// leader returns the node that leads.
func (c *cluster) leader() *espial.Node {
	c.Helper()
	for range 100 {
		for _, n := range c.nodes {
			if n.Leading() {
				return n
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.Fatal("nobody leads")
	return nil
}

// TestParseTarget: the words of the command are those of the package.
func TestParseTarget(t *testing.T) {
	id := espial.NodeID{7}
	for _, tt := range []struct {
		text string
		want espial.Target
	}{
		{"all", espial.All()},
		{"others", espial.Others()},
		{"leader", espial.Leader()},
		{"db-*", espial.Named("db-*")},
		{id.String(), espial.Named(id.String())},
		{"role=db", espial.Where("role", "db")},
		{"role=", espial.Where("role", "")},
		{"role=a=b", espial.Where("role", "a=b")},
		{"one:db-*", espial.OneOf("db-*")},
		{"one:role=db", espial.Where("role", "db").One()},
		{"one:others", espial.Others().One()},
	} {
		if got, err := espial.ParseTarget(tt.text); got != tt.want || err != nil {
			t.Errorf("ParseTarget(%q) = %+v, %v; want %+v", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{"", "one:", "=db", "A", "a b", "one:one:a", strings.Repeat("a", 64)} {
		_, err := espial.ParseTarget(text)
		if _, ok := errors.AsType[*espial.TargetError](err); !ok {
			t.Errorf("ParseTarget(%q): %v, want a TargetError", text, err)
		}
	}
}

func TestATargetThatCanMeanNobodyIsAnError(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		for name, to := range map[string]espial.Target{
			"a name with a dot":             espial.Named("a.b"),
			"an empty name":                 espial.Named(""),
			"an empty key":                  espial.Where("", "db"),
			"confirmations without a wish":  espial.All().AtLeast(1),
			"confirmations below one":       espial.All().Queued().AtLeast(-1),
			"confirmations above the limit": espial.All().Queued().AtLeast(257),
		} {
			err := c.nodes[0].Publish(c.Context(), "t", nil, to)
			if _, ok := errors.AsType[*espial.TargetError](err); !ok {
				c.Errorf("%s: Publish = %v, want a TargetError", name, err)
			}
		}
		for range c.nodes[0].Subscribe(c.Context(), "t", espial.From(espial.Named("A"))) {
			return
		}
		c.Error("Subscribe from a malformed target yields nothing")
	})
}

// TestOneTakesTurns: every member gets its share, and none of them an event twice.
func TestOneTakesTurns(t *testing.T) {
	crew(t, func(c *cluster) {
		counts := map[string]int{}
		for range 6 {
			got, err := c.got(func() error {
				return c.nodes[2].Publish(c.Context(), "t", nil, espial.Where("role", "db").One())
			})
			if err != nil {
				c.Fatal(err)
			}
			counts[got]++
		}
		if counts["db-1"] != 3 || counts["db-2"] != 3 {
			c.Errorf("six events went to %v", counts)
		}
	})
}

// TestAKeyBelongsToOneMember at every node, and keeps to it while others come and go.
func TestAKeyBelongsToOneMember(t *testing.T) {
	inCluster(t, 4, func(c *cluster) {
		owners := func() (all []string) {
			for key := range 40 {
				var at []string
				for i, n := range c.nodes {
					if i != 3 && (n.ID() == c.nodes[0].ID() || key < 4) {
						got, err := c.got(func() error {
							return n.Publish(c.Context(), "t", nil, espial.Named("node-*").For(fmt.Sprint("user-", key)))
						})
						if err != nil {
							c.Fatal(err)
						}
						at = append(at, got)
					}
				}
				if slices.Min(at) != slices.Max(at) {
					c.Errorf("user-%d belongs to %v", key, at)
				}
				all = append(all, at[0])
			}
			return all
		}
		before := owners()
		gone := c.nodes[3].Name()
		if err := c.nodes[3].Close(); err != nil {
			c.Fatal(err)
		}
		time.Sleep(time.Second)
		share := map[string]int{}
		for key, name := range owners() {
			share[name]++
			if before[key] != gone && name != before[key] {
				c.Errorf("user-%d moved from %s to %s, and neither of them went", key, before[key], name)
			}
		}
		for _, n := range c.nodes[:3] {
			if share[n.Name()] < 4 {
				c.Errorf("40 keys are shared as %v", share)
			}
		}
	})
}

// TestAPeerIsATarget: what is published to it reaches nobody else, and what is subscribed to
// comes of nobody else.
func TestAPeerIsATarget(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		for p := range c.nodes[0].Peers() {
			got, err := c.got(func() error { return p.Publish(c.Context(), "t", nil) })
			if got != p.Name || err != nil {
				c.Errorf("published to %s: arrived at %q, %v", p.Name, got, err)
			}
			ctx, cancel := context.WithTimeout(c.Context(), time.Second)
			events := p.Subscribe(ctx, "t")
			for _, n := range c.nodes {
				if err := n.Publish(c.Context(), "t", nil); err != nil {
					c.Fatal(err)
				}
			}
			for e, err := range events {
				if e.From.Name != p.Name || err != nil {
					c.Errorf("subscribed to %s: an event of %s, %v", p.Name, e.From.Name, err)
				}
				got = ""
			}
			cancel()
			if got != "" {
				c.Errorf("nothing came of %s", p.Name)
			}
		}
		if err := (espial.Peer{}).Publish(c.Context(), "t", nil); !errors.Is(err, espial.ErrClosed) {
			c.Errorf("a peer of no node: Publish = %v", err)
		}
	})
}

func TestASubscriptionFromSome(t *testing.T) {
	crew(t, func(c *cluster) {
		ctx, cancel := context.WithTimeout(c.Context(), time.Second)
		defer cancel()
		reader := c.nodes[2]
		tests := []struct {
			name string
			opts []espial.SubscribeOption
			want string
		}{
			{"everybody", nil, "db-1:a db-1:d db-2:a db-2:d none:a none:d web-1:a web-1:d"},
			{
				"by metadata",
				[]espial.SubscribeOption{espial.From(espial.Where("role", "db"))},
				"db-1:a db-1:d db-2:a db-2:d",
			},
			{"by ID", []espial.SubscribeOption{espial.From(only(c.nodes[3]))}, "web-1:a web-1:d"},
			{"itself", []espial.SubscribeOption{espial.From(espial.Named("none"))}, "none:a none:d"},
			{"direct", []espial.SubscribeOption{espial.DirectOnly()}, "db-1:d db-2:d none:d web-1:d"},
			{
				"direct, of one",
				[]espial.SubscribeOption{espial.DirectOnly(), espial.From(espial.Named("*-2"))},
				"db-2:d",
			},
		}
		var subs []func(func(espial.Event, error) bool)
		for _, tt := range tests {
			subs = append(subs, reader.Subscribe(ctx, "t", tt.opts...))
		}
		for _, n := range c.nodes {
			for word, to := range map[string]espial.Target{"a": espial.All(), "d": only(reader)} {
				if err := n.Publish(c.Context(), "t", []byte(word), to); err != nil {
					c.Fatal(err)
				}
			}
		}
		for i, events := range gather(subs) {
			var got []string
			for _, e := range events {
				got = append(got, e.From.Name+":"+string(e.Data))
			}
			slices.Sort(got)
			if strings.Join(got, " ") != tests[i].want {
				c.Errorf("%s: got %q, want %q", tests[i].name, got, tests[i].want)
			}
		}
	})
}
