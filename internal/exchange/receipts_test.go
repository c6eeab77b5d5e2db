package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// outcome writes an outcome as "confirmed | nobody | gone | open", and " lost" behind it.
func outcome(o exchange.Outcome) string {
	names := func(ids []ident.NodeID) (s string) {
		for _, id := range ids {
			s += fmt.Sprint(id[0])
		}
		return s
	}
	words := fmt.Sprintf("%s|%s|%s|%s", names(o.Confirmed), names(o.Nobody), names(o.Gone), names(o.Open))
	if len(o.Lost) > 0 {
		words += " " + names(o.Lost)
	}
	return words
}

// now returns what is known of r at this moment.
func now(t *testing.T, n *node, r *exchange.Receipts) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o, err := n.Await(ctx, r, 9)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Await: %v", err)
	}
	return outcome(o)
}

func TestAReceiptSaysWhatBecameOfAMessage(t *testing.T) {
	take := func(t *testing.T, q *mailbox.Queue) { read(t, q) }
	for _, tt := range []struct {
		name string
		wish frame.Wish
		subs int // subscriptions of the receiver
		then func(t *testing.T, q *mailbox.Queue)
		want string
	}{
		{"queued at one subscription", frame.WishQueued, 1, nil, "2|||"},
		{"queued where nobody subscribes", frame.WishQueued, 0, nil, "|2||"},
		{"to be handled where nobody subscribes", frame.WishHandled, 0, nil, "|2||"},
		{"to be handled and nobody reads", frame.WishHandled, 1, nil, "|||2"},
		{"to be handled and a reader has it", frame.WishHandled, 1, take, "|||2"},
		{"handled by one of two readers", frame.WishHandled, 2, func(t *testing.T, q *mailbox.Queue) {
			read(t, q)
			read(t, q)
		}, "|||2"},
		{"handled", frame.WishHandled, 1, func(t *testing.T, q *mailbox.Queue) {
			read(t, q)
			read(t, q)
		}, "2|||"},
		{"dropped by a subscription that ends", frame.WishHandled, 1, func(_ *testing.T, q *mailbox.Queue) {
			q.Close()
		}, "|2||"},
		{"abandoned by its reader", frame.WishHandled, 1, func(t *testing.T, q *mailbox.Queue) {
			batch, err := q.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for i := range batch {
				batch[i].Abandoned()
			}
			q.Close()
		}, "|2||"},
	} {
		for _, lane := range []frame.Lane{frame.Broadcast, frame.Direct} {
			for _, size := range []int{1, 100_000} {
				t.Run(fmt.Sprintf("%s, lane %d, %d bytes", tt.name, lane, size), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						a, b := newNode(t, 1, 0), newNode(t, 2, 0)
						w := link(t, a, b)
						var qs []*mailbox.Queue
						for range tt.subs {
							qs = append(qs, b.subscribe(mailbox.Options{}))
						}
						r := a.Receipts(tt.wish)
						m := message("a", 1, size)
						var err error
						if lane == frame.Broadcast {
							err = a.Broadcast(t.Context(), true, m, r)
						} else {
							err = a.Direct(t.Context(), b.id, m, r)
						}
						if err != nil {
							t.Fatal(err)
						}
						w.carry()
						if tt.then != nil {
							tt.then(t, qs[0])
						}
						w.carry()
						if got := now(t, a, r); got != tt.want {
							t.Errorf("confirmed|nobody|gone|open = %s, want %s", got, tt.want)
						}
					})
				})
			}
		}
	}
}

// TestWhoLeavesAnswersFirst: a receipt that nobody has sent yet is waited for.
func TestWhoLeavesAnswersFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		r := a.Receipts(frame.WishQueued)
		if err := a.Broadcast(t.Context(), true, message("a", 1, 8), r); err != nil {
			t.Fatal(err)
		}
		w.send(0)
		if b.Drained() {
			t.Error("b has drained, and has not answered")
		}
		w.carry()
		time.Sleep(time.Second)
		w.carry()
		if !b.Drained() {
			t.Error("b has answered, and not drained")
		}
	})
}

