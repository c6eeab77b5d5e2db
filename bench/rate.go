package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// pace is the time between two messages while the latency is measured: both ends are
	// idle again before the next one.
	pace = time.Millisecond

	// arriveMax bounds the wait for what is under way when a run ends.
	arriveMax = 10 * time.Second
)

// rate is a row of scenarios A and B. As JSON it is a line of espial bench --json, with more.
type rate struct {
	Scenario string  `json:"scenario"`
	Carrier  string  `json:"carrier"`
	Size     int     `json:"size"`
	Nodes    int     `json:"nodes"` // the receivers and the sender
	Runs     int     `json:"runs"`
	Rate     float64 `json:"rate_per_s"` // the median of all runs, as are the others
	Bytes    float64 `json:"bytes_per_s"`
	OfBare   float64 `json:"of_bare,omitempty"`
	Link     float64 `json:"link_over_it,omitempty"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	CPU      float64 `json:"cpu_ns_per_msg"`
	Allocs   float64 `json:"allocs_per_msg"`
	Lost     uint64  `json:"lost"` // of all runs

	Histogram []bucket `json:"histogram,omitempty"` // of the latencies
}

// measureRates measures scenarios A and B.
func measureRates(ctx context.Context, o options) ([]rate, error) {
	var all []rate
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
func measureGroup(ctx context.Context, o options, receivers, size int) (rates []rate, err error) {
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
	all       []*process // the receivers and the sender come last
	samples   []sample
}

// sample is what was measured once.
type sample struct {
	rate, cpu, allocs float64
	lost              uint64
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
		if err := p.hear(&at.Addr); err != nil {
			return l, err
		}
	}
	return l, nil
}

// end ends the processes, the sender first.
func (l *line) end() error {
	var err error
	for _, p := range slices.Backward(l.all) {
		err = errors.Join(err, p.end())
	}
	return err
}

// sample measures once how quickly the carrier carries.
func (l *line) sample(size int, d time.Duration) error {
	r, err := l.carry(order{Size: size, For: d})
	if err != nil {
		return err
	}
	got, sent := float64(r.Count), r.Sent*uint64(l.receivers)
	l.samples = append(l.samples, sample{
		rate: got / r.Elapsed.Seconds(), cpu: float64(r.CPU) / got, allocs: float64(r.Mallocs) / got,
		lost: max(sent, r.Count) - r.Count,
	})
	return nil
}

// over returns by what factor l is quicker than other: the median of what each run gives, since
// it shares its moment with the other's.
func (l *line) over(other *line) float64 {
	var all []float64
	for i := range l.samples {
		all = append(all, l.samples[i].rate/other.samples[i].rate)
	}
	return quantile(all, 0.5)
}

// result measures the latency and sums up.
func (l *line) result(size int, d time.Duration) (rate, error) {
	r, err := l.carry(order{Size: size, For: d, Every: pace})
	if err != nil {
		return rate{}, err
	}
	of := func(what func(sample) float64) float64 {
		var all []float64
		for _, r := range l.samples {
			all = append(all, what(r))
		}
		return quantile(all, 0.5)
	}
	out := rate{
		Scenario: "A", Carrier: l.name, Size: size, Nodes: l.receivers + 1, Runs: len(l.samples),
		Rate:   of(func(r sample) float64 { return r.rate }),
		CPU:    of(func(r sample) float64 { return r.cpu }),
		Allocs: of(func(r sample) float64 { return r.allocs }),
		P50:    quantile(r.Latencies, 0.5) / float64(time.Microsecond),
		P99:    quantile(r.Latencies, 0.99) / float64(time.Microsecond),

		Histogram: histogram(r.Latencies),
	}
	out.Bytes = out.Rate * float64(size)
	for _, s := range l.samples {
		out.Lost += s.lost
	}
	if l.receivers > 1 {
		out.Scenario = "B"
	}
	return out, nil
}

// carry lets the sender send, and returns what arrived and what it cost all processes.
func (l *line) carry(o order) (total report, err error) {
	o.Do = "begin"
	for _, p := range l.all {
		if err := p.ask(o, &report{}); err != nil {
			return total, err
		}
	}
	to, from := l.all[len(l.all)-2], l.all[len(l.all)-1]
	o.Do = "send"
	if err := from.ask(o, &total); err != nil {
		return total, err
	}
	var r report
	want, end := total.Sent*uint64(l.receivers), time.Now().Add(arriveMax)
	for r.Count < want && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
		if err := to.ask(order{Do: "count"}, &r); err != nil {
			return total, err
		}
	}
	for _, p := range l.all {
		var r report
		if err := p.ask(order{Do: "report"}, &r); err != nil {
			return total, err
		}
		total.CPU += r.CPU
		total.Mallocs += r.Mallocs
		total.Count += r.Count
		total.Elapsed = max(total.Elapsed, r.Elapsed)
		total.Latencies = append(total.Latencies, r.Latencies...)
	}
	if total.Count == 0 || total.Elapsed <= 0 {
		return total, errors.New("nothing arrived")
	}
	return total, nil
}
