package mailbox_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

func TestNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := mailbox.New(func() {})
		q := subscribe(t, box, "a", mailbox.Options{})
		s := newSender(box, 1, frame.Broadcast)
		began := time.Now()
		time.AfterFunc(time.Second, func() { s.send("a", 3) })
		batch, err := q.Next(t.Context())
		if len(batch) != 1 || err != nil || time.Since(began) != time.Second {
			t.Errorf("Next = %v, %v after %v; want a run after 1s", batch, err, time.Since(began))
		}
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		if batch, err = q.Next(ctx); batch != nil || !errors.Is(err, cause) {
			t.Errorf("Next = %v, %v; want %v", batch, err, cause)
		}
		time.AfterFunc(time.Second, q.Close)
		if batch, err = q.Next(t.Context()); len(batch) != 0 || !errors.Is(err, mailbox.ErrClosed) {
			t.Errorf("Next = %v, %v; want ErrClosed", batch, err)
		}
	})
}

func TestCloseOfTheBoxLetsReadersFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := mailbox.New(func() {})
		q, idle := subscribe(t, box, "a", mailbox.Options{}), subscribe(t, box, "b", mailbox.Options{})
		s := newSender(box, 1, frame.Broadcast)
		s.send("a", 1)
		time.AfterFunc(time.Second, box.Close)
		if _, err := idle.Next(t.Context()); !errors.Is(err, mailbox.ErrClosed) {
			t.Errorf("Next = %v, want ErrClosed", err)
		}
		if n := s.send("a", 1); n != 0 {
			t.Errorf("Deliver after Close reached %d queues", n)
		}
		box.Lost(mailbox.Loss{From: s.id, Count: 1})
		if got := next(t, q) + " | " + next(t, q); got != "a1:1 | "+mailbox.ErrClosed.Error() {
			t.Errorf("Next = %q", got)
		}
		if _, err := box.Subscribe("a", mailbox.Options{}); !errors.Is(err, mailbox.ErrClosed) {
			t.Errorf("Subscribe = %v, want ErrClosed", err)
		}
	})
}

// TestManySendersAndReaders runs under the race detector: each message is counted once,
// as delivered or as lost, in the order of its sender, and every run is released.
func TestManySendersAndReaders(t *testing.T) {
	const senders, runs, each = 4, 300, 7
	box := mailbox.New(func() {})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var readers, writers sync.WaitGroup
	for _, policy := range []mailbox.Policy{mailbox.Block, mailbox.DropOldest, mailbox.Auto} {
		q := subscribe(t, box, "a", mailbox.Options{MessagesMax: 20, Policy: policy})
		readers.Go(func() {
			defer q.Close()
			at := map[ident.NodeID]ident.Seq{}
			for total := 0; total < senders*runs*each; {
				batch, err := q.Next(ctx)
				if err != nil {
					t.Errorf("policy %d: Next: %v after %d messages", policy, err, total)
					return
				}
				for _, e := range batch {
					total += e.Count + int(e.Lost.Count)
					if e.Count > 0 && e.First <= at[e.From] {
						t.Errorf("policy %d: run %d after %d", policy, e.First, at[e.From])
					}
					if e.Count > 0 {
						at[e.From] = e.First + ident.Seq(e.Count) - 1
						q.Reuse(e.Data)
					}
				}
			}
		})
	}
	all := make([]*sender, senders)
	for i := range all {
		all[i] = newSender(box, byte(i), frame.Lane(i%frame.Lanes))
		writers.Go(func() {
			for range runs {
				all[i].send("a", each)
			}
		})
	}
	writers.Go(func() {
		for range 100 {
			subscribe(t, box, ">", mailbox.Options{Policy: mailbox.Block, MessagesMax: 1}).Close()
		}
	})
	writers.Wait()
	readers.Wait()
	for i, s := range all {
		got := s.take()
		slices.Sort(got)
		if len(got) != runs || len(slices.Compact(got)) != runs {
			t.Errorf("sender %d: %d releases, want %d, each once", i, len(got), runs)
		}
	}
}

// TestWhatAQueueRefusesIsNotInIt: a full queue of the policy Fail ends, and the others count.
func TestWhatAQueueRefusesIsNotInIt(t *testing.T) {
	box := mailbox.New(func() {})
	s := newSender(box, 1, frame.Broadcast)
	q := subscribe(t, box, "a", mailbox.Options{Policy: mailbox.Fail, MessagesMax: 2})
	for i, want := range []int{1, 0, 0} {
		if got := s.send("a", 2); got != want {
			t.Errorf("run %d of two messages is in %d queues with room for two, want %d", i, got, want)
		}
	}
	if got, want := next(t, q), "a1:1-2 a1:-2"; got != want {
		t.Errorf("Next = %q, want %q", got, want)
	}
	subscribe(t, box, "a", mailbox.Options{Policy: mailbox.Fail, MessagesMax: 2})
	subscribe(t, box, "a", mailbox.Options{})
	if got := s.send("a", 3); got != 1 {
		t.Errorf("a run of three is in %d queues, one of which has room, want 1", got)
	}
}

// TestStagesTakeNoRoom: whoever replays leaves the room of the queue to messages.
func TestStagesTakeNoRoom(t *testing.T) {
	box := mailbox.New(func() {})
	s := newSender(box, 1, frame.Direct)
	q := subscribe(t, box, "a", mailbox.Options{Policy: mailbox.Fail, MessagesMax: 2, BytesMax: 10})
	for i := range 5 {
		q.Enter(mailbox.Origin{ID: ident.NodeID{byte(i)}}, mailbox.StageOpening)
	}
	if got := s.send("a", 2); got != 1 { // more bytes than the limit, for otherwise it never would fit
		t.Errorf("two messages are in %d queues with room for two", got)
	}
	if got := q.Len(); got != 2 {
		t.Errorf("%d messages wait, want 2", got)
	}
}
