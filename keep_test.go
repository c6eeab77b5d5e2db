package espial_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// price is a value with a key.
type price struct {
	Article string
	Cents   int
}

func article(p price) string { return p.Article }

// values reads the events of a topic for a second, as words: "past:a1" was replayed.
func values(
	t *testing.T, topic *espial.Topic[price], n *espial.Node, opts ...espial.SubscribeOption,
) string {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var words []string
	for e, err := range topic.Subscribe(ctx, n, opts...) {
		word := fmt.Sprint(e.Value.Article, e.Value.Cents)
		if e.Replayed {
			word = "past:" + word
		}
		if err != nil || e.Direct {
			word = fmt.Sprint(err, e.Direct)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestWhoComesLateGetsWhatIsKept(t *testing.T) {
	last := espial.NewTopic[price]("prices").KeepLast(2)
	each := espial.NewTopic[price]("articles").KeepLastOf(article)
	inCluster(t, 2, func(c *cluster) {
		for i, a := range []string{"a", "b", "a", "c", "b"} {
			for _, topic := range []*espial.Topic[price]{last, each} {
				if err := topic.Publish(c.Context(), c.nodes[0], price{a, i}); err != nil {
					c.Fatal(err)
				}
			}
		}
		late := c.start(espial.Config{})
		c.meet(3)
		for i, n := range []*espial.Node{c.nodes[1], late, c.nodes[0]} {
			if got, want := values(c.T, last, n), "past:c3 past:b4"; got != want {
				c.Errorf("reader %d of the last two got %q, want %q", i, got, want)
			}
			if got, want := values(c.T, each, n), "past:a2 past:c3 past:b4"; got != want {
				c.Errorf("reader %d of the last of each got %q, want %q", i, got, want)
			}
		}
	})
}

// TestThePastIsForWhomTheNewsIs: what a subscription leaves out it is not replayed either,
// and a group, whose members share what comes, has no past that each of them would get.
func TestThePastIsForWhomTheNewsIs(t *testing.T) {
	topic := espial.NewTopic[price]("prices").KeepLastOf(article)
	inCluster(t, 3, func(c *cluster) {
		for i, n := range c.nodes[:2] {
			if err := topic.Publish(c.Context(), n, price{"a", i}); err != nil {
				c.Fatal(err)
			}
		}
		time.Sleep(time.Second) // all that was published has arrived
		for _, tt := range []struct {
			name string
			opt  espial.SubscribeOption
			want string
		}{
			{"from one member", espial.From(espial.Only(c.nodes[1].ID())), "past:a1"},
			{"from a name", espial.From(espial.Named("node-0")), "past:a0"},
			{"from others", espial.From(espial.Others()), "past:a0 past:a1"},
			{"from nobody", espial.From(espial.Named("node-9")), ""},
			{"direct events only", espial.DirectOnly(), ""},
			{"of a group", espial.Group("workers"), ""},
		} {
			got := strings.Fields(values(c.T, topic, c.nodes[2], tt.opt))
			slices.Sort(got) // there is no order between publishers
			if got := strings.Join(got, " "); got != tt.want {
				c.Errorf("a subscription %s gets %q, want %q", tt.name, got, tt.want)
			}
		}
	})
}

// TestAPublisherThatComesLaterReplays: the reader is there first, and a publisher that joins later, or
// returns after a split, replays what the reader has not had.
func TestAPublisherThatComesLaterReplays(t *testing.T) {
	topic := espial.NewTopic[price]("prices").KeepLast(10)
	inCluster(t, 1, func(c *cluster) {
		ctx, cancel := context.WithTimeout(c.Context(), 10*time.Minute)
		defer cancel()
		got := make(chan string)
		events := topic.Subscribe(ctx, c.nodes[0])
		go func() {
			var words []string
			for e, err := range events {
				switch {
				case err != nil:
					words = append(words, "lagged")
				default:
					words = append(words, fmt.Sprint(e.Value.Cents))
				}
			}
			got <- strings.Join(words, " ")
		}()
		publisher := c.start(espial.Config{})
		publish := func(cents int) {
			if err := topic.Publish(c.Context(), publisher, price{"a", cents}); err != nil {
				c.Fatal(err)
			}
		}
		publish(1) // before they have met
		publish(2)
		c.meet(2)
		publish(3)
		time.Sleep(time.Second)
		c.net.Partition([]netip.Addr{ip(1)})
		publish(4)
		time.Sleep(time.Minute)
		publish(5)
		c.net.Heal()
		c.meet(2)
		publish(6)
		time.Sleep(time.Second)
		cancel()
		// Whatever was lost by the end of the session is told, and made good.
		words := strings.ReplaceAll(<-got, "lagged ", "")
		if want := "1 2 3 4 5 6"; words != want {
			c.Errorf("the reader got %q, want %q", words, want)
		}
	})
}

func TestATopicHasALimitOfItsOwn(t *testing.T) {
	topic := espial.NewTopic[string]("words").WithMax(10)
	inCluster(t, 1, func(c *cluster) {
		if err := topic.Publish(c.Context(), c.nodes[0], "12345678"); err != nil {
			c.Errorf("ten bytes as JSON: %v", err)
		}
		err := topic.Publish(c.Context(), c.nodes[0], "123456789")
		if !errors.Is(err, espial.ErrTooLarge) || !strings.Contains(err.Error(), "WithMax") {
			c.Errorf("eleven bytes: %v, want ErrTooLarge that names the knob", err)
		}
		for name, bad := range map[string]*espial.Topic[string]{
			"no limit":         espial.NewTopic[string]("words").WithMax(0),
			"nothing to keep":  espial.NewTopic[string]("words").KeepLast(0),
			"too much to keep": espial.NewTopic[string]("words").KeepLast(1 << 20),
			"no key":           espial.NewTopic[string]("words").KeepLastOf(nil),
		} {
			if _, ok := errors.AsType[*espial.TopicError](bad.Publish(c.Context(), c.nodes[0], "a")); !ok {
				c.Errorf("%s: Publish returns no TopicError", name)
			}
		}
	})
}
