package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// asker is a node that says for whom it needs a link.
type asker struct {
	*node

	mu    sync.Mutex // guards what follows
	needs []string   // "2 1s" is node 2, a second after the node was made
	made  time.Time
}

func newAsker(t *testing.T, id byte) *asker {
	a := &asker{node: &node{t: t, id: ident.NodeID{id}}, made: time.Now()}
	a.Exchange = exchange.New(exchange.Config{
		Self: a.id, Incarnation: 1, Name: fmt.Sprint("node-", id), EventMax: 1 << 20,
		InDoubt: a.inDoubt, Need: a.need,
	})
	t.Cleanup(a.Close)
	a.run(t.Context())
	return a
}

func (a *asker) need(id ident.NodeID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.needs = append(a.needs, fmt.Sprintf("%d %v", id[0], time.Since(a.made).Round(time.Second)))
}

// asked returns what was asked for since the last call.
func (a *asker) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	needs := a.needs
	a.needs = nil
	return needs
}

// couple returns two members without a link, in virtual time.
func couple(t *testing.T, f func(t *testing.T, a, b *asker)) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newAsker(t, 1), newAsker(t, 2)
		pairs(a.node, b.node)
		f(t, a, b)
		a.Close()
		b.Close()
	})
}

// demand gives both nodes a link on demand to each other, with OPEN carried both ways.
func demand(t *testing.T, a, b *asker) *wire {
	t.Helper()
	w := &wire{t: t, ends: [2]*end{{pair: a.Pair(b.id, 1, "b")}, {pair: b.Pair(a.id, 1, "a")}}}
	for _, e := range w.ends {
		e.pair.AttachOnDemand(e)
	}
	w.carry()
	return w
}

func TestWhatWaitsAsksForALink(t *testing.T) {
	note := func(a *asker) { a.direct(&node{t: a.t, id: ident.NodeID{2}}, 1, 3, 0) }
	tests := []struct {
		name string
		say  func(a *asker)
		want []string
	}{
		{"nothing", func(*asker) {}, nil},
		{"a broadcast", func(a *asker) { a.publish(1, 3, 0) }, nil},
		{"direct messages", note, []string{"2 0s", "2 1s", "2 2s"}},
		{"a call", func(a *asker) {
			ctx, cancel := context.WithTimeout(a.t.Context(), 3*time.Second)
			var wg sync.WaitGroup
			wg.Go(func() {
				// Node 2 answers that it serves no such method.
				if _, err := a.Call(ctx, ident.NodeID{2}, exchange.Request{Method: "m"}); err != nil {
					a.t.Errorf("Call: %v", err)
				}
			})
			a.t.Cleanup(func() { cancel(); wg.Wait() })
		}, []string{"2 0s", "2 1s", "2 2s"}},
		{"interests of a group", func(a *asker) {
			a.subscribe(mailbox.Options{Group: "g"})
		}, []string{"2 0s", "2 1s", "2 2s"}},
		{"a question for what is kept", func(a *asker) {
			if _, err := a.SubscribeReplay(">", mailbox.Options{}); err != nil {
				a.t.Fatal(err)
			}
		}, []string{"2 0s", "2 1s", "2 2s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			couple(t, func(t *testing.T, a, b *asker) {
				tt.say(a)
				time.Sleep(2500 * time.Millisecond)
				if got := a.asked(); !slices.Equal(got, tt.want) {
					t.Errorf("asked for %q, want %q", got, tt.want)
				}
				w := demand(t, a, b)
				time.Sleep(time.Second)
				w.carry()
				w.cut()
				time.Sleep(10 * time.Second)
				if got := append(a.asked(), b.asked()...); len(got) > 0 {
					t.Errorf("asked for %q when all was said", got)
				}
			})
		})
	}
}

func TestALinkOnDemandCarriesWhatTheTwoSay(t *testing.T) {
	couple(t, func(t *testing.T, a, b *asker) {
		q := b.subscribe(mailbox.Options{})
		a.direct(b.node, 1, 2, 0)
		w := demand(t, a, b)
		a.publish(1, 3, 0)
		a.direct(b.node, 3, 3, 0)
		w.carry()
		if got, want := read(t, q), "d:1 d:2 d:3"; got != want {
			t.Errorf("came %q, want %q", got, want)
		}
		if got := a.Unlinked(); got != 1 {
			t.Errorf("%d members without a link of peers, want 1", got)
		}
		w.cut()
		link(t, a.node, b.node) // the two become peers
		a.publish(4, 4, 0)
		if got := read(t, q); got != "" {
			t.Errorf("came %q before it was carried", got)
		}
	})
}

