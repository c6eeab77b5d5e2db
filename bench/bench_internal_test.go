package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be its own child, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"seat", "hub", "receiver", "sender"}, os.Args[1]) {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestFlags(t *testing.T) {
	for name, tc := range map[string]struct {
		args    string
		want    string // part of the error, empty for none
		crowds  []int
		leaders bool
	}{
		"none are all of it":          {"", "", []int{1, 4, 16}, true},
		"A is one to one":             {"-scenario A", "", []int{1}, false},
		"B is one to many":            {"-scenario=B -receivers 2,8", "", []int{2, 8}, false},
		"E carries nothing":           {"--scenario E", "", nil, true},
		"A and B without E":           {"-scenario A,B", "", []int{1, 4, 16}, false},
		"there is no scenario F":      {"-scenario A,F", "-scenario", nil, false},
		"a message has room for time": {"-sizes 128,7", "-sizes", nil, false},
		"one receiver is scenario A":  {"-receivers 1", "-receivers", nil, false},
		"a contender must exist":      {"-only link,zeppelin", "zeppelin", nil, false},
		"a seat or a carrier is one":  {"-only bare,raft", "", []int{1, 4, 16}, true},
		"no rounds tell nothing":      {"-rounds 0", "-rounds", nil, false},
		"it takes no arguments":       {"fast", "fast", nil, false},
	} {
		o, err := parse(strings.Fields(tc.args))
		switch {
		case tc.want == "" && err != nil, tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: parse(%q) = %v, want an error with %q", name, tc.args, err, tc.want)
		case err == nil && (!slices.Equal(o.crowds(), tc.crowds) || o.wants("E") != tc.leaders):
			t.Errorf("%s: parse(%q): receivers %v, E %v, want %v, %v",
				name, tc.args, o.crowds(), o.wants("E"), tc.crowds, tc.leaders)
		}
	}
}

func TestQuantile(t *testing.T) {
	upTo := func(n int) (all []float64) {
		for i := range n {
			all = append(all, float64(n-i))
		}
		return all
	}
	for name, tc := range map[string]struct {
		of   []float64
		q    float64
		want float64
	}{
		"of nothing":                          {nil, 0.5, 0},
		"one value is every quantile":         {upTo(1), 0.99, 1},
		"the lower one of two is the median":  {upTo(2), 0.5, 1},
		"the middle of three is the median":   {upTo(3), 0.5, 2},
		"the 99th percentile of 5 is the max": {upTo(5), 0.99, 5},
		"and that of 200 leaves out two":      {upTo(200), 0.99, 198},
		"the whole is the max":                {upTo(20), 1, 20},
	} {
		if got := quantile(tc.of, tc.q); got != tc.want {
			t.Errorf("%s: quantile(%v, %v) = %v, want %v", name, tc.of, tc.q, got, tc.want)
		}
	}
}

func TestHistogram(t *testing.T) {
	us := func(all ...float64) (ds []time.Duration) {
		for _, f := range all {
			ds = append(ds, time.Duration(f*float64(time.Microsecond)))
		}
		return ds
	}
	for name, tt := range map[string]struct {
		in   []time.Duration
		want []bucket
	}{
		"of nothing":               {nil, nil},
		"a limit is its bucket's":  {us(8), []bucket{{8, 1}}},
		"above it is the next's":   {us(8.5, 8), []bucket{{8, 1}, {16, 1}}},
		"gaps are shown":           {us(3, 20, 3.5), []bucket{{4, 2}, {8, 0}, {16, 0}, {32, 1}}},
		"what took no time at all": {us(0), []bucket{{1, 1}}},
	} {
		if got := histogram(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("%s: histogram(%v) = %v, want %v", name, tt.in, got, tt.want)
		}
	}
}

// TestARowIsALineOfEspialBench: whoever reads espial bench --json reads it with --peers, too.
func TestARowIsALineOfEspialBench(t *testing.T) {
	var out bytes.Buffer
	r := rate{OfBare: 1, Link: 1, Histogram: []bucket{{1, 1}}}
	if err := write(&out, []rate{r}, true); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(out.String(), -1) {
		got = append(got, m[1])
	}
	want := strings.Fields("scenario carrier size nodes runs rate_per_s bytes_per_s of_bare link_over_it " +
		"p50_us p99_us cpu_ns_per_msg allocs_per_msg lost histogram up_to_us count")
	if !slices.Equal(got, want) {
		t.Errorf("a row has the fields %q, want %q", got, want)
	}
}

// TestOver takes the ratio in each run first: the machine was twice as quick in the second.
func TestOver(t *testing.T) {
	quick := line{samples: []sample{{rate: 8}, {rate: 16}, {rate: 5}}}
	slow := line{samples: []sample{{rate: 4}, {rate: 8}, {rate: 5}}}
	if got := quick.over(&slow); got != 2 {
		t.Errorf("%v over %v = %v, want 2", quick.samples, slow.samples, got)
	}
}

func TestTable(t *testing.T) {
	rows := []reign{
		{Contender: "espial-quorum", Killed: 912_345, KilledMax: 1_100_000, Resigned: 1_700, ResignedMax: 2_000},
		{Contender: "raft", Killed: 2e6, KilledMax: 3e6, Mean: new(31.64), Busiest: new(79.1)},
	}
	var out bytes.Buffer
	if err := write(&out, rows, false); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range [][]string{
		{"contender", "killed:", "max", "resigned:", "max", "busiest"},
		{"espial-quorum", "912", "1100", "1.7", "2.0", "?"},
		{"raft", "2000", "3000", "0.0", "31.6", "79.1"},
	} {
		rest := lines[i]
		for _, w := range want {
			_, after, ok := strings.Cut(rest, w)
			if !ok {
				t.Errorf("line %d is %q, want %q in it, in this order", i, lines[i], want)
				break
			}
			rest = after
		}
	}
}

// TestContenders measures a moment of each way to bring messages, and one round of an
// election: whatever it prints, the processes start, do what they are told, and end.
func TestContenders(t *testing.T) {
	o, err := parse(strings.Fields("-json -only bare,link,nats,espial-available " +
		"-rounds 1 -calm 200ms -runs 1 -duration 100ms -sizes 64 -receivers 2"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := bench(t.Context(), o, &out); err != nil {
		t.Fatalf("%v; it printed:\n%s", err, out.String())
	}
	var seen []string
	for dec := json.NewDecoder(&out); ; {
		var r struct {
			rate
			Contender string  `json:"contender"`
			Killed    float64 `json:"killed_p50_us"`
		}
		if err := dec.Decode(&r); err != nil {
			break
		}
		seen = append(seen, r.Scenario+" "+r.Carrier+r.Contender)
		if (r.Rate <= 0 || len(r.Histogram) == 0) && r.Killed <= 0 {
			t.Errorf("%s measured nothing: %+v", seen[len(seen)-1], r)
		}
	}
	want := []string{
		"A bare", "A link", "A nats", "B bare", "B link", "B nats", "E espial-available",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("rows are %q, want %q", seen, want)
	}
}

// TestAFailedChild tells of a child that cannot do what it is for.
func TestAFailedChild(t *testing.T) {
	p, err := spawn(t.Context(), "hub", "bare", post{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.hear(new(string)); err == nil || !strings.Contains(err.Error(), "hub") {
		t.Errorf("the hub of a contender without one said %v, want an error that names it", err)
	}
	if err := errors.Join(p.in.Close(), p.kill()); err != nil {
		t.Error(err)
	}
}

// TestTally counts only what comes after a reset.
func TestTally(t *testing.T) {
	var c tally
	payload := make([]byte, stampMin)
	c.add(payload)
	c.reset(true)
	for range 3 {
		stamp(payload)
		c.add(payload)
	}
	w := worker{tallies: []*tally{&c}}
	r := w.report()
	if r.Count != 3 || len(r.Latencies) != 3 || slices.Max(r.Latencies) > time.Minute || r.Elapsed < 0 {
		t.Errorf("three messages after a reset gave %+v", r)
	}
}
