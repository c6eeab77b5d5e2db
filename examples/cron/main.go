// Cron runs a job on one node of its cluster at a time. Start it three times, and stop the
// one that works.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/espial-go/espial"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := espial.Config{Cluster: "cron", Election: espial.Quorum(3)}
	if err := cron(ctx, c, time.Second, tick); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func tick(term *espial.Term) { fmt.Println("tick, with token", term.Token) }

// cron runs job at once and then every interval, as long as this node leads, until ctx ends.
func cron(ctx context.Context, c espial.Config, every time.Duration, job func(*espial.Term)) error {
	n, err := espial.Start(context.WithoutCancel(ctx), c) // the end of ctx is a goodbye, below
	if err != nil {
		return err
	}
	for term := range n.Terms(ctx) { // while this node leads
		for term.Err() == nil {
			job(term)
			select {
			case <-time.After(every):
			case <-term.Done():
			}
		}
	}
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return n.Leave(leave) // and hand over
}
