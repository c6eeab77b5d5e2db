package exchange_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/mailbox"
)

// late adds a subscription that wants what was published before.
func (n *node) late(pattern string) *follower {
	n.t.Helper()
	q, err := n.SubscribeReplay(pattern, mailbox.Options{})
	if err != nil {
		n.t.Fatalf("SubscribeReplay: %v", err)
	}
	return &follower{q: q}
}

// follower reads a subscription with what is replayed to it.
type follower struct {
	q     *mailbox.Queue
	state mailbox.CatchUp
}

// expect fails the test unless read returns want.
func (f *follower) expect(t *testing.T, want string) {
	t.Helper()
	if got := f.read(t); got != want {
		t.Errorf("read%s, want%s", got, want)
	}
}

// read returns what waits as words: "past/a:1" was replayed, "a:2" is new.
func (f *follower) read(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	batch, _ := f.q.Next(ctx)
	var out []mailbox.Entry
	for _, e := range batch {
		out = f.state.Take(out, e)
	}
	var words strings.Builder
	for _, e := range out {
		if e.Count == 0 {
			fmt.Fprintf(&words, " -%d", e.Lost.Count)
			continue
		}
		for run, number := e.Data, e.First; len(run) > 0; number++ {
			var p []byte
			p, run = frame.NextPayload(run)
			past := ""
			if e.Past {
				past = "past/"
			}
			fmt.Fprintf(&words, " %s%s:%s#%d", past, e.Topic, strings.TrimRight(string(p), " "), number)
		}
	}
	return words.String()
}

func TestWhoComesLateGetsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.Keep("a", exchange.Keep{Last: 2})
		a.publish(1, 3, 8) // before anybody is there
		w := link(t, a, b)
		a.publish(4, 4, 8)
		w.carry()
		f := b.late("*")
		a.publish(5, 5, 8) // while the question is on its way
		w.carry()
		a.publish(6, 6, 8)
		w.carry()
		f.expect(t, " past/a:4#4 a:5#5 a:6#6")
		other := b.late("other.>")
		w.carry()
		a.publish(7, 7, 8)
		w.carry()
		other.expect(t, "")
		f.expect(t, " a:7#7")
	})
}

// TestWhatIsKeptAndNewComesOnce: what is broadcast after the question arrived comes
// once, though it is kept as well.
func TestWhatIsKeptAndNewComesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.Keep("a", exchange.Keep{Last: 10})
		w := link(t, a, b)
		a.publish(1, 2, 8)
		f := b.late("a")
		a.publish(3, 3, 100_000)
		w.send(0) // all three, and b has asked nothing yet
		a.publish(4, 4, 8)
		w.carry()
		f.expect(t, " a:1#1 a:2#2 a:3#3 a:4#4")
	})
}

// TestNewsThatComeAfterTheirReplayComeOnce: an answer overtakes what waits to be sent.
func TestNewsThatComeAfterTheirReplayComeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.Keep("a", exchange.Keep{Last: 10})
		w := link(t, a, b)
		f := b.late("a")
		a.publish(1, 2, 8)
		w.send(1) // the question
		a.publish(3, 3, 8)
		w.carry()
		a.publish(4, 4, 8)
		w.carry()
		if got, want := strings.ReplaceAll(f.read(t), "past/", ""), " a:1#1 a:2#2 a:3#3 a:4#4"; got != want {
			t.Errorf("read%s, want%s", got, want)
		}
	})
}

func TestOfEachKeyTheLastIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.Keep("a", exchange.Keep{Last: 1, Keyed: true})
		for i, key := range []string{"x", "y", "x", "z", "y", "x"} {
			m := message("a", key, 8)
			m.Payload = fmt.Append(nil, key, i)
			m.Key = key
			if err := a.Broadcast(t.Context(), false, m, nil); err != nil {
				t.Fatal(err)
			}
		}
		w := link(t, a, b)
		f := b.late("a")
		w.carry()
		f.expect(t, " past/a:z3#4 past/a:y4#5 past/a:x5#6")
	})
}