// TestWhatIsRefusedIsNotQueued: the subscription ends, and does not have the message.
func TestWhatIsRefusedIsNotQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		b.subscribe(mailbox.Options{Policy: mailbox.Fail, MessagesMax: 1})
		for i, want := range []string{"2|||", "|2||"} {
			r := a.Receipts(frame.WishQueued)
			if err := a.Broadcast(t.Context(), true, message("a", i, 8), r); err != nil {
				t.Fatal(err)
			}
			w.carry()
			if got := now(t, a, r); got != want {
				t.Errorf("message %d: %s, want %s", i, got, want)
			}
		}
	})
}

// TestReceiptsOfMessagesThatWaitTogether: runs of messages are answered together, each
// publisher hears of its own, and messages without a wish travel between them.
func TestReceiptsOfMessagesThatWaitTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		q := b.subscribe(mailbox.Options{})
		var all []*exchange.Receipts
		for i := range 5 {
			wish := frame.WishQueued
			if i == 3 {
				wish = frame.WishHandled
			}
			r := a.Receipts(wish)
			all = append(all, r)
			if err := a.Broadcast(t.Context(), true, message("a", i, 8), r); err != nil {
				t.Fatal(err)
			}
			a.publish(10+i, 10+i, 8)
		}
		w.carry()
		for i, want := range []string{"2|||", "2|||", "2|||", "|||2", "2|||"} {
			if got := now(t, a, all[i]); got != want {
				t.Errorf("message %d: %s, want %s", i, got, want)
			}
		}
		if got, want := read(t, q), "a:0 a:10 a:1 a:11 a:2 a:12 a:3 a:13 a:4 a:14"; got != want {
			t.Errorf("read %q, want %q", got, want)
		}
	})
}

// TestWhoGoesIsToldAtOnce, not when the publisher's patience ends.
func TestWhoGoesIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		link(t, a, b)
		broadcast, direct := a.Receipts(frame.WishQueued), a.Receipts(frame.WishQueued)
		if err := a.Broadcast(t.Context(), true, message("a", 1, 8), broadcast); err != nil {
			t.Fatal(err)
		}
		if err := a.Direct(t.Context(), b.id, message("a", 2, 8), direct); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { a.SetMembers(nil) })
		began := time.Now()
		for _, r := range []*exchange.Receipts{broadcast, direct} {
			o, err := a.Await(t.Context(), r, 1)
			if got := outcome(o); got != "||2|" || err != nil {
				t.Errorf("Await = %s, %v", got, err)
			}
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("told after %v, want 1s", took)
		}
	})
}

