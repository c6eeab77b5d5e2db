package exchange_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// TestASessionEndsAfterThirtySecondsWithoutALink: the sender learns how many messages are
// in doubt, the receiver that some may be missing; should they meet again, it learns the
// exact number, and nothing of the old session comes.
func TestASessionEndsAfterThirtySecondsWithoutALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context())
		b.run(t.Context())
		q := b.subscribe(mailbox.Options{})
		w := link(t, a, b)
		a.publish(1, 2, 8)
		w.carry()
		time.Sleep(time.Second)
		w.carry() // the acknowledgements
		a.publish(3, 3, 8)
		time.Sleep(time.Hour) // a link that carries nothing is one, too
		synctest.Wait()
		w.carry()
		time.Sleep(time.Second)
		w.carry()
		w.cut()
		a.publish(4, 5, 8)
		a.publish(6, 6, 100_000) // in pieces, and one message all the same
		a.direct(b, 1, 2, 8)
		time.Sleep(29 * time.Second)
		if got := a.doubts(); got != "" {
			t.Errorf("after 29s in doubt: %s", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got, want := a.doubts(), "2/1: 5"; got != want {
			t.Errorf("after 31s in doubt: %q, want %q", got, want)
		}
		if got, want := read(t, q), "a:1 a:2 a:3 -0+"; got != want {
			t.Errorf("read %q, want %q", got, want)
		}
		a.publish(7, 8, 8) // nobody is there to keep it for
		a.direct(b, 3, 3, 8)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := a.doubts(), "2/1: 1"; got != want {
			t.Errorf("of what was sent to it alone later in doubt: %q, want %q", got, want)
		}
		if got := read(t, q); got != "" {
			t.Errorf("read %q while nothing happens", got)
		}
		w = link(t, a, b)
		a.publish(9, 9, 8)
		a.direct(b, 4, 4, 8)
		w.carry()
		if got, want := read(t, q), "-5 -3 d:4 a:9"; got != want {
			t.Errorf("read %q after the return, want %q", got, want)
		}
		if a.held() == 0 {
			t.Error("nothing is held for the acknowledgement of the last message")
		}
		time.Sleep(time.Second)
		w.carry()
		if a.held() != 0 || !a.Drained() {
			t.Errorf("%d bytes are held, drained: %v", a.held(), a.Drained())
		}
	})
}

// TestALinkWithinThirtySecondsGoesOn: nothing is lost nor in doubt.
func TestALinkWithinThirtySecondsGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context())
		q := b.subscribe(mailbox.Options{})
		w := link(t, a, b)
		var want []string
		for i := range 5 {
			a.publish(i, i, 8)
			want = append(want, fmt.Sprint("a:", i))
			w.cut()
			time.Sleep(29 * time.Second)
			w = link(t, a, b)
		}
		w.carry()
		if got := read(t, q); got != strings.Join(want, " ") || a.doubts() != "" {
			t.Errorf("read %q, want %q", got, want)
		}
	})
}

// TestAGoodbyeEndsTheSessionAtOnce, and the receiver is not told that something may be
// missing.
func TestAGoodbyeEndsTheSessionAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context())
		q := a.subscribe(mailbox.Options{})
		w := link(t, a, b)
		b.publish(1, 1, 8)
		w.carry()
		a.direct(b, 1, 3, 8)
		w.cut()
		a.End(b.id, 1)
		a.End(b.id, 2) // nobody
		if got, want := a.doubts(), "2/1: 3"; got != want {
			t.Errorf("in doubt: %q, want %q", got, want)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := read(t, q); got != "a:1" || a.doubts() != "" || a.held() != 0 {
			t.Errorf("read %q with %d bytes held, want a:1 alone", got, a.held())
		}
	})
}

