// Jobs shares work among the copies of a program. Start it in a few terminals: each line that
// is typed in one of them is a job, which one of them does.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/espial-go/espial"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	n, err := espial.Start(context.WithoutCancel(ctx), espial.Config{Cluster: "jobs"})
	check(err)
	jobs := espial.NewTopic[string]("jobs")
	var typing sync.WaitGroup
	typing.Go(func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if err := hand(ctx, n, jobs, lines.Text()); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	})
	work(ctx, n, jobs, func(job string) { fmt.Println("done:", job) })
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	check(n.Leave(leave)) // once others know what was done here
}

// work does its share of the jobs until ctx ends.
func work(ctx context.Context, n *espial.Node, jobs *espial.Topic[string], do func(job string)) {
	for e, err := range jobs.Subscribe(ctx, n, espial.Group("workers")) {
		if err == nil { // else somebody publishes what is no job
			do(e.Value) // whoever handed it over waits until the loop comes back
		}
	}
}

// hand gives a job to one of the workers and returns when it is done. Should that one go, it
// gives the job to another: it is done once, or more often, but not less.
func hand(ctx context.Context, n *espial.Node, jobs *espial.Topic[string], job string) error {
	for {
		err := jobs.Publish(ctx, n, job, espial.All().Handled())
		if _, again := errors.AsType[*espial.UndeliveredError](err); !again || ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond) // perhaps nobody works yet
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
