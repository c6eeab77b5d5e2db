package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/gauge"
)

// crowdSize is how many nodes scenario E has: enough that several others see each failure.
const crowdSize = 5

// What scenario E measures, in the order of its rows.
const (
	whatJoined          = "joined"           // the process was started; it and the oldest see each other
	whatKilledSuspected = "killed_suspected" // from SIGKILL on
	whatKilledRemoved   = "killed_removed"
	whatFrozenSuspected = "frozen_suspected" // from SIGSTOP on
	whatFrozenRemoved   = "frozen_removed"
	whatLeaderReplaced  = "leader_replaced" // from SIGKILL of the leader until another one is known
)

// faultResult is one line of scenario E of espial bench --json.
type faultResult struct {
	Scenario string  `json:"scenario"`
	Carrier  string  `json:"carrier"`
	What     string  `json:"what"`
	Runs     int     `json:"runs"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
}

// faultBench measures what a cluster of processes does about members that come and fail.
type faultBench struct {
	*crowd
	took map[string][]time.Duration
}

// benchFaults measures scenario E.
func benchFaults(ctx context.Context, runs int) ([]faultResult, error) {
	b := faultBench{took: map[string][]time.Duration{}}
	for range runs {
		if err := b.run(ctx); err != nil {
			return nil, fmt.Errorf("scenario E: %w", err)
		}
	}
	var results []faultResult
	for _, what := range []string{
		whatJoined, whatKilledSuspected, whatKilledRemoved, whatFrozenSuspected, whatFrozenRemoved,
		whatLeaderReplaced,
	} {
		took := b.took[what]
		if len(took) == 0 {
			continue // this system cannot do that
		}
		results = append(results, faultResult{
			Scenario: "E", Carrier: "link", What: what, Runs: runs,
			P50: gauge.Micros(took, 0.5), P99: gauge.Micros(took, 0.99),
		})
	}
	return results, nil
}

// run measures everything once, in a cluster of its own.
func (b faultBench) run(ctx context.Context) (err error) {
	b.crowd = newCrowd()
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel() // kills every child and ends its reader
		b.readers.Wait()
		for _, n := range b.nodes {
			_ = gauge.Kill(n.cmd)
		}
	}()
	kill := func(n *crowdNode) error { return n.cmd.Process.Kill() }
	if err := b.join(ctx); err != nil {
		return err
	}
	if err := b.fail(ctx, b.follower(), kill, whatKilledSuspected, whatKilledRemoved); err != nil {
		return err
	}
	if err := b.join(ctx); err != nil {
		return err
	}
	if err := b.replace(ctx); err != nil || !freezes {
		return err
	}
	if err := b.join(ctx); err != nil {
		return err
	}
	stop := func(n *crowdNode) error { return freeze(n.cmd.Process) }
	return b.fail(ctx, b.follower(), stop, whatFrozenSuspected, whatFrozenRemoved)
}

// join starts nodes until the cluster is complete, and measures how long each takes to meet.
func (b faultBench) join(ctx context.Context) error {
	for len(b.nodes) < crowdSize {
		from, start := len(b.log), time.Now()
		n, err := b.grow(ctx)
		if err != nil {
			return err
		}
		if len(b.nodes) == 1 {
			continue
		}
		oldest := b.nodes[0].name
		met := func() []time.Duration {
			return b.first(from, start, func(s crowdLine) bool {
				return s.Change == espial.AddedNode &&
					(s.by == oldest && s.Member.Name == n.name || s.by == n.name && s.Member.Name == oldest)
			})
		}
		if err := b.await(ctx, func() bool { return len(met()) == 2 }); err != nil {
			return err
		}
		b.add(whatJoined, slices.Max(met()))
	}
	return b.settle(ctx)
}

// fail makes a node fail and measures when each of the others suspects and removes it.
func (b faultBench) fail(
	ctx context.Context, n *crowdNode, end func(*crowdNode) error, suspected, removed string,
) error {
	b.drop(n)
	from, start := len(b.log), time.Now()
	saw := func(k espial.Kind) []time.Duration {
		return b.first(from, start, func(s crowdLine) bool {
			return s.Change == k && s.Member.Name == n.name
		})
	}
	err := end(n)
	if err == nil {
		err = b.await(ctx, func() bool { return len(saw(espial.RemovedNode)) == len(b.nodes) })
	}
	if buried := gauge.Kill(n.cmd); err != nil || buried != nil {
		return errors.Join(err, buried)
	}
	b.add(suspected, saw(espial.SuspectedNode)...)
	b.add(removed, saw(espial.RemovedNode)...)
	return nil
}

// replace kills the leader and measures when each of the others knows the next one.
func (b faultBench) replace(ctx context.Context) error {
	old := b.leader()
	b.drop(old)
	from, start := len(b.log), time.Now()
	replaced := func() []time.Duration {
		return b.first(from, start, func(s crowdLine) bool {
			return s.Change == espial.NewLeader && s.Leader.Name != "" && s.Leader.Name != old.name
		})
	}
	if err := gauge.Kill(old.cmd); err != nil {
		return err
	}
	if err := b.await(ctx, func() bool { return len(replaced()) == len(b.nodes) }); err != nil {
		return err
	}
	b.add(whatLeaderReplaced, replaced()...)
	return nil
}

func (b faultBench) add(what string, took ...time.Duration) {
	b.took[what] = append(b.took[what], took...)
}

// faultCells returns a row of scenario E, for people.
func faultCells(r faultResult) []gauge.Cell {
	return []gauge.Cell{
		{"scenario", r.Scenario},
		{"carrier", r.Carrier},
		{"what", r.What},
		{"runs", fmt.Sprint(r.Runs)},
		{"p50 ms", fmt.Sprintf("%.1f", r.P50/1e3)},
		{"p99 ms", fmt.Sprintf("%.1f", r.P99/1e3)},
	}
}