// TestANewIncarnationEndsTheOldSession (C04): what was on its way to the former one is in
// doubt, and the new one gets none of it.
func TestANewIncarnationEndsTheOldSession(t *testing.T) {
	a, b := newNode(t, 1, 0), newNode(t, 2, 0)
	w := link(t, a, b)
	a.publish(1, 2, 8)
	a.direct(b, 1, 2, 8)
	w.frames(0) // lost on the way
	w.cut()
	reborn := a.Pair(b.id, 2, "b")
	a.Supersede(b.id, 2)
	a.SetMembers([]*exchange.Pair{reborn})
	if got, want := a.doubts(), "2/1: 4"; got != want {
		t.Errorf("in doubt: %q, want %q", got, want)
	}
	b2 := newNode(t, 2, 0)
	q := b2.subscribe(mailbox.Options{})
	w2 := &wire{t: t, ends: [2]*end{{pair: reborn}, {pair: b2.Pair(a.id, 1, "a")}}}
	b2.SetMembers([]*exchange.Pair{w2.ends[1].pair})
	for _, e := range w2.ends {
		e.pair.Attach(e)
	}
	a.publish(3, 3, 8)
	a.direct(b, 3, 3, 8)
	w2.carry()
	if got, want := read(t, q), "d:3 a:3"; got != want {
		t.Errorf("the new incarnation reads %q, want %q", got, want)
	}
}

func TestCloseTellsWhatIsInDoubt(t *testing.T) {
	a, b := newNode(t, 1, 0), newNode(t, 2, 0)
	link(t, a, b)
	a.publish(1, 3, 8)
	a.Close()
	a.Close()
	if got, want := a.doubts(), "2/1: 3"; got != want {
		t.Errorf("in doubt: %q, want %q", got, want)
	}
}

// TestTheLimitsOfBothEndsHold (C21): a message above the receiver's EventMax is one lost
// message there, however it came, and those around it arrive in order.
func TestTheLimitsOfBothEndsHold(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit int
		sizes []int
		want  string
	}{
		{"whole messages", 1000, []int{999, 1000, 1001, 5, 2000, 2000, 7}, "1:0 2:1 -1 4:3 -2 7:6"},
		{"the last ones of a run", 1000, []int{10, 2000}, "1:0 -1"},
		{"all of a run", 1000, []int{2000, 2000}, "-2"},
		{"messages in pieces", 100_000, []int{100_000, 100_001, 10, 300_000, 10}, "1:0 -1 3:2 -1 5:4"},
		{"a last piece too many", 64_512, []int{64_512, 64_513, 10}, "1:0 -1 3:2"},
		{"empty messages", 1, []int{0, 1, 2, 0}, "1: 2:1 -1 4:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newNode(t, 1, 0), newNode(t, 2, tt.limit)
			q := b.subscribe(mailbox.Options{})
			w := link(t, a, b)
			for i, size := range tt.sizes {
				m := message("a", i, size)
				m.Payload = m.Payload[:size] // also where the number needs more
				if err := a.Broadcast(t.Context(), false, m, nil); err != nil {
					t.Fatal(err)
				}
			}
			w.carry()
			if got := numbered(t, q); got != tt.want {
				t.Errorf("read %q, want %q", got, tt.want)
			}
		})
	}
}

// numbered is read with the number of each message in place of its topic.
func numbered(t *testing.T, q *mailbox.Queue) string {
	t.Helper()
	batch, err := q.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, e := range batch {
		if e.Count == 0 {
			words = append(words, fmt.Sprint("-", e.Lost.Count))
		}
		for run := e.Data; len(run) > 0; e.First++ {
			var p []byte
			p, run = frame.NextPayload(run)
			words = append(words, fmt.Sprintf("%d:%s", e.First, bytes.TrimRight(p, " ")))
		}
	}
	return strings.Join(words, " ")
}

// TestALostRestOfATooLargeMessage: the end of a message that is passed over is lost, too,
// and what follows the loss is not.
func TestALostRestOfATooLargeMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 100_000)
		a.run(t.Context())
		q := b.subscribe(mailbox.Options{})
		w := link(t, a, b)
		a.publish(1, 1, 1_000_000)
		raws := w.frames(0)
		for range 40 {
			raws = append(raws, w.frames(0)...)
		}
		for _, raw := range raws[:10] { // 32 come
			if err := w.ends[1].pair.Receive(raw); err != nil {
				t.Fatal(err)
			}
		}
		w.cut()
		time.Sleep(time.Minute) // the session ends
		w = link(t, a, b)
		a.publish(2, 3, 8)
		w.carry()
		if got, want := read(t, q), "-1 a:2 a:3"; got != want {
			t.Errorf("read %q, want %q", got, want)
		}
	})
}

