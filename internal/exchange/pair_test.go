package exchange_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

func TestWhatIsPublishedBeforeTheSessionOpensArrivesInOrder(t *testing.T) {
	a, b := newNode(t, 1, 0), newNode(t, 2, 0)
	pairs(a, b)
	q := b.subscribe(mailbox.Options{})
	a.direct(b, 1, 1, 8)
	w := connect(t, a, b)
	a.publish(1, 2, 8)
	a.direct(b, 2, 2, 8)
	w.carry()
	a.publish(3, 3, 8)
	a.direct(b, 3, 3, 8)
	w.carry()
	if got, want := read(t, q), "d:1 d:2 a:1 a:2 d:3 a:3"; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
	if !w.ends[0].pair.Opened() || !w.ends[1].pair.Opened() {
		t.Error("the pair is not open both ways")
	}
}

// TestOneLinkAtATime: the next link waits until the one before it is done, or the
// messages of two readers would overtake each other.
func TestOneLinkAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := pairs(newNode(t, 1, 0), newNode(t, 2, 0))
		never := make(chan struct{})
		release, err := p.Acquire(t.Context(), never)
		if err != nil {
			t.Fatalf("Acquire: %v", err)
		}
		got := make(chan error)
		for range 3 {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("gave up"))
			defer cancel()
			go func() {
				_, err := p.Acquire(ctx, never)
				got <- err
			}()
		}
		closed := make(chan struct{})
		go func() {
			_, err := p.Acquire(t.Context(), closed)
			got <- err
		}()
		synctest.Wait()
		close(closed)
		if err := <-got; !errors.Is(err, exchange.ErrClosed) {
			t.Errorf("Acquire for a link that closed = %v, want ErrClosed", err)
		}
		release()
		if err := <-got; err != nil {
			t.Errorf("Acquire after the release = %v", err)
		}
		for range 2 {
			if err := <-got; err == nil || err.Error() != "gave up" {
				t.Errorf("Acquire of a held pair = %v, want the cause of the context", err)
			}
		}
	})
}

// TestOpenComesFirstOnEveryLink: what a member sends before is a breach, on later links
// of a session too.
func TestOpenComesFirstOnEveryLink(t *testing.T) {
	a, b := newNode(t, 1, 0), newNode(t, 2, 0)
	w := link(t, a, b)
	a.publish(1, 1, 8)
	raw := w.frames(0)[0]
	w.cut()
	if w.ends[0].pair.Opened() {
		t.Error("the pair is open without a link")
	}
	w = connect(t, a, b)
	acked := frame.Raw{Type: frame.TypeAcked, Payload: frame.Acked{Number: 1}.Append(nil)[frame.HeaderSize:]}
	for _, raw := range []frame.Raw{raw, acked} {
		if err := w.ends[1].pair.Receive(raw); !errors.Is(err, exchange.ErrBreach) {
			t.Errorf("%v before OPEN = %v, want ErrBreach", raw.Type, err)
		}
	}
	open := w.frames(0)
	w.send(0)
	for _, raw := range open {
		if err := w.ends[1].pair.Receive(raw); err != nil {
			t.Errorf("%v: %v", raw.Type, err)
		}
	}
	if err := w.ends[1].pair.Receive(open[0]); !errors.Is(err, exchange.ErrBreach) {
		t.Errorf("a second OPEN = %v, want ErrBreach", err)
	}
	for _, tt := range []struct {
		name string
		give frame.Frame
	}{
		{"a number that was never sent", frame.Acked{Lane: frame.Direct, Number: 9}},
		{"another one", frame.Acked{Lane: frame.Broadcast, Number: 9}},
		{"no data frame", frame.Probe{Number: 1}},
	} {
		b := tt.give.Append(nil)
		err := w.ends[0].pair.Receive(frame.Raw{Type: tt.give.Type(), Payload: b[frame.HeaderSize:]})
		if !errors.Is(err, exchange.ErrBreach) {
			t.Errorf("%s: Receive = %v, want ErrBreach", tt.name, err)
		}
	}
}

