package gossip_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/gossip"
)

func TestReceive(t *testing.T) {
	t.Run("the next batch is delivered and goes to the children, not back and not to others", func(t *testing.T) {
		s := newScript(t, around, "abcd")
		s.get('a', s.batch('x', 3)).want("0 deliver x 1-3", "0 forward x 1-3 to cd")
		s.get('c', s.batch('x', 1)).want("0 deliver x 4-4", "0 forward x 4-4 to d")
	})
	t.Run("what comes again is dropped", func(t *testing.T) {
		s := newScript(t, around, "abcd")
		b := s.batch('x', 3)
		s.get('a', b, b).get('b', b).want("0 deliver x 1-3", "0 forward x 1-3 to cd")
		if n := s.r.Stats().Duplicates; n != 2 {
			t.Errorf("%d duplicates, want 2", n)
		}
	})
	t.Run("what comes before its turn goes on at once, and is delivered in its turn", func(t *testing.T) {
		s := newScript(t, around, "abcd")
		b := s.batches('x', 4)
		s.get('a', b[0]).skip()
		s.get('a', b[2]).get('b', b[3], b[2]).want("0 forward x 3-3 to cd", "0 forward x 4-4 to cd")
		s.get('b', b[1]).want("0 deliver x 2-2", "0 deliver x 3-3", "0 deliver x 4-4", "0 forward x 2-2 to cd")
		s.to(1000).want()
	})
	t.Run("strangers and this node itself have nothing delivered", func(t *testing.T) {
		s := newScript(t, around, "abcd")
		s.get('a', s.batch('y', 1), s.batch('X', 1), s.batch('s', 1), s.batch('S', 1)).want()
		if n := s.r.Stats().Strange; n != 4 {
			t.Errorf("%d batches of strangers, want 4", n)
		}
	})
	t.Run("a batch of a former member is delivered and goes to all", func(t *testing.T) {
		s := newScript(t, around, "abcd")
		b := s.batches('x', 3)
		s.get('a', b[0]).skip()
		s.do(func(r *gossip.Router, now time.Time) { r.View(now, edges("ab as bs sc sd")) })
		s.get('a', b[1]).want("0 deliver x 2-2", "0 forward x 2-2 to bcd")
	})
	t.Run("a batch that contradicts what its origin signed is dropped", func(t *testing.T) {
		s := newScript(t, around, "abcd")
		s.get('a', s.batch('x', 2)).skip()
		over := &writer{self: s.of('x').self, next: 2, message: 2}
		jump := &writer{self: s.of('x').self, next: 3, message: 2}
		torn := &writer{self: s.of('x').self, next: 3, message: 1, open: true}
		s.get('a', over.batch(piece{count: 2}), jump.batch(piece{count: 1}), torn.batch(piece{count: 1})).want()
		if n := s.r.Stats().Clashing; n != 3 {
			t.Errorf("%d batches contradict, want 3", n)
		}
		s.get('a', s.batch('x', 1)).want("0 deliver x 3-3", "0 forward x 3-3 to cd")
	})
	t.Run("of two held batches with the same numbers the first counts", func(t *testing.T) {
		s := newScript(t, around, "abcd")
		b := s.batches('x', 4)
		s.get('a', b[0], b[3]).skip()
		over := &writer{self: s.of('x').self, next: 3, message: 3}
		s.get('b', over.batch(piece{count: 2})).want()
		s.get('b', b[1], b[2]).want("0 deliver x 2-2", "0 forward x 2-2 to cd",
			"0 deliver x 3-3", "0 deliver x 4-4", "0 forward x 3-3 to cd")
	})
}

