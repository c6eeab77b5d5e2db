package exchange_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/session"
)

// TestWhoIsNotListedIsAskedToo: a link carries messages a moment before the owner lists who
// is at its other end, and who left the list may be back before its session ends.
func TestWhoIsNotListedIsAskedToo(t *testing.T) {
	for _, tt := range []struct{ name, steps string }{
		{"the list changes before the member is on it", "ask meet none list"},
		{"the subscription comes before the member is listed", "open ask list"},
		{"the subscription comes while the member is away", "open list cut none ask open list"},
		{"the subscription comes while a listed member has no link", "open list cut ask open"},
		{"the member goes before it answers", "open list ask cut none open list"},
		{"the member goes with its answer on the way", "open list ask question cut none open list"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newNode(t, 1, 0), newNode(t, 2, 0)
				a.Keep("a", exchange.Keep{Last: 10})
				a.publish(1, 1, 8)
				ab, ba := a.Pair(b.id, 1, "b"), b.Pair(a.id, 1, "a")
				a.SetMembers([]*exchange.Pair{ab})
				w := &wire{t: t, ends: [2]*end{{pair: ab}, {pair: ba}}}
				var f *follower
				for step := range strings.FieldsSeq(tt.steps) {
					switch step {
					case "ask":
						f = b.late("a")
					case "question":
						w.send(1)
					case "meet": // and the question is on its way
						for _, e := range w.ends {
							e.pair.Attach(e)
						}
						w.send(0)
					case "open":
						for _, e := range w.ends {
							e.pair.Attach(e)
						}
						w.carry()
					case "cut":
						w.cut()
					case "list":
						b.SetMembers([]*exchange.Pair{ba})
					case "none":
						b.SetMembers(nil)
					}
				}
				w.carry()
				a.publish(2, 2, 8)
				w.carry()
				f.expect(t, " past/a:1#1 a:2#2")
			})
		})
	}
}

// TestWhoEndedIsNotAskedFor: a subscription that ended costs no member an answer.
func TestWhoEndedIsNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		b.run(t.Context())
		a.Keep("a", exchange.Keep{Last: 10})
		a.publish(1, 10, 10_000)
		ab, ba := pairs(a, b)
		b.late("a").q.Close()
		time.Sleep(2 * time.Second)
		w := &wire{t: t, ends: [2]*end{{pair: ab}, {pair: ba}}}
		for _, e := range w.ends {
			e.pair.Attach(e)
		}
		if got := w.send(0) + w.send(1) + w.send(0); got > 1000 {
			t.Errorf("%d bytes come for a subscription that ended", got)
		}
	})
}

// TestAnIncarnationEndsItsOwnAnswerAlone: when the former one of a node is gone, the past of
// the present one still comes before its news.
func TestAnIncarnationEndsItsOwnAnswerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		former, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, former, b)
		f := b.late("a")
		former.publish(1, 5, 8)
		w.send(0)
		w.cut() // it has not answered

		a := newNode(t, 1, 0)
		a.Keep("a", exchange.Keep{Last: 10})
		a.publish(1, 6, 8)
		ab, ba := a.Pair(b.id, 1, "b"), b.Pair(a.id, 2, "a")
		a.SetMembers([]*exchange.Pair{ab})
		w = &wire{t: t, ends: [2]*end{{pair: ab}, {pair: ba}}}
		for _, e := range w.ends {
			e.pair.Attach(e)
		}
		w.send(0)
		b.SetMembers([]*exchange.Pair{ba})
		b.Supersede(a.id, 2)
		for i, raw := range w.frames(1) { // OPEN, and the question
			if err := ab.Receive(raw); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				a.publish(7, 7, 8)
				w.send(0)
			}
		}
		w.carry()
		want := " a:1#1 a:2#2 a:3#3 a:4#4 a:5#5" +
			" past/a:1#1 past/a:2#2 past/a:3#3 past/a:4#4 past/a:5#5 past/a:6#6 -0 a:7#7"
		f.expect(t, want)
	})
}