// TestAMemberThatTakesNothingIsPassedOver: it holds the others up for two seconds, once,
// and learns the exact number of messages that it missed (C11).
func TestAMemberThatTakesNothingIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newNode(t, 1, 0), newNode(t, 2, 0), newNode(t, 3, 0)
		a.run(t.Context())
		q, other := b.subscribe(mailbox.Options{Policy: mailbox.Block}), c.subscribe(mailbox.Options{})
		slow := link(t, a, b)
		fast := link(t, a, c)
		began := time.Now()
		got, lost := 0, 0
		const count, size = 2000, 10_000 // 20 MB through a log of 4
		for i := range count {
			if i%100 == 0 {
				synctest.Wait() // the node itself takes its own
				fast.carry()
				got += len(strings.Fields(read(t, other)))
				fast.carry()
			}
			a.publish(i, i, size)
		}
		if took := time.Since(began); took < 2*time.Second || took > 2*time.Second+100*time.Millisecond {
			t.Errorf("the publisher was held up for %v, want 2s once", took)
		}
		fast.carry()
		if got += len(strings.Fields(read(t, other))); got != count {
			t.Errorf("the other member got %d messages of %d", got, count)
		}
		next := 0
		for next < count {
			slow.carry()
			words := strings.Fields(read(t, q))
			if len(words) == 0 {
				t.Fatalf("after message %d nothing comes", next)
			}
			for _, word := range words {
				var n int
				if _, err := fmt.Sscanf(word, "a:%d", &n); err == nil {
					if n != next {
						t.Fatalf("message %d comes, want %d after %d lost", n, next, lost)
					}
					next++
					continue
				}
				if _, err := fmt.Sscanf(word, "-%d", &n); err != nil {
					t.Fatalf("read %q", word)
				}
				next, lost = next+n, lost+n
			}
		}
		_, dropped := a.Figures()
		if lost == 0 || dropped["stalled"] < uint64(lost) {
			t.Errorf("%d were lost, and the sender counted %v", lost, dropped)
		}
	})
}

func TestPublishersWaitForRoom(t *testing.T) {
	cause := errors.New("gave up")
	for _, tt := range []struct {
		name string
		end  func(a *node, w *wire, cancel context.CancelCauseFunc)
		want error
	}{
		{"until it is there", func(_ *node, w *wire, _ context.CancelCauseFunc) { w.carry() }, nil},
		{"until the context ends", func(_ *node, _ *wire, cancel context.CancelCauseFunc) { cancel(cause) }, cause},
		{"until the node ends", func(a *node, _ *wire, _ context.CancelCauseFunc) { a.Close() }, exchange.ErrClosed},
		{"until the member is gone", func(a *node, _ *wire, _ context.CancelCauseFunc) { a.SetMembers(nil) }, exchange.ErrNoMember},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newNode(t, 1, 0), newNode(t, 2, 0)
				b.subscribe(mailbox.Options{})
				w := link(t, a, b)
				a.direct(b, 1, 4, 1_000_000)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				done := make(chan error, 1)
				go func() { done <- a.Direct(ctx, b.id, message("d", 5, 1_000_000), nil) }()
				time.Sleep(time.Hour + 300*time.Millisecond)
				select {
				case err := <-done:
					t.Fatalf("Direct with a full log = %v at once", err)
				default:
				}
				began := time.Now()
				tt.end(a, w, cancel)
				if tt.want == nil {
					time.Sleep(20 * time.Millisecond) // for the acknowledgement
					w.carry()
				}
				if err := <-done; !errors.Is(err, tt.want) {
					t.Errorf("Direct = %v, want %v", err, tt.want)
				}
				if took := time.Since(began); took > 700*time.Millisecond || tt.want == nil && took > 50*time.Millisecond {
					t.Errorf("Direct returned after %v", took)
				}
			})
		})
	}
}