func TestPublish(t *testing.T) {
	t.Run("what this node published goes to all neighbours", func(t *testing.T) {
		s := newScript(t, around, "abcd")
		b := s.batches('s', 2)
		s.do(func(r *gossip.Router, now time.Time) { r.Publish(now, b[0]) }).want("0 forward s 1-1 to abcd")
		s.get('a', b[0]).want()
		s.silent("hail").to(50).do(func(r *gossip.Router, now time.Time) { r.Publish(now, b[1]) })
		s.to(500).want("30 tell abcd, s 1-0 then 1, s 1-1 then 2", "50 forward s 2-2 to abcd", "130 tell abcd, s 1-2 then 3")
	})
	t.Run("the first batch may have any number", func(t *testing.T) {
		s := newScript(t, around, "abcd").silent("hail")
		s.batches('s', 5)
		b := s.batch('s', 1)
		s.do(func(r *gossip.Router, now time.Time) { r.Publish(now, b) })
		s.to(500).want("0 forward s 6-6 to abcd", "30 tell abcd, s 6-5 then 6, s 6-6 then 7")
	})
	t.Run("what was not signed between two batches is not there to be asked for", func(t *testing.T) {
		s := newScript(t, around, "abcd").silent("hail forward tell")
		b := s.batches('s', 5)
		s.do(func(r *gossip.Router, now time.Time) {
			r.Publish(now, b[0])
			r.Publish(now, b[1])
			r.Publish(now, b[4])
		})
		s.silent("hail").pull('a', 's', 2, 4).want("0 tell a, s 5-5 then 6")
		s.pull('a', 's', 5, 5).want("0 forward s 5-5 to a")
	})
	t.Run("a number that was published before is a broken invariant", func(t *testing.T) {
		s := newScript(t, around, "abcd")
		b := s.batches('s', 3)
		s.do(func(r *gossip.Router, now time.Time) { r.Publish(now, b[2]) })
		defer func() {
			if recover() == nil {
				t.Error("Publish of number 1 after number 3 returned")
			}
		}()
		s.r.Publish(clock(0), b[0])
	})
}

