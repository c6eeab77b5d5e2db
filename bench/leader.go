package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/gauge"
)

const (
	// electMax bounds the wait for a leader of whom all know.
	electMax = time.Minute

	// lookEvery is the time between two looks at who leads. The nodes note when they learn
	// it, so this is not the resolution.
	lookEvery = 10 * time.Millisecond
)

// reign is a row of scenario E.
type reign struct {
	Scenario    string   `json:"scenario"`
	Contender   string   `json:"contender"`
	Nodes       int      `json:"nodes"`
	Rounds      int      `json:"rounds"`
	Killed      float64  `json:"killed_p50_us"`
	KilledMax   float64  `json:"killed_max_us"`
	Resigned    float64  `json:"resigned_p50_us"`
	ResignedMax float64  `json:"resigned_max_us"`
	Mean        *float64 `json:"segments_mean_per_s,omitempty"` // of all nodes at rest; nil if not counted
	Busiest     *float64 `json:"segments_max_per_s,omitempty"`  // of the node that sent most
}

// measureReigns measures scenario E, one contender after the other: the times are those of
// timers, not of the machine.
func measureReigns(ctx context.Context, o options) ([]reign, error) {
	var all []reign
	for _, e := range wanted(electors(), o.only) {
		r, err := measureReign(ctx, o, e.name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// measureReign measures one election.
func measureReign(ctx context.Context, o options, name string) (r reign, err error) {
	c, err := newCrowd(name, o.calm)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.open(ctx); err != nil {
		return r, err
	}
	r = reign{Scenario: "E", Contender: name, Nodes: seats, Rounds: o.rounds}
	if err := c.rest(ctx, &r); err != nil {
		return r, err
	}
	var killed, resigned []time.Duration
	for range o.rounds {
		took, err := c.resign(ctx)
		if err != nil {
			return r, fmt.Errorf("resign: %w", err)
		}
		resigned = append(resigned, took)
		if took, err = c.kill(ctx); err != nil {
			return r, fmt.Errorf("kill: %w", err)
		}
		killed = append(killed, took)
	}
	r.Killed, r.KilledMax = gauge.Micros(killed, 0.5), gauge.Micros(killed, 1)
	r.Resigned, r.ResignedMax = gauge.Micros(resigned, 0.5), gauge.Micros(resigned, 1)
	return r, nil
}

// crowd is the cluster of a contender.
type crowd struct {
	contender string
	calm      time.Duration // in which everything settles
	places    [seats]place
	all       [seats]*gauge.Child // nil where none runs
	dir       string
}

// newCrowd returns a cluster that does not run yet.
func newCrowd(contender string, calm time.Duration) (*crowd, error) {
	dir, err := os.MkdirTemp("", "espial-bench")
	if err != nil {
		return nil, err
	}
	c := &crowd{contender: contender, calm: calm, dir: dir}
	addrs, err := freeAddrs(seats)
	cluster := fmt.Sprintf("bench-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)
	for i := range c.places {
		c.places[i] = place{
			Cluster: cluster, Name: seatName(i), Index: i, Addrs: addrs, Dir: filepath.Join(dir, seatName(i)),
		}
	}
	return c, err
}

// freeAddrs returns addresses of loopback that were free a moment ago: members of a fixed
// electorate have to know one another's before any of them runs, and keep them.
func freeAddrs(count int) ([]string, error) {
	var addrs []string
	for range count {
		ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not wait
		if err != nil {
			return nil, err
		}
		defer func() { _ = ln.Close() }()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs, nil
}

// open starts whatever does not run, and waits until all agree on a leader and are calm.
func (c *crowd) open(ctx context.Context) error {
	var fresh []*gauge.Child
	for i, p := range c.all {
		if p != nil {
			continue
		}
		p, err := spawn(ctx, "seat", c.contender, c.places[i])
		if err != nil {
			return err
		}
		c.all[i] = p
		fresh = append(fresh, p)
	}
	for _, p := range fresh { // none is ready before a majority runs, with some contenders
		if err := p.Hear(new(string)); err != nil {
			return err
		}
	}
	return c.settle(ctx)
}

// settle waits until all agree on a leader and did not change their minds for a while. Chance
// adds to that, so that nothing happens in the same moment of a heartbeat each time.
func (c *crowd) settle(ctx context.Context) error {
	for before := ""; ; {
		s, err := c.agree(ctx, "", time.Time{})
		if err != nil || s.Leader == before {
			return err
		}
		before = s.Leader
		time.Sleep(c.calm + rand.N(c.calm)/2) //nolint:gosec,forbidigo // any chance does
	}
}

// agree waits until all that run name one leader, other than old, of whom all learned after
// start. It returns who leads and when the last one learned it.
func (c *crowd) agree(ctx context.Context, old string, start time.Time) (sighting, error) {
	var all []sighting
	for end := time.Now().Add(electMax); time.Now().Before(end); time.Sleep(lookEvery) {
		if err := context.Cause(ctx); err != nil {
			return sighting{}, err
		}
		var err error
		if all, err = c.look(); err != nil {
			return sighting{}, err
		}
		last := slices.MaxFunc(all, func(a, b sighting) int { return a.At.Compare(b.At) })
		if !slices.ContainsFunc(all, func(s sighting) bool {
			return s.Leader != last.Leader || s.Leader == "" || s.Leader == old || s.At.Before(start)
		}) {
			return last, nil
		}
	}
	return sighting{}, fmt.Errorf("no leader of whom all know within %v; they saw %v", electMax, all)
}

// look returns what all that run know of the leader.
func (c *crowd) look() ([]sighting, error) {
	var all []sighting
	for _, p := range c.all {
		if p == nil {
			continue
		}
		var s sighting
		if err := p.Ask(order{Do: "leader"}, &s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// leader returns the seat that leads.
func (c *crowd) leader(ctx context.Context) (index int, err error) {
	s, err := c.agree(ctx, "", time.Time{})
	for i, p := range c.places {
		if p.Name == s.Leader {
			return i, err
		}
	}
	return 0, errors.Join(err, fmt.Errorf("%q leads, who has no seat", s.Leader))
}

// resign lets the leader resign, and returns after what time all know the next one.
func (c *crowd) resign(ctx context.Context) (time.Duration, error) {
	i, err := c.leader(ctx)
	if err != nil {
		return 0, err
	}
	var start sighting
	if err := c.all[i].Ask(order{Do: "resign"}, &start); err != nil {
		return 0, err
	}
	s, err := c.agree(ctx, seatName(i), start.At)
	if err != nil {
		return 0, err
	}
	return s.At.Sub(start.At), c.settle(ctx)
}

// kill kills the leader, and returns after what time all others know the next one. Then it
// starts the seat again.
func (c *crowd) kill(ctx context.Context) (time.Duration, error) {
	i, err := c.leader(ctx)
	if err != nil {
		return 0, err
	}
	victim := c.all[i]
	c.all[i] = nil
	start := time.Now()
	if err := victim.Kill(); err != nil {
		return 0, err
	}
	s, err := c.agree(ctx, seatName(i), start)
	if err != nil {
		return 0, err
	}
	return s.At.Sub(start), c.open(ctx)
}

// rest counts what all send while nothing happens.
func (c *crowd) rest(ctx context.Context, r *reign) error {
	d := restCalms * c.calm
	var g errgroup.Group
	var sent [seats]traffic
	for i, p := range c.all {
		g.Go(func() error { return p.Ask(order{Do: "rest", Load: gauge.Load{For: d}}, &sent[i]) })
	}
	if err := g.Wait(); err != nil || !sent[0].Counted {
		return err
	}
	var mean, busiest float64
	for _, t := range sent {
		rate := float64(t.Segments) / d.Seconds()
		mean += rate / seats
		busiest = max(busiest, rate)
	}
	r.Mean, r.Busiest = &mean, &busiest
	return c.settle(ctx)
}

// close ends what runs.
func (c *crowd) close() error {
	var err error
	for _, p := range c.all {
		if p != nil {
			err = errors.Join(err, p.Kill())
		}
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}