// TestResetsLoseAndDoubleNothing is C02 without a network: the link breaks with frames on
// their way, at every point of a script in turn.
func TestResetsLoseAndDoubleNothing(t *testing.T) {
	const steps = 24
	for at := range steps {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		q := b.subscribe(mailbox.Options{})
		w := link(t, a, b)
		var want []string
		for i := range steps {
			a.publish(i, i, 8+i%3*20_000)
			a.direct(b, i, i, 8)
			var raws []frame.Raw
			if i%2 == 0 {
				raws = w.frames(0)
			}
			for k, raw := range raws {
				if i == at && k > len(raws)/2 {
					break // the rest is lost with the link
				}
				if err := w.ends[1].pair.Receive(raw); err != nil {
					t.Fatal(err)
				}
			}
			if i == at {
				w.cut()
				w = connect(t, a, b)
				w.carry()
			}
			if i%5 == 0 {
				w.send(1)
			}
		}
		w.carry()
		for i := range steps {
			want = append(want, message("a", i, 1).Topic+":"+string(message("", i, 1).Payload))
		}
		var gotA, gotD []string
		for word := range strings.FieldsSeq(read(t, q)) {
			if strings.HasPrefix(word, "d") {
				gotD = append(gotD, strings.Replace(word, "d", "a", 1))
			} else {
				gotA = append(gotA, word)
			}
		}
		if g, d, w := strings.Join(gotA, " "), strings.Join(gotD, " "), strings.Join(want, " "); g != w || d != w {
			t.Errorf("reset at step %d: broadcasts %s, direct %s, want %s", at, g, d, w)
		}
	}
}

// TestAcksLeaveWithoutTraffic: the writer is woken within 20 ms of a delivery, and what it
// finds frees the sender's log.
func TestAcksLeaveWithoutTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		time.Sleep(time.Second)
		a.direct(b, 1, 5, 100)
		w.send(0)
		w.ends[1].woken()
		if raws := w.frames(1); len(raws) != 0 {
			t.Errorf("%v leaves at once, alone", raws[0].Type)
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if n := w.ends[1].woken(); n != 1 {
			t.Errorf("the writer was woken %d times after 20ms, want once", n)
		}
		if w.send(1) == 0 || a.held() != 0 {
			t.Errorf("%d bytes wait for an acknowledgement after 20ms", a.held())
		}
	})
}

// TestABlockedReaderWithholdsTheAck, and its return sends it.
func TestABlockedReaderWithholdsTheAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		q := b.subscribe(mailbox.Options{MessagesMax: 1})
		w := link(t, a, b)
		a.direct(b, 1, 4, 100)
		w.carry()
		time.Sleep(time.Hour)
		w.carry()
		if a.held() == 0 {
			t.Fatal("what no reader has is acknowledged")
		}
		if got, want := read(t, q), "d:1 d:2 d:3 d:4"; got != want {
			t.Errorf("read %s, want %s", got, want)
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		w.carry()
		if a.held() != 0 {
			t.Errorf("%d bytes wait for an acknowledgement", a.held())
		}
	})
}