func TestOnlyMembersCanBeNamed(t *testing.T) {
	a := newNode(t, 1, 0)
	if err := a.Direct(t.Context(), ident.NodeID{9}, message("d", 1, 1), nil); !errors.Is(err, exchange.ErrNoMember) {
		t.Errorf("Direct to a stranger = %v, want ErrNoMember", err)
	}
	a.Close()
	for _, err := range []error{
		a.Direct(t.Context(), a.id, message("d", 1, 1), nil),
		a.Broadcast(t.Context(), false, message("d", 1, 1), nil),
	} {
		if !errors.Is(err, exchange.ErrClosed) {
			t.Errorf("after Close: %v, want ErrClosed", err)
		}
	}
}

// TestANodeReachesItself through the same queue and order, unless the message is for the
// others.
func TestANodeReachesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newNode(t, 1, 0)
		q := a.subscribe(mailbox.Options{})
		a.run(t.Context())
		a.publish(1, 2, 8)
		if err := a.Broadcast(t.Context(), true, message("a", 3, 8), nil); err != nil {
			t.Fatal(err)
		}
		a.publish(4, 4, 200_000)
		a.direct(a, 1, 1, 8)
		synctest.Wait()
		got := strings.Fields(read(t, q))
		if !strings.Contains(strings.Join(got, " "), "a:1 a:2") || len(got) != 4 {
			t.Errorf("read %v, want a:1, a:2, a:4 and d:1", got)
		}
	})
}

// TestRunEndsUnderLoad: a publisher that never pauses does not keep the node from ending.
func TestRunEndsUnderLoad(t *testing.T) {
	a := newNode(t, 1, 0)
	q := a.subscribe(mailbox.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- a.Run(ctx) }()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		var err error
		for err == nil {
			err = a.Broadcast(t.Context(), false, message("a", 1, 100), nil)
		}
	}()
	for range 100 {
		if _, err := q.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("Run = %v", err)
	}
	a.Close()
	<-stopped
}

// A link is back after its session ended, before this node heard from anybody that its peer had
// published anything. What the session does not bring any more others have.
func TestWhatASessionLostOthersHave(t *testing.T) {
	bubble(t, 4, func(m *mesh) {
		m.list(all, always)
		for _, link := range [][2]int{{0, 1}, {1, 2}, {2, 3}, {0, 3}} {
			m.connect(link[0], link[1])
		}
		time.Sleep(time.Second)
		m.cut(2, 3)
		m.cut(0, 3)
		time.Sleep(time.Second)
		m.stations[0].say(100, 100)
		time.Sleep(35 * time.Second)
		m.connect(0, 3)
		time.Sleep(time.Second)
		m.connect(2, 3)
		time.Sleep(time.Second)
		m.stations[0].say(1, 100)
		time.Sleep(5 * time.Second)
		m.check(nil)
	})
}

// A node that was listed all the time has its first link with an origin in the middle of what the
// origin publishes, and of which the node has heard nothing. The beginning is repaired.
func TestWhatWasThereBeforeTheFirstLinkIsRepaired(t *testing.T) {
	bubble(t, 4, func(m *mesh) {
		m.list(all, always)
		m.connect(0, 2)
		m.connect(1, 3)
		time.Sleep(time.Second)
		m.stations[0].say(1000, 1000)
		time.Sleep(time.Second)
		m.connect(0, 1)
		for range 50 {
			m.stations[0].say(10, 1000)
			time.Sleep(hop / 5)
		}
		time.Sleep(5 * time.Second)
		m.check(nil)
	})
}

// Who said nothing but what exchanges tell each other, of groups and receipts, has published
// nothing of which something could be missing.
func TestNothingIsMissingOfWhoNeverPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context())
		b.run(t.Context())
		q := a.subscribe(mailbox.Options{})
		w := link(t, a, b)
		b.joins("workers")
		b.subscribe(mailbox.Options{})
		if err := a.Broadcast(t.Context(), true, message("a", 1, 8), a.Receipts(frame.WishQueued)); err != nil {
			t.Fatal(err)
		}
		w.carry()
		time.Sleep(time.Second)
		w.carry()
		w.cut()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := read(t, q); got != "" {
			t.Errorf("read %q, want nothing", got)
		}
	})
}
