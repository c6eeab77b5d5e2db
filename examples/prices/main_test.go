package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// TestWhoStartsLateKnowsEveryPrice: the leader sets each price once and then waits for an hour.
// When it goes, the next leader's prices take the place of its own.
func TestWhoStartsLateKnowsEveryPrice(t *testing.T) {
	prices := espial.NewTopic[Price]("prices").KeepLastOf(func(p Price) string { return p.Article })
	c := espial.Config{Cluster: "prices", Listen: "127.0.0.1:0", Multicast: espial.Multicast{Off: true}}
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// start adds a node, which sets prices if it leads, and returns what it is shown.
	start := func(members int) (*espial.Node, <-chan Price) {
		n, err := espial.Start(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		c.Seeds = append(c.Seeds, n.Addrs()...)
		shown := make(chan Price, 100)
		parts.Go(func() { set(ctx, n, prices, time.Hour) })
		parts.Go(func() { follow(ctx, n, prices, func(p Price) { shown <- p }) })
		if err := n.WaitFor(ctx, members); err != nil {
			t.Fatal(err)
		}
		return n, shown
	}
	leader, shown := start(1)
	all(t, shown)
	_, early := start(2)
	all(t, early)
	_, late := start(3)
	all(t, late)
	if err := leader.Close(); err != nil {
		t.Error(err)
	}
	all(t, early)
	all(t, late)
}

// all waits until every article has been shown.
func all(t *testing.T, shown <-chan Price) {
	t.Helper()
	late := time.After(time.Minute)
	seen := map[string]bool{}
	for len(seen) < 3 {
		select {
		case p := <-shown:
			seen[p.Article] = true
		case <-late:
			t.Fatal(fmt.Sprint("after a minute the prices that are known are those of ", seen))
		}
	}
}
