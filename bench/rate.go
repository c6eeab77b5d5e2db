package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/espial-go/espial/internal/gauge"
)

const (
	// pace is the time between two messages while the latency is measured: both ends are
	// idle again before the next one.
	pace = time.Millisecond

	// arriveMax bounds the wait for what is under way when a run ends.
	arriveMax = 10 * time.Second
)

// measureRates measures scenarios A and B.
func measureRates(ctx context.Context, o options) ([]gauge.Row, error) {
	var all []gauge.Row
	for _, receivers := range o.crowds() {
		for _, size := range o.sizes {
			rates, err := measureGroup(ctx, o, receivers, size)
			if err != nil {
				return nil, err
			}
			all = append(all, rates...)
		}
	}
	return all, nil
}

// measureGroup measures all carriers in turn, so that they share the good and the bad
// moments of the machine.
func measureGroup(ctx context.Context, o options, receivers, size int) (rates []gauge.Row, err error) {
	var lines []*line
	crews, err := openAll(carriers(), o.only, func(c contender[carrier]) (crew, error) {
		return openCrew(ctx, c, post{Receivers: receivers}, roleReceiver, roleSender)
	})
	defer func() { err = errors.Join(err, endAll(crews)) }()
	if err != nil {
		return nil, err
	}
	for _, w := range crews {
		lines = append(lines, &line{crew: w, receivers: receivers})
	}
	for range o.runs {
		for _, l := range lines {
			if err := l.sample(size, o.duration); err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
		}
	}
	for _, l := range lines {
		r, err := l.result(size, o.duration)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		for _, other := range lines {
			switch other.name {
			case bareName:
				r.OfBare = l.over(other)
			case linkName:
				r.Link = other.over(l)
			}
		}
		rates = append(rates, r)
	}
	return rates, nil
}

// line is a carrier with what was measured of it.
type line struct {
	crew
	receivers int
	samples   []gauge.Sample
}

// sample measures once how quickly the carrier carries.
func (l *line) sample(size int, d time.Duration) error {
	r, err := l.carry(order{Do: doSend, Load: gauge.Load{Size: size, For: d}}, l.receivers)
	if err != nil {
		return err
	}
	l.samples = append(l.samples, r.Sample(r.Sent*uint64(l.receivers)))
	return nil
}

// over returns by what factor l is quicker than other.
func (l *line) over(other *line) float64 {
	return gauge.Ratio(l.samples, other.samples, func(s gauge.Sample) float64 { return s.Rate })
}

// result measures the latency and sums up.
func (l *line) result(size int, d time.Duration) (gauge.Row, error) {
	r, err := l.carry(order{Do: doSend, Load: gauge.Load{Size: size, For: d, Every: pace}}, l.receivers)
	if err != nil {
		return gauge.Row{}, err
	}
	of := func(what func(gauge.Sample) float64) float64 { return gauge.Median(l.samples, what) }
	out := gauge.Row{
		Scenario: "A", Carrier: l.name, Size: size, Nodes: l.receivers + 1, Runs: len(l.samples),
		Rate:   of(func(r gauge.Sample) float64 { return r.Rate }),
		CPU:    of(func(r gauge.Sample) float64 { return r.CPU }),
		Allocs: of(func(r gauge.Sample) float64 { return r.Allocs }),
	}
	out.Spread(r.Latencies)
	out.Bytes = out.Rate * float64(size)
	for _, s := range l.samples {
		out.Lost += s.Lost
	}
	if l.receivers > 1 {
		out.Scenario = "B"
	}
	return out, nil
}