// TestNobodyWaitsForWhatWasGivenUp: a member that takes nothing loses what is published to all,
// and a session that ends what is published to it, although the member is listed.
func TestNobodyWaitsForWhatWasGivenUp(t *testing.T) {
	await := func(t *testing.T, a *node, name string, r *exchange.Receipts, want string, most time.Duration) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		o, err := a.Await(ctx, r, 9)
		if took := time.Since(began); outcome(o) != want || err != nil || took > most {
			t.Errorf("%s: %s, %v, after %v, want %s after %v at most", name, outcome(o), err, took, want, most)
		}
	}
	ask := func(t *testing.T, a, b *node, lane frame.Lane) *exchange.Receipts {
		r := a.Receipts(frame.WishHandled)
		var err error
		if lane == frame.Broadcast {
			err = a.Broadcast(t.Context(), true, message("a", 1, 8), r)
		} else {
			err = a.Direct(t.Context(), b.id, message("d", 1, 8), r)
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context())
		w := link(t, a, b)
		q := b.subscribe(mailbox.Options{})
		had := ask(t, a, b, frame.Broadcast)
		w.carry()
		time.Sleep(time.Second)
		w.carry() // and its acknowledgement
		broadcast, direct := ask(t, a, b, frame.Broadcast), ask(t, a, b, frame.Direct)
		a.publish(1, 50, 100_000) // b takes nothing, and after 2 s it is not waited for
		await(t, a, "what was given up", broadcast, "||| 2", 0)
		read(t, q)
		read(t, q)
		w.carry()
		read(t, q)
		read(t, q)
		w.carry()
		await(t, a, "what it had before", had, "2|||", 0)
		await(t, a, "what is for it alone", direct, "2|||", 0)
	})
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context())
		w := link(t, a, b)
		w.cut()
		for _, lane := range []frame.Lane{frame.Broadcast, frame.Direct} {
			r := ask(t, a, b, lane)
			await(t, a, fmt.Sprint("before the session ends, lane ", lane), r, "||| 2", 31*time.Second)
			r = ask(t, a, b, lane)
			await(t, a, fmt.Sprint("after it ended, lane ", lane), r, "||| 2", time.Second)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		b.run(t.Context()) // and a does not look after its sessions
		w := link(t, a, b)
		b.subscribe(mailbox.Options{})
		r := ask(t, a, b, frame.Broadcast)
		w.send(0)
		b.direct(a, 1, 1, 8)
		w.cut()
		time.Sleep(time.Minute)
		synctest.Wait()
		w.again()
		w.carry()
		await(t, a, "what the other end may have forgotten to answer", r, "||| 2", 0)
	})
}

// TestAReceiptThatNobodyAskedForChangesNothing: neither one of another member nor one for
// another message.
func TestAReceiptThatNobodyAskedForChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newNode(t, 1, 0), newNode(t, 2, 0), newNode(t, 3, 0)
		toB, toC := link(t, a, b), link(t, a, c)
		a.SetMembers([]*exchange.Pair{a.Pair(b.id, 1, "b"), a.Pair(c.id, 1, "c")})
		r := a.Receipts(frame.WishHandled)
		if err := a.Direct(t.Context(), b.id, message("a", 1, 8), r); err != nil {
			t.Fatal(err)
		}
		say := func(n *node, payload []byte) {
			t.Helper()
			m := message(frame.TopicReceipt, "", 0)
			m.Payload = payload
			if err := n.Direct(t.Context(), a.id, m, nil); err != nil {
				t.Fatal(err)
			}
		}
		right := frame.Receipt{Lane: frame.Direct, Verdict: frame.VerdictHandled, First: 1, Count: 1}
		all, lane, queued, later := right, right, right, right
		all.Count = 1 << 31
		lane.Lane = frame.Broadcast
		queued.Verdict = frame.VerdictQueued
		later.First = 2
		say(c, all.Append(nil))
		for _, wrong := range [][]byte{
			lane.Append(nil), queued.Append(nil), later.Append(nil), nil, {1, 1}, make([]byte, 100),
		} {
			say(b, wrong)
		}
		toC.carry()
		toB.send(1) // what b said, and before it has the message
		if got := now(t, a, r); got != "|||2" {
			t.Errorf("%s is known of a message that b has not", got)
		}
	})
}

// BenchmarkReceipt is one of several thousand publishers that wait at the same time for the
// same member.
func BenchmarkReceipt(b *testing.B) {
	x, y := newNode(b, 1, 0), newNode(b, 2, 0)
	w := link(b, x, y)
	q := y.subscribe(mailbox.Options{MessagesMax: 1 << 20})
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	for range 4096 { // that nobody reads
		if err := x.Broadcast(b.Context(), true, message("a", 1, 8), x.Receipts(frame.WishHandled)); err != nil {
			b.Fatal(err)
		}
		w.carry()
	}
	for b.Loop() {
		r := x.Receipts(frame.WishQueued)
		if err := x.Direct(b.Context(), y.id, message("a", 1, 8), r); err != nil {
			b.Fatal(err)
		}
		w.carry()
		if o, err := x.Await(ctx, r, 1); err != nil {
			b.Fatal(outcome(o), err)
		}
	}
	q.Close()
}