// Pieces have numbers, messages are counted: the same tables as for a session, over batches.
func TestLossesAreCountedInMessages(t *testing.T) {
	whole := func(n int) piece { return piece{count: n} }
	some := piece{count: 1, more: true}
	tests := []struct {
		name  string
		sent  [][]piece // batches
		gone  []int     // those that nobody has
		want  []string
		after string // one more whole message
	}{
		{
			name: "a batch of three messages", sent: [][]piece{{whole(1)}, {whole(3)}, {whole(2)}}, gone: []int{1},
			want: []string{"deliver x 1-1", "deliver x 5-6 lost 3"}, after: "deliver x 7-7",
		},
		{
			name: "a message in four pieces is one", sent: [][]piece{{whole(1)}, {some, some, some, whole(1)}, {whole(1)}},
			gone: []int{1}, want: []string{"deliver x 1-1", "deliver x 6-6 lost 1"}, after: "deliver x 7-7",
		},
		{
			name: "the middle of a message: the rest of it is skipped",
			sent: [][]piece{{whole(1), some}, {some, some}, {some, whole(1), whole(1)}}, gone: []int{1},
			want: []string{"deliver x 1-2", "deliver x 5-7 skip 2 lost 1"}, after: "deliver x 8-8",
		},
		{
			name: "its end: the next message is delivered",
			sent: [][]piece{{whole(1), some}, {some, whole(1)}, {whole(1)}}, gone: []int{1},
			want: []string{"deliver x 1-2", "deliver x 5-5 lost 1"}, after: "deliver x 6-6",
		},
		{
			name: "its beginning, and a message before it",
			sent: [][]piece{{whole(1)}, {whole(1), some}, {some}, {some, whole(1)}, {whole(1)}}, gone: []int{1},
			want:  []string{"deliver x 1-1", "deliver x 4-4 skip 1 lost 2", "deliver x 5-6 skip 2", "deliver x 7-7"},
			after: "deliver x 8-8",
		},
		{
			name: "two parts of one message",
			sent: [][]piece{{some}, {some}, {some}, {some}, {some, whole(1)}}, gone: []int{1, 3},
			want: []string{"deliver x 1-1", "deliver x 3-3 skip 1 lost 1", "deliver x 5-6 skip 2"}, after: "deliver x 7-7",
		},
		{
			name: "the rest of a message of which a part was skipped, and the next one",
			sent: [][]piece{{some}, {some}, {some}, {whole(1), some}, {whole(1)}}, gone: []int{1, 3},
			want:  []string{"deliver x 1-1", "deliver x 3-3 skip 1 lost 1", "deliver x 6-6 skip 1 lost 1"},
			after: "deliver x 7-7",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, around, "abcd").silent("hail tell forward pull")
			gone := map[int]bool{}
			for _, i := range tt.gone {
				gone[i] = true
			}
			for i, pieces := range tt.sent {
				if b := s.of('x').batch(pieces...); !gone[i] {
					s.get('a', b).to(s.now + 5000)
				}
			}
			s.get('a', s.batch('x', 1))
			var got []string
			for _, line := range s.lines {
				_, line, _ = strings.Cut(line, " ") // without the time
				got = append(got, line)
			}
			if want := append(tt.want, tt.after); !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// A lie about the messages is bounded by the numbers, which cost the liar as many.
func TestALossIsNeverMoreThanItsNumbers(t *testing.T) {
	s := newScript(t, around, "abcd").silent("hail tell forward pull")
	s.get('a', s.batch('x', 1)).skip()
	far := &writer{self: s.of('x').self, next: 5, message: 5}
	b := far.batch(piece{count: 1})
	b.Message, b.Whole = 1<<60, 1<<60 // no decoder lets this pass, so it cannot come to it
	s.get('a', b).to(3000).want("2020 deliver x 5-5 lost 3")
	if got := s.r.Stats().Lost; got != 3 {
		t.Errorf("Stats.Lost = %d, want 3", got)
	}
}

// Nothing here may depend on the order in which a map gives its keys.
func TestARunRepeats(t *testing.T) {
	var last *network
	for range 3 {
		w := runChurn(5, none)
		if last != nil && (w.payloads != last.payloads || w.marks != last.marks || w.agenda.Added() != last.agenda.Added()) {
			t.Fatalf("%d payloads, %d marks, %d events; the same seed gave %d, %d, %d before",
				w.payloads, w.marks, w.agenda.Added(), last.payloads, last.marks, last.agenda.Added())
		}
		last = w
	}
}

// What is taken stays as it is while the router goes on.
func TestTakeIsEmptyUntilTheNextInput(t *testing.T) {
	s := newScript(t, around, "abcd")
	s.r.Receive(clock(0), name('a'), s.batch('x', 1))
	first := s.r.Take()
	if len(first.Deliveries) != 1 || len(first.Forwards) != 1 {
		t.Fatalf("Take = %+v, want a delivery and a forward", first)
	}
	if again := s.r.Take(); len(again.Deliveries)+len(again.Forwards) > 0 {
		t.Errorf("a second Take = %+v, want nothing", again)
	}
	s.r.Tick(clock(0))
	if later := s.r.Take(); len(later.Deliveries)+len(later.Forwards) > 0 {
		t.Errorf("Take after a Tick = %+v, want nothing", later)
	}
}

// Zero allocations for each batch in the steady state: what is stored replaces what is
// dropped, digests included.
func TestTheSteadyStateAllocatesNothing(t *testing.T) {
	s := newStage(t, 1000)
	s.prepare(40_000, 10, 1024)
	at := 0
	feed := func() {
		s.feed(&s.batches[at])
		at++
	}
	for range 30_000 { // more than the store holds
		feed()
	}
	if n := testing.AllocsPerRun(5000, feed); n != 0 {
		t.Errorf("%v allocations a batch, want 0", n)
	}
	if st := s.r.Stats(); st.Batches != uint64(at) || st.Trees != 10 || st.Bytes < gossip.StoreMaxDefault*9/10 {
		t.Errorf("the steady state is another: %+v", st)
	}
}
