package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// sender delivers runs of numbered messages, and notes which are released.
type sender struct {
	box   *mailbox.Box
	id    ident.NodeID
	lane  frame.Lane
	next  ident.Seq
	route mailbox.Route

	mu       sync.Mutex
	released []ident.Seq
}

func newSender(box *mailbox.Box, name byte, lane frame.Lane) *sender {
	return &sender{box: box, id: ident.NodeID{name}, lane: lane, next: 1}
}

// Release implements [mailbox.Releaser].
func (s *sender) Release(lane frame.Lane, last ident.Seq) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lane != s.lane {
		panic(fmt.Sprintf("release on lane %d, want %d", lane, s.lane))
	}
	s.released = append(s.released, last)
}

// take returns what was released since the last call.
func (s *sender) take() []ident.Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	released := s.released
	s.released = nil
	return released
}

// run returns count messages of size bytes; the first bytes hold the number.
func (s *sender) run(count, size int) mailbox.Run {
	r := mailbox.Run{From: s.id, Name: "n", Lane: s.lane, First: s.next, Count: count, At: time.Unix(9, 0)}
	r.Last = r.First + ident.Seq(count) - 1
	for range count {
		r.Data = frame.AppendPayload(r.Data, fmt.Appendf(nil, "%-*d", size, s.next))
		s.next++
	}
	return r
}

func (s *sender) send(topic string, count int) (queues int) {
	return s.box.Deliver(&s.route, []byte(topic), s.run(count, 8), s)
}

func subscribe(t testing.TB, box *mailbox.Box, pattern string, o mailbox.Options) *mailbox.Queue {
	t.Helper()
	q, err := box.Subscribe(pattern, o)
	if err != nil {
		t.Fatalf("Subscribe(%q): %v", pattern, err)
	}
	return q
}

// next returns what waits in q as words, and how it ended: "a1:1-3 a2:-4" is messages 1
// to 3 of sender 1 on topic a, and then 4 lost of sender 2 on it.
func next(t testing.TB, q *mailbox.Queue) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what is there is returned before ctx is looked at
	batch, err := q.Next(ctx)
	var words []string
	for _, e := range batch {
		words = append(words, word(t, e))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		words = append(words, err.Error())
	}
	return strings.Join(words, " ")
}

func word(t testing.TB, e mailbox.Entry) string {
	t.Helper()
	if e.Count == 0 {
		w := fmt.Sprintf("%s%d:-%d", e.Lost.Topic, e.Lost.From[0], e.Lost.Count)
		if e.Lost.Unknown {
			w += "+"
		}
		return w
	}
	n, count := e.First, 0
	for run := e.Data; len(run) > 0; n++ {
		var p []byte
		p, run = frame.NextPayload(run)
		if got := strings.TrimRight(string(p), " "); got != fmt.Sprint(n) {
			t.Errorf("message %d of run %d of %q holds %q", n, e.First, e.Topic, got)
		}
		count++
	}
	if count != e.Count {
		t.Errorf("run %d of %q holds %d messages, says %d", e.First, e.Topic, count, e.Count)
	}
	if e.Name != "n" || !e.At.Equal(time.Unix(9, 0)) {
		t.Errorf("run %d is from %q at %v", e.First, e.Name, e.At)
	}
	if count == 1 {
		return fmt.Sprintf("%s%d:%d", e.Topic, e.From[0], e.First)
	}
	return fmt.Sprintf("%s%d:%d-%d", e.Topic, e.From[0], e.First, n-1)
}

