package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/session"
)

// TestALargeMessageIsNotStarved: publishers of small ones, who never pause, let it in.
func TestALargeMessageIsNotStarved(t *testing.T) {
	for _, lane := range []frame.Lane{frame.Broadcast, frame.Direct} {
		t.Run(fmt.Sprint("lane ", lane), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { starve(t, lane) })
		})
	}
}

func starve(t *testing.T, lane frame.Lane) {
	a, b := newNode(t, 1, 0), newNode(t, 2, 0)
	a.run(t.Context())
	w := link(t, a, b)
	ctx, cancel := context.WithCancel(t.Context())
	publish := func(m session.Message) error {
		if lane == frame.Broadcast {
			return a.Broadcast(ctx, true, m, nil)
		}
		return a.Direct(ctx, b.id, m, nil)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range 4 {
		wg.Go(func() {
			for err := error(nil); err == nil; {
				err = publish(message("a", "small", 8<<10))
			}
		})
	}
	took := make(chan error, 1)
	wg.Go(func() {
		time.Sleep(100 * time.Millisecond)
		took <- publish(message("a", "large", 1<<20))
	})
	for range 1000 { // 64 KiB each millisecond
		time.Sleep(time.Millisecond)
		for _, raw := range w.frames(0) {
			if err := w.ends[1].pair.Receive(raw); err != nil {
				t.Fatal(err)
			}
		}
		w.send(1)
		select {
		case err := <-took:
			if err != nil {
				t.Errorf("the large message was not taken: %v", err)
			}
			return
		default:
		}
	}
	t.Error("the large message waits for a second, while small ones are taken")
}

// TestNoRoomIsKeptForWhoWentAway: a publisher of a large message who learns that the member
// is none any more holds up nobody when it returns.
func TestNoRoomIsKeptForWhoWentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		a.direct(b, 1, 4, 1000<<10)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := a.Direct(t.Context(), b.id, message("d", 5, 1000<<10), nil); !errors.Is(err, exchange.ErrNoMember) {
				t.Errorf("Direct to a member that went: %v", err)
			}
		})
		synctest.Wait()
		a.SetMembers(nil)
		wg.Wait()
		a.SetMembers([]*exchange.Pair{w.ends[0].pair})
		if err := a.TryDirect(b.id, message("d", 6, 8), nil); err != nil {
			t.Errorf("a small message, and nobody waits with a large one: %v", err)
		}
	})
}

// TestTheWriterIsWokenWhenThereIsRoom for what the exchange has to say itself: after an
// acknowledgement, and when a publisher of a large message gives up.
func TestTheWriterIsWokenWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		for _, size := range []int{1000 << 10, 1000, 0} {
			for room := true; room; {
				room = a.TryDirect(b.id, message("d", "", size), nil) == nil
			}
		}
		w.send(0)
		a.joins("workers")
		w.send(0)
		w.ends[0].woken()
		time.Sleep(time.Second)
		for _, raw := range w.frames(1) { // acknowledges all
			if err := w.ends[0].pair.Receive(raw); err != nil {
				t.Fatal(err)
			}
		}
		if w.ends[0].woken() == 0 {
			t.Error("nobody says what the groups subscribe to")
		}
		w.send(0)
		if got := groups(b, "any"); got != "workers" {
			t.Errorf("groups: %q", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		a.direct(b, 1, 4, 1000<<10)
		w.send(0)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := a.Direct(ctx, b.id, message("d", 5, 1000<<10), nil); !errors.Is(err, context.Canceled) {
				t.Errorf("Direct to a full log: %v", err)
			}
		})
		synctest.Wait()
		r := b.Receipts(frame.WishQueued)
		if err := b.Broadcast(t.Context(), true, message("a", 1, 8), r); err != nil {
			t.Fatal(err)
		}
		for _, raw := range w.frames(1)[1:] { // all but the acknowledgement
			if err := w.ends[0].pair.Receive(raw); err != nil {
				t.Fatal(err)
			}
		}
		w.send(0)
		w.ends[0].woken()
		cancel()
		wg.Wait()
		if w.ends[0].woken() == 0 {
			t.Error("nobody sends the receipt")
		}
		w.send(0)
		if got := now(t, b, r); got != "|1||" {
			t.Errorf("confirmed|nobody|gone|open = %s, want |1||", got)
		}
	})
}
