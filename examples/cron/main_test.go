package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/examples/internal/local"
)

// run is one run of the job.
type run struct {
	node  int
	token uint64
}

// TestCronRunsTheJobOnOneNodeAtATime starts three nodes and stops the one that works, twice
// in a row as a deployment would: the next one goes on, with a higher token.
func TestCronRunsTheJobOnOneNodeAtATime(t *testing.T) {
	for _, tt := range []struct {
		name  string
		mode  espial.Mode
		stops int
	}{
		{"available, down to one node", espial.Available(), 2},
		{"quorum, down to a majority", espial.Quorum(3), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			runs := make(chan run)
			stop := startAll(t, tt.mode, runs)
			last := alone(t, runs)
			for range tt.stops {
				stop[last.node]()
				next := alone(t, runs)
				if next.node == last.node || next.token <= last.token {
					t.Errorf("node %d works with token %d after node %d with %d: want another one with a higher one",
						next.node, next.token, last.node, last.token)
				}
				last = next
			}
		})
	}
}

// startAll starts three nodes one after the other, whose jobs report to runs. Calling
// stop[i] tells node i to end.
func startAll(t *testing.T, m espial.Mode, runs chan<- run) (stop []context.CancelFunc) {
	t.Helper()
	c := local.Config(t, "cron")
	c.Election = m
	var nodes sync.WaitGroup
	for i := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		stop = append(stop, cancel)
		job := func(term *espial.Term) {
			select {
			case runs <- run{i, term.Token}:
			case <-term.Done():
			}
		}
		node := c
		node.Name = fmt.Sprint("node-", i)
		nodes.Go(func() {
			err := cron(ctx, node, 10*time.Millisecond, job)
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}
	t.Cleanup(func() {
		for _, cancel := range stop {
			cancel()
		}
		nodes.Wait()
	})
	return stop
}

// alone waits until one node runs the job and no other one does, which is so when 20 runs come
// from the same reign. Nodes that start on a busy machine may lead one by one until they meet.
func alone(t *testing.T, runs <-chan run) (last run) {
	t.Helper()
	late := time.After(time.Minute)
	for row := 0; row < 20; row++ {
		select {
		case r := <-runs:
			if r != last {
				last, row = r, 0
			}
		case <-late:
			t.Fatal("the job does not run, or on several nodes")
		}
	}
	return last
}
