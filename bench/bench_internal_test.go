package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/gauge"
)

// TestMain lets the test binary be its own child, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && !strings.HasPrefix(os.Args[1], "-") {
		main() // a child in its role
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
		"C and D without A":           {"-scenario C,D", "", nil, false},
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

// TestOver takes the ratio in each run first: the machine was twice as quick in the second.
func TestOver(t *testing.T) {
	quick := line{samples: []gauge.Sample{{Rate: 8}, {Rate: 16}, {Rate: 5}}}
	slow := line{samples: []gauge.Sample{{Rate: 4}, {Rate: 8}, {Rate: 5}}}
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
	if err := gauge.Print(&out, rows, false, reignCells); err != nil {
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

// TestContenders measures a moment of each way to bring messages, calls and streams, and one
// round of an election: whatever it prints, the processes start, do what they are told, and end.
func TestContenders(t *testing.T) {
	o, err := parse(strings.Fields("-json -only bare,link,nats,grpc,yamux,quic-go,espial-available " +
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
			gauge.Row
			Contender string  `json:"contender"`
			Killed    float64 `json:"killed_p50_us"`
			Many      float64 `json:"many_bytes_per_s"`
			Opens     float64 `json:"opens_per_s"`
			Slower    float64 `json:"busy_over_idle"`
		}
		if err := dec.Decode(&r); err != nil {
			break
		}
		seen = append(seen, r.Scenario+" "+r.Carrier+r.Contender)
		found := map[string]bool{
			"A": r.Rate > 0 && len(r.Histogram) > 0, "B": r.Rate > 0 && len(r.Histogram) > 0,
			"C": r.Rate > 0 && r.P50 > 0, "D": r.Bytes > 0 && r.Many > 0 && r.Opens > 0,
			"E": r.Killed > 0,
		}
		talks := r.Carrier == bareName || r.Carrier == linkName
		if !found[r.Scenario] || r.Scenario == "D" && talks != (r.Slower > 0) {
			t.Errorf("%s measured nothing: %+v", seen[len(seen)-1], r)
		}
	}
	want := []string{
		"A bare", "A link", "A nats", "B bare", "B link", "B nats",
		"C bare", "C link", "C grpc", "C yamux", "C nats",
		"C bare", "C link", "C grpc", "C yamux", "C nats",
		"D bare", "D link", "D grpc", "D yamux", "D quic-go", "E espial-available",
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
	if err := p.Hear(new(string)); err == nil || !strings.Contains(err.Error(), "hub") {
		t.Errorf("the hub of a contender without one said %v, want an error that names it", err)
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
}