func TestDeliverReachesThePatternsThatMatch(t *testing.T) {
	box := mailbox.New(func() {})
	s := newSender(box, 1, frame.Broadcast)
	a := subscribe(t, box, "a", mailbox.Options{})
	words := subscribe(t, box, "*.b", mailbox.Options{})
	all := subscribe(t, box, ">", mailbox.Options{})
	var counts []int
	for _, topic := range []string{"a", "a.b", "c.b", "c"} {
		counts = append(counts, s.send(topic, 1))
	}
	if want := []int{2, 2, 2, 1}; !slices.Equal(counts, want) {
		t.Errorf("Deliver = %v, want %v", counts, want)
	}
	for _, tt := range []struct {
		name string
		q    *mailbox.Queue
		want string
	}{
		{"a", a, "a1:1"},
		{"*.b", words, "a.b1:2 c.b1:3"},
		{">", all, "a1:1 a.b1:2 c.b1:3 c1:4"},
	} {
		if got := next(t, tt.q); got != tt.want {
			t.Errorf("%s: Next = %q, want %q", tt.name, got, tt.want)
		}
	}
	if got, want := s.take(), []ident.Seq{1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("released %v, want %v at once", got, want)
	}
}

// TestRoutesFollowTheSubscriptions: what a deliverer remembers never outlives a change
// (case C27).
func TestRoutesFollowTheSubscriptions(t *testing.T) {
	box := mailbox.New(func() {})
	s := newSender(box, 1, frame.Broadcast)
	var counts []int
	send := func(topic string) { counts = append(counts, s.send(topic, 1)) }
	send("a")
	send("a")
	q := subscribe(t, box, "a", mailbox.Options{})
	send("a")
	p := subscribe(t, box, ">", mailbox.Options{})
	send("a")
	send("b")
	q.Close()
	send("b")
	send("a")
	p.Close()
	send("a")
	if want := []int{0, 0, 1, 2, 1, 1, 1, 0}; !slices.Equal(counts, want) {
		t.Errorf("Deliver = %v, want %v", counts, want)
	}
	if got := next(t, p); got != mailbox.ErrClosed.Error() || !errors.Is(mailbox.ErrClosed, net.ErrClosed) {
		t.Errorf("Next of a closed queue = %q", got)
	}
}

func TestManyTopicsAreForgotten(t *testing.T) {
	box := mailbox.New(func() {})
	s := newSender(box, 1, frame.Broadcast)
	q := subscribe(t, box, "x.*", mailbox.Options{MessagesMax: 10_000})
	for i := range 3000 {
		if n := s.send(fmt.Sprintf("x.t%d", i), 1); n != 1 {
			t.Fatalf("topic %d reached %d queues", i, n)
		}
	}
	if q.Len() != 3000 {
		t.Errorf("Len = %d, want 3000", q.Len())
	}
	for _, want := range []int{3000, 1, 1} { // also after a burst that was too large to keep
		batch, err := q.Next(t.Context())
		if len(batch) != want || err != nil {
			t.Errorf("Next = %d entries, %v; want %d", len(batch), err, want)
		}
		s.send("x.t", 1)
	}
}

// TestEachQueueHasItsOwnBytes: what a reader does to its data nobody else sees.
func TestEachQueueHasItsOwnBytes(t *testing.T) {
	box := mailbox.New(func() {})
	s := newSender(box, 1, frame.Broadcast)
	qs := []*mailbox.Queue{subscribe(t, box, "a", mailbox.Options{}), subscribe(t, box, ">", mailbox.Options{})}
	for _, owned := range []bool{false, true} {
		r := s.run(3, 8)
		r.Owned = owned
		box.Deliver(&s.route, []byte("a"), r, s)
		if !owned {
			clear(r.Data)
		}
	}
	for i, q := range qs {
		if got := next(t, q); got != "a1:1-3 a1:4-6" {
			t.Errorf("queue %d: Next = %q", i, got)
		}
	}
	r := s.run(1, 8)
	r.Owned = true
	box.Deliver(&s.route, []byte("a"), r, s)
	for _, q := range qs {
		batch, _ := q.Next(t.Context())
		if string(batch[0].Data) != "\x087       " {
			t.Errorf("Data = %q before another reader's change", batch[0].Data)
		}
		clear(batch[0].Data)
	}
}

