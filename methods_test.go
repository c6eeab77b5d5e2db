package espial_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// TestMethods: every member knows what each other serves to it, from the first moment on, and calls
// go to who serves the method.
func TestMethods(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		c.served(placing.Serve(c.nodes[1], double, espial.Describe("doubles")))
		c.served(c.nodes[1].Serve("private", echo, espial.To(espial.Where("role", "till"))))
		late := c.start(espial.Config{Metadata: map[string]string{"role": "till"}})
		if err := late.WaitFor(c.Context(), 3); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := placing.Call(c.Context(), late, espial.All(), order{}); err != nil {
				t.Errorf("a call to one of all, right after WaitFor: %v", err)
			}
		}
		known := func(n *espial.Node) (words []string) {
			for m := range n.Methods() {
				words = append(words, fmt.Sprintf("%s: %s %s(%s) %s %s",
					m.Member.Name, m.Codec, m.Method, m.Argument, m.Result, m.Description))
			}
			return words
		}
		const public = "node-1: json orders.place(espial_test.order) espial_test.order doubles"
		const private = "node-1: raw private()  "
		check := func(when string, n *espial.Node, want ...string) {
			t.Helper()
			if got := known(n); !slices.Equal(got, want) {
				t.Errorf("%s %s knows %q, want %q", when, n.Name(), got, want)
			}
		}
		check("in the beginning", late, public, private)
		check("in the beginning", c.nodes[0], public)
		check("in the beginning", c.nodes[1], public)
		if err := c.nodes[0].SetMetadata(c.Context(), map[string]string{"role": "till"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second + 10*time.Millisecond) // the second, and the way there and back
		check("as a till", c.nodes[0], public, private)
		_ = c.nodes[1].Close()
		time.Sleep(time.Second)
		check("when the member is gone", late)
	})
}

// TestAKeyedCallStaysWithTheServing: For chooses among those that serve the method.
func TestAKeyedCallStaysWithTheServing(t *testing.T) {
	inCluster(t, 4, func(c *cluster) {
		who := func(_ context.Context, who espial.Caller, _ []byte) ([]byte, error) {
			return []byte(who.Callee.Name), nil
		}
		c.served(c.nodes[1].Serve("who", who))
		c.served(c.nodes[2].Serve("who", who))
		time.Sleep(time.Second)
		shares := map[string]int{}
		for i := range 50 {
			key := espial.All().For(fmt.Sprint("key ", i))
			at, err := c.nodes[0].Call(c.Context(), "who", key, nil)
			again, err2 := c.nodes[3].Call(c.Context(), "who", key, nil)
			if err != nil || err2 != nil || string(at) != string(again) {
				t.Errorf("key %d is at %s, %v, and at %s, %v", i, at, err, again, err2)
			}
			shares[string(at)]++
		}
		if len(shares) != 2 {
			t.Errorf("50 keys are at %v, want both of those that serve", shares)
		}
	})
}

// offered returns what the first of two nodes is told, as lines, while both offer something, the
// second one takes something back, and the two part and meet again. Lines that are empty are
// left out.
func (c *cluster) offered(line func(espial.Change) string, offer func() (withdraw func())) (seen []string) {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	changes := c.nodes[0].Changes(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for change := range changes {
			if s := line(change); s != "" {
				seen = append(seen, s)
			}
		}
	}()
	withdraw := offer()
	time.Sleep(time.Second)
	withdraw()
	time.Sleep(time.Second)
	c.net.Partition([]netip.Addr{ip(0)}, []netip.Addr{ip(1)})
	time.Sleep(5 * time.Second)
	c.net.Heal()
	time.Sleep(5 * time.Second)
	cancel()
	<-done
	return seen
}

// TestMethodsAreWatched: what comes, what goes, and what a member has that comes itself.
func TestMethodsAreWatched(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		seen := c.offered(func(change espial.Change) string {
			switch change.Kind {
			case espial.MethodAdded, espial.MethodRemoved, espial.RemovedNode:
				return fmt.Sprint(change.Kind, " ", change.Member.Name, " ", change.Method)
			case espial.AddedNode:
				return "added " + change.Member.Name
			default:
				return ""
			}
		}, func() (withdraw func()) {
			c.served(c.nodes[0].Serve("own", echo))
			stop, err := c.nodes[1].Serve("a", echo)
			c.served(stop, err)
			c.served(c.nodes[1].Serve("b", echo))
			return stop
		})
		want := []string{
			"added node-1",
			"espial.method_added node-0 own", "espial.method_added node-1 a", "espial.method_added node-1 b",
			"espial.method_removed node-1 a", "removed_node node-1 ",
			"added node-1", "espial.method_added node-1 b",
		}
		if !slices.Equal(seen, want) {
			t.Errorf("saw\n%q, want\n%q", seen, want)
		}
	})
}