// TestOnlyWhatWasAskedForIsReplayed: not what the subscription would not get of the news, nor
// what a member answers to another question.
func TestOnlyWhatWasAskedForIsReplayed(t *testing.T) {
	for _, tt := range []struct {
		name, pattern string
		o             mailbox.Options
		want          string
	}{
		{"all", "a", mailbox.Options{}, " past/a:1#1"},
		{"from nobody", "a", mailbox.Options{From: from(9)}, ""},
		{"from the member", "a", mailbox.Options{From: from(1)}, " past/a:1#1"},
		{"no broadcasts", "a", mailbox.Options{DirectOnly: true}, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := newNode(t, 1, 0), newNode(t, 2, 0)
			a.Keep("a", exchange.Keep{Last: 10})
			a.publish(1, 1, 8)
			w := link(t, a, b)
			q, err := b.SubscribeReplay(tt.pattern, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			w.carry()
			f := follower{q: q}
			if got := f.read(t); got != tt.want {
				t.Errorf("%s: read%s, want%s", tt.name, got, tt.want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		f := b.late("orders.*")
		for i, topic := range []string{"orders.paid", "secrets", "orders.paid.late"} {
			m := message(topic, i, 8)
			m.Past = &frame.Past{Question: 1, Number: 1}
			if err := a.Direct(t.Context(), b.id, m, nil); err != nil {
				t.Fatal(err)
			}
		}
		w.carry()
		f.expect(t, " past/orders.paid:0#1")
		w.cut() // which panics if anything was released twice, and not at all
		w.again()
		w.carry()
		if a.held() != 0 {
			t.Errorf("%d bytes are not acknowledged", a.held())
		}
	})
}

// TestAnAnswerComesToItsEnd, however much is kept and however much is asked at once.
func TestAnAnswerComesToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		for _, topic := range []string{"a", "b"} {
			a.Keep(topic, exchange.Keep{Last: exchange.KeptMax})
			for range exchange.KeptMax {
				if err := a.Broadcast(t.Context(), false, message(topic, "", 0), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		w := link(t, a, b)
		all := []*follower{b.late(">"), b.late(">")}
		past := make([]int, len(all))
		for range 400 {
			w.carry()
			for i, f := range all {
				past[i] += strings.Count(f.read(t), "past")
			}
			time.Sleep(time.Second)
		}
		a.publish(0, 0, 8)
		w.carry()
		for i, f := range all {
			if want := 2 * exchange.KeptMax; past[i] != want {
				t.Errorf("subscription %d: %d were replayed, want %d", i, past[i], want)
			}
			if got := f.read(t); !strings.HasPrefix(got, " a:0#") {
				t.Errorf("subscription %d then read%s", i, got)
			}
		}
	})
}

// TestWhoIsGoneIsOwedNoAnswer: what was not replayed when the session ended is not kept for
// the node's return, which asks again.
func TestWhoIsGoneIsOwedNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context())
		b.run(t.Context())
		a.Keep("a", exchange.Keep{Last: 100})
		a.publish(1, 100, 100_000)
		w := link(t, a, b)
		f := b.late("a")
		w.send(1)
		w.cut()
		time.Sleep(time.Minute)
		synctest.Wait()
		w = connect(t, a, b)
		sent, got := 0, 0
		for range 20 {
			sent += w.send(0) + w.send(1)
			got += strings.Count(f.read(t), "past")
			time.Sleep(time.Second)
		}
		if got != 100 {
			t.Errorf("%d were replayed, want 100", got)
		}
		if limit := 11_000_000; sent > limit {
			t.Errorf("100 messages of 100,000 bytes took %d bytes, want %d at most", sent, limit)
		}
	})
}

// TestASessionThatEndedAtOneEndIsAskedAnew: the clocks of the two ends are two.
func TestASessionThatEndedAtOneEndIsAskedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context()) // and b does not look after its sessions
		a.Keep("a", exchange.Keep{Last: 100})
		a.publish(1, 1, 8)
		w := link(t, a, b)
		f := b.late("a")
		w.send(1)
		w.cut()
		time.Sleep(time.Minute)
		synctest.Wait()
		w.again()
		w.carry()
		a.publish(2, 2, 8)
		w.carry()
		f.expect(t, " past/a:1#1 a:2#2")
	})
}

// TestAReplayLeavesRoomForReceipts: nobody waits for a confirmation until a member has read
// all that is replayed to it.
func TestAReplayLeavesRoomForReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.Keep("a", exchange.Keep{Last: 100})
		a.publish(1, 100, 100_000)
		w := link(t, a, b)
		if _, err := b.SubscribeReplay("a", mailbox.Options{MessagesMax: 1}); err != nil { // nobody reads
			t.Fatal(err)
		}
		w.carry()
		r := b.Receipts(frame.WishQueued)
		if err := b.Broadcast(t.Context(), true, message("a", 1, 8), r); err != nil {
			t.Fatal(err)
		}
		w.carry()
		if got := now(t, b, r); got != "|1||" {
			t.Errorf("confirmed|nobody|gone|open = %s, want |1||", got)
		}
		if err := a.TryDirect(b.id, session.Message{Topic: "a"}, nil); err != nil {
			t.Errorf("a direct message: %v", err)
		}
	})
}

// from is the filter for what one node sends.
func from(node byte) func(ident.NodeID) bool {
	return func(id ident.NodeID) bool { return id == ident.NodeID{node} }
}
