package council_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

var seeds = flag.Uint64("council.seeds", 40, "how many random runs")

// openRandom opens the elections of a random run.
func openRandom(w *world, slots ...int) {
	w.open("", council.Mode{}, slots...)
	w.open("pair", council.Mode{}, slots...)
	w.open("most", council.Mode{Quorum: 4}, slots...)
	w.open("some", council.Mode{Voters: []ident.NodeID{idOf(1), idOf(2), idOf(3)}, Lease: 400 * time.Millisecond},
		slots...)
}

// chaos does random things to four nodes and returns what they said.
func chaos(t *testing.T, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t, 4)
	w.exclusive = []string{"most", "some"}
	openRandom(w)
	names := []string{"", "pair", "most", "some"}
	for range 12 {
		x := w.nodes[r.IntN(4)]
		name := names[r.IntN(4)]
		switch r.IntN(9) {
		case 0:
			cut := r.IntN(1 << 4)
			var sides [2][]int
			for i := range 4 {
				sides[cut>>i&1] = append(sides[cut>>i&1], i)
			}
			w.split(sides[0], sides[1])
		case 1:
			w.split()
		case 2:
			w.link(x.slot, r.IntN(4), r.IntN(2) == 0)
		case 3:
			x.boot()
			w.view()
			openRandom(w, x.slot)
		case 4:
			_ = x.c.Promote(w.now, name, idOf(r.IntN(4))) // it need not be possible
		case 5:
			_ = x.c.Resign(w.now, name)
		case 6:
			x.c.SetFit(w.now, name, r.IntN(3) > 0)
		case 7:
			x.c.SetEligible(w.now, name, r.IntN(3) > 0)
		case 8:
			if y := r.IntN(4); y != x.slot {
				w.relink(x.slot, y)
			}
		}
		x.carry()
		w.run(time.Duration(r.IntN(1500)) * time.Millisecond)
	}
	w.down = map[pair]bool{}
	w.split()
	for _, x := range w.nodes {
		for _, name := range names {
			x.c.SetFit(w.now, name, true)
			x.c.SetEligible(w.now, name, true)
			x.carry()
		}
	}
	w.run(8 * time.Second)
	h := fnv.New64a()
	for _, x := range w.nodes {
		fmt.Fprintln(h, x.log)
	}
	for _, name := range names {
		if r, ok := w.nodes[0].c.Leader(name); !ok {
			t.Errorf("nobody leads %q", name)
		} else {
			w.agree(name, int(r.ID[0])-1)
		}
	}
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestWhateverHappensAllAgreeInTheEnd(t *testing.T) {
	for seed := range *seeds {
		first := chaos(t, seed)
		if t.Failed() {
			return
		}
		if seed < 3 {
			if again := chaos(t, seed); again != first {
				t.Fatalf("seed %d: two runs differ", seed)
			}
		}
	}
}

func TestTheOrderOfTheMembersIsOfNoAccount(t *testing.T) {
	var first []council.Action
	for turn := range 4 {
		c := council.New(council.Config{Self: idOf(9), Incarnation: 1, Eligible: true})
		now := time.Unix(1_700_000_000, 0)
		for i := range 5 {
			if err := c.Open(now, fmt.Sprint((i+turn)%5), council.Mode{}); err != nil {
				t.Fatal(err)
			}
		}
		c.Take()
		list := []council.Member{{ID: idOf(9), Incarnation: 1, Eligible: true}}
		for i := range 6 {
			list = append(list, council.Member{
				ID: idOf(i), Incarnation: 1, Join: uint64(i) / 2, Eligible: true, Link: 1,
			})
		}
		rand.New(rand.NewPCG(uint64(turn), 0)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		c.View(now, list)
		for i := range 6 {
			c.Receive(now, idOf(i), frame.Lead{Election: "3"})
		}
		c.Tick(now.Add(3 * time.Second))
		acts := c.Take()
		if turn == 0 {
			first = acts
		}
		if !slices.EqualFunc(acts, first, func(a, b council.Action) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			t.Errorf("turn %d\n got %v\nwant %v", turn, acts, first)
		}
	}
}

// FuzzReceive gives a council frames of members, at times, as the input has them: it does
// not panic, and a Tick leaves nothing due.
func FuzzReceive(f *testing.F) {
	lead := frame.Lead{Leader: idOf(1), Incarnation: 2, Term: 9, Join: 1, Seat: idOf(1)}
	f.Add(append([]byte{1, 0}, lead.Append(nil)...))
	ask := frame.LeaseAsk{Election: "q", Kind: frame.LeaseClaim, Electorate: 3, Incarnation: 2, Number: 1, Term: 5}
	rule := frame.LeaseRule{Election: "q", Electorate: 3, Seen: 4, Leads: 4}
	f.Add(append(ask.Append([]byte{1, 200}), rule.Append([]byte{2, 9})...))
	f.Add(append(lead.Append([]byte{1, 9}), frame.Promote{Target: idOf(2), Incarnation: 3}.Append([]byte{2, 99})...))
	f.Add(frame.LeaseRelease{Election: "q", Term: 5, Successor: idOf(0)}.Append([]byte{1, 9}))
	f.Fuzz(func(t *testing.T, in []byte) {
		now := time.Unix(1_700_000_000, 0)
		c := council.New(council.Config{Self: idOf(0), Incarnation: 1, Eligible: true})
		for name, m := range map[string]council.Mode{"": {}, "q": {Quorum: 3}, "v": {Voters: []ident.NodeID{idOf(0), idOf(1)}}} {
			if err := c.Open(now, name, m); err != nil {
				t.Fatal(err)
			}
		}
		var list []council.Member
		for i := range 4 {
			list = append(list, council.Member{
				ID: idOf(i), Incarnation: ident.Incarnation(i + 1), Join: uint64(i + 1), Eligible: true, Link: uint64(3 - i),
			})
		}
		c.View(now, list)
		for len(in) > 2 {
			from, wait := idOf(int(in[0])%5), time.Duration(in[1])*10*time.Millisecond
			raw, n, err := frame.Next(in[2:])
			if err != nil {
				return
			}
			in = in[2+n:]
			fr, err := frame.Decode(raw)
			if err != nil {
				return
			}
			now = now.Add(wait)
			c.Receive(now, from, fr)
			for turn := 0; ; turn++ {
				at, ok := c.Next()
				if !ok || at.After(now) {
					break
				}
				if turn == 10 {
					t.Fatalf("after %+v from %v the council stays due", fr, from)
				}
				c.Tick(now)
			}
			if acts := c.Take(); len(acts) > 200 {
				t.Fatalf("%d actions after %+v from %v", len(acts), fr, from)
			}
		}
	})
}