// TestReadersMayWriteAtOnce: a reader may have its bytes, and write to them, while
// Deliver still copies for the others.
func TestReadersMayWriteAtOnce(t *testing.T) {
	const runs = 300
	box := mailbox.New(func() {})
	s := newSender(box, 1, frame.Broadcast)
	var wg sync.WaitGroup
	for range 3 {
		q := subscribe(t, box, "a", mailbox.Options{Policy: mailbox.Block})
		wg.Go(func() {
			for n := 1; n <= runs; {
				batch, err := q.Next(t.Context())
				if err != nil {
					t.Errorf("Next: %v", err)
					return
				}
				for _, e := range batch {
					p, _ := frame.NextPayload(e.Data)
					if got := strings.TrimRight(string(p), " "); got != fmt.Sprint(n) {
						t.Errorf("message %d holds %q", n, got)
						return
					}
					clear(e.Data)
					n++
				}
			}
		})
	}
	for range runs {
		r := s.run(1, 2000)
		r.Owned = true
		box.Deliver(&s.route, []byte("a"), r, s)
	}
	wg.Wait()
}

// TestPolicies drives a queue of 4 messages beyond its limit.
func TestPolicies(t *testing.T) {
	const lagged = "mailbox: subscription fell behind"
	tests := []struct {
		name     string
		policy   mailbox.Policy
		lane     frame.Lane
		runs     []int
		released []ident.Seq // before the reader comes
		want     string
		dropped  uint64
	}{
		{name: "Auto drops broadcasts", lane: frame.Broadcast, runs: []int{2, 2, 2}, released: []ident.Seq{2, 4, 6}, want: "a1:-2 a1:3-4 a1:5-6", dropped: 2},
		{name: "Auto withholds direct messages", lane: frame.Direct, runs: []int{2, 2, 2, 1}, released: []ident.Seq{2, 4}, want: "a1:1-2 a1:3-4 a1:5-6 a1:7"},
		{name: "Block withholds a first run that is too large", policy: mailbox.Block, runs: []int{5}, want: "a1:1-5"},
		{name: "DropOldest drops within a run", policy: mailbox.DropOldest, lane: frame.Direct, runs: []int{3, 2}, released: []ident.Seq{3, 5}, want: "a1:-1 a1:2-3 a1:4-5", dropped: 1},
		{name: "DropOldest drops runs and a part", policy: mailbox.DropOldest, runs: []int{1, 2, 3, 1}, released: []ident.Seq{1, 3, 6, 7}, want: "a1:-3 a1:4-6 a1:7", dropped: 3},
		{name: "DropOldest cuts a run that is too large", policy: mailbox.DropOldest, runs: []int{1, 9}, released: []ident.Seq{1, 10}, want: "a1:-6 a1:7-10", dropped: 6},
		{name: "Fail ends after what fits", policy: mailbox.Fail, runs: []int{3, 1, 2, 1}, released: []ident.Seq{3, 4, 6, 7}, want: "a1:1-3 a1:4 a1:-2 | " + lagged, dropped: 2},
		{name: "Fail takes what fits of a run", policy: mailbox.Fail, runs: []int{3, 5, 1}, released: []ident.Seq{3, 8, 9}, want: "a1:1-3 a1:4 a1:-4 | " + lagged, dropped: 4},
		{name: "Fail takes what fits of the first run", policy: mailbox.Fail, runs: []int{9}, released: []ident.Seq{9}, want: "a1:1-4 a1:-5 | " + lagged, dropped: 5},
		{name: "Fail takes what fits", policy: mailbox.Fail, runs: []int{4}, released: []ident.Seq{4}, want: "a1:1-4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			box := mailbox.New(func() {})
			q := subscribe(t, box, "a", mailbox.Options{MessagesMax: 4, Policy: tt.policy})
			s := newSender(box, 1, tt.lane)
			var all []ident.Seq
			for _, n := range tt.runs {
				s.send("a", n)
				all = append(all, s.next-1)
			}
			released := s.take()
			if !slices.Equal(released, tt.released) {
				t.Errorf("runs of %v: released %v, want %v", tt.runs, released, tt.released)
			}
			got := next(t, q)
			if end := next(t, q); end != "" {
				got += " | " + end
			}
			if got != tt.want {
				t.Errorf("runs of %v: Next = %q, want %q", tt.runs, got, tt.want)
			}
			if released = append(released, s.take()...); !slices.Equal(released, all) {
				t.Errorf("runs of %v: released %v in the end, want %v", tt.runs, released, all)
			}
			if waiting, dropped := box.Figures(); waiting != 0 || dropped != tt.dropped {
				t.Errorf("Figures = %d, %d; want 0, %d", waiting, dropped, tt.dropped)
			}
		})
	}
}

