package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/examples/internal/local"
)

// TestEnvironmentsDoNotMix starts two copies in each of two environments, on one network, and asks
// in each of them until both copies have answered.
func TestEnvironmentsDoNotMix(t *testing.T) {
	c := local.Config(t, "")
	nodes := map[string][]*espial.Node{}
	for _, environment := range []string{"staging", "production"} {
		for i := range 2 {
			c.Cluster, c.Name = "shop-"+environment, fmt.Sprint("copy-", i)
			n, err := espial.Start(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = n.Close() })
			ended := make(chan error, 1)
			go func() { ended <- serve(t.Context(), n) }()
			t.Cleanup(func() {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
			nodes[environment] = append(nodes[environment], n)
		}
	}
	for environment, copies := range nodes {
		want := []string{"7.50 at copy-0 of shop-" + environment, "7.50 at copy-1 of shop-" + environment}
		for _, n := range copies {
			if err := n.WaitFor(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for tries := 0; len(seen) < 2; tries++ {
				price, err := ask(t.Context(), n)
				if err == nil { // else nobody listens yet
					seen[price] = true
				}
				if err == nil && !slices.Contains(want, price) || tries == 1_000_000 {
					t.Fatalf("%s of %s was told %q, %v; want one of %q, and both in turn",
						n.Name(), n.Cluster(), price, err, want)
				}
			}
		}
	}
}