// TestALargeMessageIsHeldAsAWhole: a reader that blocks has all of it in memory, so all
// of it counts against the sender's window.
func TestALargeMessageIsHeldAsAWhole(t *testing.T) {
	a, b := newNode(t, 1, 0), newNode(t, 2, 0)
	q := b.subscribe(mailbox.Options{MessagesMax: 1})
	w := link(t, a, b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // so that a full log ends the loop
	sent := 0
	for range 100 {
		// 31 pieces and one byte more.
		for a.Direct(ctx, b.id, message("d", sent, 999_937), nil) == nil {
			sent++
		}
		w.carry()
	}
	if sent > 10 {
		t.Errorf("a reader that took nothing holds most of %d messages of 1 MB", sent)
	}
	for got := 0; got < sent; {
		n := len(strings.Fields(read(t, q)))
		if n == 0 {
			t.Fatalf("%d of %d messages came", got, sent)
		}
		got += n
		w.carry()
	}
}

// TestAMessageAboveTheWindowArrives whether the reader is quick or slow.
func TestAMessageAboveTheWindowArrives(t *testing.T) {
	const size = 10 << 20
	a, b := newNode(t, 1, 16<<20), newNode(t, 2, 16<<20)
	q := b.subscribe(mailbox.Options{MessagesMax: 1})
	w := link(t, a, b)
	for _, want := range []string{"d:0", "d:1 d:2", "d:3"} {
		for word := range strings.FieldsSeq(want) {
			a.direct(b, int(word[2]-'0'), int(word[2]-'0'), size)
			w.carry() // the second of two is withheld, and its last piece comes all the same
		}
		if got := read(t, q); got != want {
			t.Errorf("read %.60s, want %s", got, want)
		}
		w.carry()
	}
}

// TestForgedTopicsAreDropped: nobody may publish under these, so a member forges them
// (B23).
func TestForgedTopicsAreDropped(t *testing.T) {
	a, b := newNode(t, 1, 0), newNode(t, 2, 0)
	q := b.subscribe(mailbox.Options{})
	w := link(t, a, b)
	for i, topic := range []string{"added_node", "espial.in_doubt", "no topic", "", "fine"} {
		if err := a.Broadcast(t.Context(), false, message(topic, i, 1), nil); err != nil {
			t.Fatal(err)
		}
	}
	w.carry()
	if got := read(t, q); got != "fine:4" {
		t.Errorf("read %q, want fine:4 alone", got)
	}
	if _, dropped := b.Figures(); dropped["topics"] != 4 {
		t.Errorf("figures say %v, want 4 forged", dropped)
	}
}

// TestTheWayOfAnEventAllocatesNothing: publish, write, read, deliver, take and acknowledge,
// which costs one frame where all that a node has for itself is taken at once.
func TestTheWayOfAnEventAllocatesNothing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		routed bool
	}{
		{"where everybody has always had a link", false},
		{"where somebody had none before", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newNode(t, 1, 0), newNode(t, 2, 0)
			a.run(t.Context())
			w := link(t, a, b)
			if tt.routed { // a neighbour has heard of what a signed
				marks := frame.Marks{List: []frame.Mark{{Origin: a.id, Incarnation: 1, First: 1, Message: 1}}}
				raw, _, err := frame.Next(marks.Append(nil))
				if err == nil {
					err = w.ends[1].pair.Receive(raw)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			allocations(t, a, b, w)
		})
	}
}

func allocations(t *testing.T, a, b *node, w *wire) {
	q := b.subscribe(mailbox.Options{})
	m := message("orders.placed", 1, 128)
	ctx := t.Context()
	var frames [][]byte
	turn := func() {
		for range 100 {
			if a.Broadcast(ctx, false, m, nil) != nil || a.Direct(ctx, b.id, m, nil) != nil {
				t.Fatal("no room")
			}
		}
		for i := range 2 {
			frames = w.ends[i].pair.Fill(frames[:0], 64<<10)
			for _, f := range frames {
				for len(f) > 0 {
					raw, n, err := frame.Next(f)
					//nolint:contextcheck // a call has the context of its caller
					if err != nil || w.ends[1-i].pair.Receive(raw) != nil {
						t.Fatal("a frame does not arrive")
					}
					f = f[n:]
				}
			}
		}
		batch, err := q.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i := range batch {
			q.Reuse(batch[i].Data)
		}
		runtime.Gosched() // to the loop of a, or the log would fill up with its own copies
	}
	for range 100 {
		turn()
	}
	if n := testing.AllocsPerRun(200, turn); n > 1 {
		t.Errorf("200 messages cost %v allocations, want one at most, for an ACKED", n)
	}
}

func TestFormerSessionsAreForgottenButNotThoseOfMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newNode(t, 1, 0)
		a.run(t.Context())
		id := func(i int) ident.NodeID { return ident.NodeID{2, byte(i >> 8), byte(i)} }
		const count = 5000
		var all []*exchange.Pair
		for i := range count {
			all = append(all, a.Pair(id(i), 1, "x"))
		}
		a.SetMembers(all[:1])
		all[1].Attach(&end{})
		a.End(id(1), 1) // while its link lasts
		time.Sleep(32 * time.Second)
		synctest.Wait()
		for i, want := range map[int]bool{0: true, 1: true, 2: false, 900: false, count - 1: true} {
			if got := a.Pair(id(i), 1, "x") == all[i]; got != want {
				t.Errorf("session %d of %d is known: %v, want %v", i, count, got, want)
			}
		}
	})
}
