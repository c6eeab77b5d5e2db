package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	defer func() {
		for _, l := range lines {
			err = errors.Join(err, l.end())
		}
	}()
	for _, c := range wanted(carriers(), o.only) {
		l, err := openLine(ctx, c, receivers)
		lines = append(lines, l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
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

// line is a carrier with its processes.
type line struct {
	name      string
	receivers int
	all       []*gauge.Child // the receivers and the sender come last
	samples   []gauge.Sample
}

// openLine starts the processes of a carrier, each of which is told where the one before is.
func openLine(ctx context.Context, c contender[carrier], receivers int) (*line, error) {
	l := &line{name: c.name, receivers: receivers}
	roles := []string{"receiver", "sender"}
	if _, ok := c.what.(hub); ok {
		roles = slices.Insert(roles, 0, "hub")
	}
	at := post{Receivers: receivers}
	for _, role := range roles {
		p, err := spawn(ctx, role, c.name, at)
		if err != nil {
			return l, err
		}
		l.all = append(l.all, p)
		if err := p.Hear(&at.Addr); err != nil {
			return l, err
		}
	}
	return l, nil
}

// end ends the processes, the sender first.
func (l *line) end() error {
	var err error
	for _, p := range slices.Backward(l.all) {
		err = errors.Join(err, p.End())
	}
	return err
}

// sample measures once how quickly the carrier carries.
func (l *line) sample(size int, d time.Duration) error {
	r, err := l.carry(gauge.Load{Size: size, For: d})
	if err != nil {
		return err
	}
	l.samples = append(l.samples, r.Sample(r.Sent*uint64(l.receivers)))
	return nil
}

// over returns by what factor l is quicker than other: the median of what each run gives, since
// it shares its moment with the other's.
func (l *line) over(other *line) float64 {
	var all []float64
	for i := range l.samples {
		all = append(all, l.samples[i].Rate/other.samples[i].Rate)
	}
	return gauge.Quantile(all, 0.5)
}

// result measures the latency and sums up.
func (l *line) result(size int, d time.Duration) (gauge.Row, error) {
	r, err := l.carry(gauge.Load{Size: size, For: d, Every: pace})
	if err != nil {
		return gauge.Row{}, err
	}
	of := func(what func(gauge.Sample) float64) float64 {
		var all []float64
		for _, r := range l.samples {
			all = append(all, what(r))
		}
		return gauge.Quantile(all, 0.5)
	}
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

// carry lets the sender send, and returns what arrived and what it cost all processes.
func (l *line) carry(load gauge.Load) (total report, err error) {
	o := order{"begin", load}
	for _, p := range l.all {
		if err := p.Ask(o, &report{}); err != nil {
			return total, err
		}
	}
	to, from := l.all[len(l.all)-2], l.all[len(l.all)-1]
	o.Do = "send"
	if err := from.Ask(o, &total); err != nil {
		return total, err
	}
	var r report
	want, end := total.Sent*uint64(l.receivers), time.Now().Add(arriveMax)
	for r.Count < want && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
		if err := to.Ask(order{Do: "count"}, &r); err != nil {
			return total, err
		}
	}
	for _, p := range l.all {
		var r report
		if err := p.Ask(order{Do: "report"}, &r); err != nil {
			return total, err
		}
		total.Add(r.Report)
	}
	if total.Empty() {
		return total, errors.New("nothing arrived")
	}
	return total, nil
}
