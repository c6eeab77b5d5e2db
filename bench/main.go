// Bench measures espial beside its peers and beside a bare TLS link, on this machine and in
// one run, between processes over encrypted loopback:
//
//	go run . [-scenario A,B,C,D,E] [-json]
//
// espial bench --peers runs it for all but E, if it was built as espial-bench.
//
// Each process is this program once more, in a role; one file for each contender says what it
// does there. docs/benchmarks.md says how to read what it prints.
//
// It is a module of its own, because espial does not depend on its peers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/espial-go/espial/internal/gauge"
)

// Contenders that have a part of their own in a comparison. They are called as espial bench
// calls them.
const (
	bareName = "bare"
	linkName = "link"
)

// The other contenders of more than one scenario.
const (
	natsName  = "nats"
	grpcName  = "grpc"
	yamuxName = "yamux"
)

// options are the flags.
type options struct {
	scenarios []string
	only      []string // contenders; none is all
	rounds    int      // of scenario E
	calm      time.Duration
	runs      int // of all but E
	duration  time.Duration
	sizes     []int // of a message, in bytes
	fans      []int // receivers in scenario B
	buckets   bool  // print how the latencies are spread
	json      bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the program: a child in its role, or the benchmark.
func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 3 {
		switch role, name, spec := args[0], args[1], []byte(args[2]); role {
		case "seat":
			return sit(ctx, name, spec)
		case roleHub, roleReceiver, roleSender, roleCallee, roleCaller, roleDrain, roleSource:
			return work(ctx, role, name, spec)
		}
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	return bench(ctx, o, out)
}

// parse reads the flags.
func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	scenarios := f.String("scenario", "A,B,C,D,E",
		"A (one to one), B (one to many), C (calls), D (streams), E (leader replaced)")
	only := f.String("only", "", "measure these contenders alone, by comma")
	f.IntVar(&o.rounds, "rounds", 20, "E: how often the leader resigns and is killed")
	f.DurationVar(&o.calm, "calm", 2*time.Second, "E: time in which a cluster settles between two rounds")
	f.IntVar(&o.runs, "runs", 3, "A to D: measure so often; the median counts")
	f.DurationVar(&o.duration, "duration", 3*time.Second, "A to D: time of one run")
	sizes := f.String("sizes", "128,16", "A, B, C: bytes of one message, at least 8, by comma")
	fans := f.String("receivers", "4,16", "B: how many receive, by comma")
	f.BoolVar(&o.buckets, "histogram", false, "A, B: print how the latencies are spread, too")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.scenarios = strings.Split(*scenarios, ",")
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if o.sizes, err = numbers("sizes", *sizes, gauge.StampMin); err != nil {
		return o, err
	}
	if o.fans, err = numbers("receivers", *fans, 2); err != nil {
		return o, err
	}
	return o, o.check(f.Args())
}

// check returns what is wrong with the flags.
func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unknown argument %q", rest[0])
	case o.rounds < 1 || o.runs < 1 || o.calm <= 1 || o.duration <= 0:
		return errors.New("-rounds, -calm, -runs and -duration must be above 0")
	}
	all := []string{"A", "B", "C", "D", "E"}
	for _, s := range o.scenarios {
		if !slices.Contains(all, s) {
			return fmt.Errorf("-scenario: %q is none of %q", s, all)
		}
	}
	for _, name := range o.only {
		if err := known(name); err != nil {
			return fmt.Errorf("-only: %w", err)
		}
	}
	return nil
}

// known returns an error for a name that no contender has.
func known(name string) error {
	_, a := pick(carriers(), name)
	_, b := pick(switchboards(), name)
	_, c := pick(conduits(), name)
	_, d := pick(electors(), name)
	if a == nil || b == nil || c == nil || d == nil {
		return nil
	}
	return errors.Join(a, b, c, d)
}

// numbers reads a list of numbers that are at least least.
func numbers(name, list string, least int) ([]int, error) {
	var all []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < least {
			return nil, fmt.Errorf("-%s: %q is not a number of at least %d", name, s, least)
		}
		all = append(all, n)
	}
	return all, nil
}

// wants reports whether a scenario is to be measured.
func (o options) wants(scenario string) bool { return slices.Contains(o.scenarios, scenario) }

// crowds returns for how many receivers scenarios A and B are measured.
func (o options) crowds() []int {
	var all []int
	if o.wants("A") {
		all = append(all, 1)
	}
	if o.wants("B") {
		all = append(all, o.fans...)
	}
	return all
}

// bench measures and prints.
func bench(ctx context.Context, o options, out io.Writer) error {
	printed := false
	for _, part := range []struct {
		scenarios []string
		run       func(context.Context, options, io.Writer) error
	}{
		{[]string{"A", "B"}, benchRates},
		{[]string{"C"}, benchCalls},
		{[]string{"D"}, benchStreams},
		{[]string{"E"}, benchReigns},
	} {
		if !slices.ContainsFunc(part.scenarios, o.wants) {
			continue
		}
		if printed && !o.json {
			_, _ = fmt.Fprintln(out)
		}
		if err := part.run(ctx, o, out); err != nil {
			return err
		}
		printed = true
	}
	return nil
}

// benchRates measures and prints scenarios A and B, benchCalls C, benchStreams D, and
// benchReigns E.
func benchRates(ctx context.Context, o options, out io.Writer) error {
	rates, err := measureRates(ctx, o)
	if err != nil {
		return err
	}
	if err := gauge.Print(out, rates, o.json, rateCells); err != nil || !o.buckets || o.json {
		return err
	}
	return printHistograms(out, rates)
}

func benchCalls(ctx context.Context, o options, out io.Writer) error {
	rows, err := measureCalls(ctx, o)
	if err != nil {
		return fmt.Errorf("scenario C: %w", err)
	}
	return gauge.Print(out, rows, o.json, gauge.CallRow.Cells)
}

func benchStreams(ctx context.Context, o options, out io.Writer) error {
	rows, err := measureStreams(ctx, o)
	if err != nil {
		return fmt.Errorf("scenario D: %w", err)
	}
	return gauge.Print(out, rows, o.json, gauge.StreamRow.Cells)
}

func benchReigns(ctx context.Context, o options, out io.Writer) error {
	reigns, err := measureReigns(ctx, o)
	if err != nil {
		return fmt.Errorf("scenario E: %w", err)
	}
	return gauge.Print(out, reigns, o.json, reignCells)
}

// contender is something to be measured, under a name that is also that of its rows.
type contender[T any] struct {
	name string
	what T
}

// pick returns the contender with the name.
func pick[T any](all []contender[T], name string) (what T, err error) {
	var names []string
	for _, c := range all {
		if c.name == name {
			return c.what, nil
		}
		names = append(names, c.name)
	}
	return what, fmt.Errorf("no contender is called %q; there are %q", name, names)
}

// wanted returns the contenders that are to be measured.
func wanted[T any](all []contender[T], only []string) []contender[T] {
	return slices.DeleteFunc(all, func(c contender[T]) bool {
		return len(only) > 0 && !slices.Contains(only, c.name)
	})
}