// TestLanesDoNotCrowdEachOther: a flood of broadcasts never touches direct messages, and
// what waits of both comes in the order of arrival.
func TestLanesDoNotCrowdEachOther(t *testing.T) {
	box := mailbox.New(func() {})
	q := subscribe(t, box, "a", mailbox.Options{MessagesMax: 2})
	b, d := newSender(box, 1, frame.Broadcast), newSender(box, 2, frame.Direct)
	for range 4 {
		b.send("a", 1)
		d.send("a", 1)
	}
	if got, want := d.take(), []ident.Seq{1, 2}; !slices.Equal(got, want) {
		t.Errorf("direct messages released: %v, want %v", got, want)
	}
	if got, want := next(t, q), "a1:-2 a2:1 a2:2 a1:3 a2:3 a1:4 a2:4"; got != want {
		t.Errorf("Next = %q, want %q", got, want)
	}
}

func TestBytesAreBoundedToo(t *testing.T) {
	box := mailbox.New(func() {})
	q := subscribe(t, box, "a", mailbox.Options{BytesMax: 100})
	s := newSender(box, 1, frame.Broadcast)
	for _, size := range []int{40, 40, 40, 100_000} {
		box.Deliver(&s.route, []byte("a"), s.run(1, size), s)
	}
	if got, want := next(t, q), "a1:-3 a1:4"; got != want {
		t.Errorf("Next = %q, want %q: a message that is too large for the queue stands alone", got, want)
	}
	for range 3 {
		box.Deliver(&s.route, []byte("a"), s.run(1, 40), s)
	}
	if got, want := next(t, q), "a1:-1 a1:6 a1:7"; got != want {
		t.Errorf("Next = %q, want %q", got, want)
	}
}

// TestARunIsReleasedWhenAllTookIt: two queues withhold it; the slower one decides.
func TestARunIsReleasedWhenAllTookIt(t *testing.T) {
	box := mailbox.New(func() {})
	s := newSender(box, 1, frame.Direct)
	o := mailbox.Options{MessagesMax: 1}
	a, b, c := subscribe(t, box, "a", o), subscribe(t, box, "a", o), subscribe(t, box, ">", mailbox.Options{})
	s.send("a", 2)
	for _, step := range []struct {
		name string
		do   func()
		want []ident.Seq
	}{
		{"nobody", func() {}, nil},
		{"the first", func() { next(t, a) }, nil},
		{"one that had room", func() { next(t, c) }, nil},
		{"the first again", func() { next(t, a) }, nil},
		{"the second leaves", b.Close, []ident.Seq{2}},
		{"and again", b.Close, nil},
	} {
		if step.do(); !slices.Equal(s.released, step.want) {
			t.Errorf("%s: released %v, want %v", step.name, s.released, step.want)
		}
		s.released = nil
	}
}

func TestNobodyAsksForTheRelease(t *testing.T) {
	box := mailbox.New(func() {})
	q := subscribe(t, box, "a", mailbox.Options{MessagesMax: 1, Policy: mailbox.Block})
	s := newSender(box, 1, frame.Direct)
	for range 2 {
		box.Deliver(&s.route, []byte("a"), s.run(2, 8), nil)
	}
	if got := next(t, q); got != "a1:1-2 a1:3-4" {
		t.Errorf("Next = %q", got)
	}
}