// TestWhoComesLaterIsAskedToo, and after a split of an hour nothing comes twice.
func TestWhoComesLaterIsAskedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.run(t.Context())
		b.run(t.Context())
		a.Keep("a", exchange.Keep{Last: 3})
		a.publish(1, 2, 8)
		f := b.late("a")
		w := link(t, a, b)
		w.carry()
		a.publish(3, 3, 8)
		w.carry()
		f.expect(t, " past/a:1#1 past/a:2#2 a:3#3")
		w.cut()
		a.publish(4, 4, 8)
		time.Sleep(time.Hour)
		a.publish(5, 5, 8)
		synctest.Wait()
		w.again()
		w.carry()
		a.publish(6, 6, 8)
		w.carry()
		// The session that ended says what it lost, and the past makes it good.
		f.expect(t, " -2 past/a:4#4 past/a:5#5 a:6#6")
	})
}

// TestQuestionsThatTravelTogetherAreAllAnswered, and so are answers that end together.
func TestQuestionsThatTravelTogetherAreAllAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.Keep("a", exchange.Keep{Last: 1})
		a.publish(1, 1, 8)
		all := []*follower{b.late("a"), b.late("a"), b.late("other"), b.late("other")}
		w := link(t, a, b)
		w.carry()
		a.publish(2, 2, 8)
		if err := a.Broadcast(t.Context(), false, message("other", 3, 8), nil); err != nil {
			t.Fatal(err)
		}
		w.carry()
		for i, want := range []string{" past/a:1#1 a:2#2", " past/a:1#1 a:2#2", " other:3#3", " other:3#3"} {
			if got := all[i].read(t); got != want {
				t.Errorf("subscription %d read%s, want%s", i, got, want)
			}
		}
	})
}

// TestWhoGoesIsNotWaitedFor: what it published while it was asked is given out.
func TestWhoGoesIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		w := link(t, a, b)
		f := b.late("a")
		a.publish(1, 1, 8)
		w.send(0)
		f.expect(t, "")
		b.SetMembers(nil)
		if got := f.read(t); got != " a:1#1" {
			t.Errorf("read%s after the member went", got)
		}
	})
}

// TestATopicThatKeepsMuchTakesNothingFromOthers: what it keeps beyond the limit goes, whoever
// published last.
func TestATopicThatKeepsMuchTakesNothingFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		for _, topic := range []string{"early", "much", "late"} {
			a.Keep(topic, exchange.Keep{Last: 1 << 10})
		}
		publish := func(topic string, count, size int) {
			for i := range count {
				if err := a.Broadcast(t.Context(), false, message(topic, i, size), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		publish("early", 2, 8)
		publish("much", 20, 1<<20)
		publish("late", 2, 900<<10)
		w := link(t, a, b)
		for topic, want := range map[string]string{
			"early": " past/early:0#1 past/early:1#2", "late": " past/late:0#23 past/late:1#24",
		} {
			f := b.late(topic)
			w.carry()
			if got := f.read(t); got != want {
				t.Errorf("of the topic %s is kept%s, want%s", topic, got, want)
			}
		}
	})
}

// TestWhatIsKeptHasALimit, in messages and in bytes.
func TestWhatIsKeptHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.Keep("a", exchange.Keep{Last: 1 << 30})
		for i := range 40 {
			if err := a.Broadcast(t.Context(), false, message("a", i, 1<<20), nil); err != nil {
				t.Fatal(err)
			}
		}
		w := link(t, a, b)
		f := b.late("a")
		var got string
		for range 60 { // the direct log has room for four at a time
			w.carry()
			got += f.read(t)
			time.Sleep(time.Second)
		}
		want := ""
		for i := 25; i < 40; i++ {
			want += fmt.Sprintf(" past/a:%d#%d", i, i+1)
		}
		if got != want {
			t.Errorf("read%s, want%s", got, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, 1, 0), newNode(t, 2, 0)
		a.Keep("a", exchange.Keep{Last: 1 << 30})
		for range 65_536 + 10 {
			if err := a.Broadcast(t.Context(), false, message("a", "", 0), nil); err != nil {
				t.Fatal(err)
			}
		}
		w := link(t, a, b)
		f := b.late("a")
		got := 0
		for range 200 {
			w.carry()
			got += strings.Count(f.read(t), "past")
			time.Sleep(time.Second)
		}
		if got != 65_536 {
			t.Errorf("%d were kept, want 65,536", got)
		}
	})
}
