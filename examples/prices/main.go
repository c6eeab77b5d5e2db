// Prices shows what things cost. The leader of the cluster sets the prices, and a copy that
// starts late begins with the last price of each article. Start it in two terminals, and
// later in a third one.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/espial-go/espial"
)

// Price is what an article costs.
type Price struct {
	Article string
	Cents   int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	n, err := espial.Start(context.WithoutCancel(ctx), espial.Config{Cluster: "prices"})
	check(err)
	prices := espial.NewTopic[Price]("prices").KeepLastOf(func(p Price) string { return p.Article })
	var setting sync.WaitGroup
	setting.Go(func() { set(ctx, n, prices, time.Second) })
	follow(ctx, n, prices, func(p Price) { fmt.Println(p.Article, "costs", p.Cents) })
	setting.Wait()
	check(n.Close()) // a goodbye, so that another one leads at once
}

// set sets the prices while this node leads: all of them at first, because what a former
// leader kept is gone with it, then one after the other.
func set(ctx context.Context, n *espial.Node, prices *espial.Topic[Price], every time.Duration) {
	articles := []string{"ale", "bun", "pie"}
	for term := range n.Terms(ctx) {
		for i := 0; term.Err() == nil; i++ {
			p := Price{articles[i%len(articles)], 100 + i}
			if err := prices.PublishAs(ctx, term, p); err != nil {
				fmt.Fprintln(os.Stderr, err) // most likely it leads no more
			}
			if i < len(articles)-1 {
				continue
			}
			select {
			case <-time.After(every):
			case <-term.Done():
			}
		}
	}
}

// follow shows each price until ctx ends, and never an older one after a newer one.
func follow(ctx context.Context, n *espial.Node, prices *espial.Topic[Price], show func(Price)) {
	set := map[string]uint64{} // the term in which each price was set
	for e, err := range prices.Subscribe(ctx, n) {
		if err != nil || e.Term < set[e.Value.Article] {
			continue // events are missing, or a former leader's price came late
		}
		set[e.Value.Article] = e.Term
		show(e.Value)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