func TestBroadcastsOnALinkOnDemandAreABreach(t *testing.T) {
	couple(t, func(t *testing.T, a, b *asker) {
		peers := link(t, a.node, newNode(t, 3, 0))
		a.publish(1, 1, 0)
		events := peers.frames(0)
		peers.cut()
		pairs(a.node, b.node)
		w := demand(t, a, b)
		for _, f := range []frame.Frame{
			frame.Acked{Lane: frame.Broadcast, Number: 1},
			frame.Pull{Origin: a.id, Incarnation: 1, First: 1, Last: 1},
		} {
			raw, _, err := frame.Next(f.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, raw)
		}
		for _, raw := range events {
			if err := w.ends[1].pair.Receive(raw); !errors.Is(err, exchange.ErrBreach) {
				t.Errorf("%v on a link on demand: %v, want a breach", raw.Type, err)
			}
		}
		if len(events) != 3 {
			t.Errorf("%d frames were tried, want 3", len(events))
		}
		w.cut()
	})
}

// TestABroadcastIsAcknowledgedToAPeer: not over a link on demand, which does not know of it.
func TestABroadcastIsAcknowledgedToAPeer(t *testing.T) {
	couple(t, func(t *testing.T, a, b *asker) {
		b.subscribe(mailbox.Options{})
		w := link(t, a.node, b.node)
		a.publish(1, 1, 0)
		w.send(0)
		w.cut() // before the acknowledgement
		w = demand(t, a, b)
		for range 10 {
			time.Sleep(50 * time.Millisecond)
			w.carry()
		}
		if n := w.ends[1].woken(); n > 20 {
			t.Errorf("the writer was woken %d times for nothing to say", n)
		}
		w.cut()
		w = link(t, a.node, b.node)
		time.Sleep(time.Second)
		w.carry()
		if queues, _ := a.Figures(); queues["broadcast_bytes"] != 0 {
			t.Errorf("%d bytes are not acknowledged", queues["broadcast_bytes"])
		}
		w.cut()
	})
}

// TestALinkThatBreaksIsAskedForAgain at once, if something still waits.
func TestALinkThatBreaksIsAskedForAgain(t *testing.T) {
	couple(t, func(t *testing.T, a, b *asker) {
		w := demand(t, a, b)
		a.direct(b.node, 1, 1, 0)
		w.cut()
		if got, want := a.asked(), []string{"2 0s"}; !slices.Equal(got, want) {
			t.Errorf("asked for %q, want %q", got, want)
		}
		if got := b.asked(); len(got) > 0 {
			t.Errorf("the other end asked for %q, want nothing", got)
		}
	})
}

func TestASessionSleepsWithoutALink(t *testing.T) {
	couple(t, func(t *testing.T, a, b *asker) {
		q := b.subscribe(mailbox.Options{})
		for round := range 3 {
			a.direct(b.node, 2*round+1, 2*round+2, 0)
			w := demand(t, a, b)
			time.Sleep(time.Second)
			w.carry()
			w.cut()
			time.Sleep(time.Minute)
		}
		if got, want := read(t, q), "d:1 d:2 d:3 d:4 d:5 d:6"; got != want {
			t.Errorf("came %q, want %q", got, want)
		}
		if got := a.doubts() + b.doubts(); got != "" {
			t.Errorf("in doubt: %q, want none", got)
		}
	})
}

func TestWhatWaitsTooLongIsInDoubt(t *testing.T) {
	couple(t, func(t *testing.T, a, b *asker) {
		q := b.subscribe(mailbox.Options{})
		a.direct(b.node, 1, 3, 0)
		time.Sleep(32 * time.Second)
		if got, want := a.doubts(), "2/1: 3"; got != want {
			t.Errorf("in doubt: %q, want %q", got, want)
		}
		a.direct(b.node, 4, 4, 0)
		demand(t, a, b)
		if got, want := read(t, q), "d:4"; got != want {
			t.Errorf("came %q, want %q", got, want)
		}
	})
}

// TestBroadcastsAreNotKeptForWhoIsNoPeer: a link on demand must not keep them.
func TestBroadcastsAreNotKeptForWhoIsNoPeer(t *testing.T) {
	couple(t, func(t *testing.T, a, b *asker) {
		w := link(t, a.node, b.node)
		w.cut()
		a.publish(1, 100, 1000)
		w = demand(t, a, b)
		time.Sleep(32 * time.Second)
		w.carry()
		if queues, _ := a.Figures(); queues["broadcast_bytes"] != 0 {
			t.Errorf("%d bytes are kept, want none", queues["broadcast_bytes"])
		}
		w.cut()
	})
}

// TestDirectMessagesInOrder: over links of both kinds that break at any time, each once.
func TestDirectMessagesInOrder(t *testing.T) {
	couple(t, func(t *testing.T, a, b *asker) {
		q := b.subscribe(mailbox.Options{MessagesMax: 1 << 20})
		var want []string
		for i := 1; i <= 100; i++ {
			a.direct(b.node, i, i, 0)
			want = append(want, fmt.Sprint("d:", i))
			w := connect(t, a.node, b.node)
			if i%2 == 0 {
				w.cut()
				w = demand(t, a, b)
			}
			for range i % 5 {
				w.send(i % 2)
				w.send(1 - i%2)
			}
			w.cut()
		}
		demand(t, a, b)
		if got, want := read(t, q), fmt.Sprint(want); "["+got+"]" != want {
			t.Errorf("came %q, want %q", got, want)
		}
	})
}
