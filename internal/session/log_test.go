package session_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// open returns a cursor of log whose peer has nothing and takes everything.
func open(t testing.TB, log *session.Log) *session.Cursor {
	t.Helper()
	c := log.Open()
	resume(t, c, c.First()-1)
	return c
}

// resume gives c a new link to a peer that has all up to received.
func resume(t testing.TB, c *session.Cursor, received ident.Seq) {
	t.Helper()
	if err := c.Resume(received, session.WindowDefault); err != nil {
		t.Fatalf("Resume(%d): %v", received, err)
	}
}

// publish appends messages of size bytes.
func publish(t testing.TB, log *session.Log, topic string, count, size int) {
	t.Helper()
	for range count {
		if _, err := log.Append(session.Message{Topic: topic, Payload: make([]byte, size)}); err != nil {
			t.Fatalf("Append(%q, %d bytes): %v", topic, size, err)
		}
	}
}

// describe names frames by their numbers and topics: "1-3 a, 4 b+" where + stands for
// a message that goes on.
func describe(t testing.TB, frames [][]byte) string {
	t.Helper()
	var list []string
	for _, f := range frames {
		raw, n, err := frame.Next(f)
		if err != nil || n != len(f) || raw.Type != frame.TypeEvents {
			t.Fatalf("frame %x: %v takes %d of %d bytes, %v", f, raw.Type, n, len(f), err)
		}
		e, err := frame.DecodeEvents(raw.Payload)
		if err != nil {
			t.Fatalf("frame %x: %v", f, err)
		}
		s := fmt.Sprint(e.First)
		if e.Count > 1 {
			s += fmt.Sprintf("-%d", e.First+ident.Seq(e.Count)-1)
		}
		s += " " + string(e.Topic)
		if e.More {
			s += "+"
		}
		list = append(list, s)
	}
	return strings.Join(list, ", ")
}

func acked(t testing.TB, c *session.Cursor, n ident.Seq) {
	t.Helper()
	if err := c.Acked(n); err != nil {
		t.Fatalf("Acked(%d): %v", n, err)
	}
}

func TestConsecutiveMessagesOfATopicShareAFrame(t *testing.T) {
	tests := []struct {
		name   string
		append func(*session.Log)
		want   string
	}{
		{"nothing", func(*session.Log) {}, ""},
		{"one topic", func(l *session.Log) { publish(t, l, "a", 3, 10) }, "1-3 a"},
		{"two topics", func(l *session.Log) {
			publish(t, l, "a", 2, 10)
			publish(t, l, "b", 1, 10)
			publish(t, l, "a", 2, 10)
		}, "1-2 a, 3 b, 4-5 a"},
		{"two codecs", func(l *session.Log) {
			_, _ = l.Append(session.Message{Topic: "a", Codec: 1})
			_, _ = l.Append(session.Message{Topic: "a", Codec: 2})
		}, "1 a, 2 a"},
		{"two classes", func(l *session.Log) {
			_, _ = l.Append(session.Message{Topic: "a", Class: 1})
			_, _ = l.Append(session.Message{Topic: "a", Class: 2})
		}, "1 a, 2 a"},
		{"one TLS record is full", func(l *session.Log) { publish(t, l, "a", 4, 5000) }, "1-3 a, 4 a"},
		{"a run is long", func(l *session.Log) { publish(t, l, "a", session.RunMax+1, 0) }, "1-1024 a, 1025 a"},
		{"the largest message that travels whole", func(l *session.Log) {
			publish(t, l, "a", 2, session.PieceMax)
		}, "1 a, 2 a"},
		{"one byte more", func(l *session.Log) {
			publish(t, l, "a", 1, session.PieceMax+1)
			publish(t, l, "a", 2, 1)
		}, "1 a+, 2 a, 3-4 a"},
		{"pieces", func(l *session.Log) {
			publish(t, l, "a", 1, 1)
			publish(t, l, "a", 1, 3*session.PieceMax)
		}, "1 a, 2 a+, 3 a+, 4 a"},
		{"the longest topic", func(l *session.Log) {
			publish(t, l, strings.Repeat("x", 255), 1, session.PieceMax)
		}, "1 " + strings.Repeat("x", 255)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := session.NewLog(frame.Direct, session.Limits{})
			c := open(t, l)
			tt.append(l)
			if got := describe(t, c.Take(nil, 1<<20)); got != tt.want {
				t.Errorf("Take = %s, want %s", got, tt.want)
			}
			if c.Pending() {
				t.Errorf("Pending after everything was taken")
			}
		})
	}
}

func TestTakeSealsTheOpenFrame(t *testing.T) {
	l := session.NewLog(frame.Direct, session.Limits{})
	a, b := open(t, l), open(t, l)
	publish(t, l, "a", 2, 10)
	got := describe(t, a.Take(nil, 1<<20))
	publish(t, l, "a", 1, 10)
	got += " | " + describe(t, a.Take(nil, 1<<20)) + " | " + describe(t, b.Take(nil, 1<<20))
	if want := "1-2 a | 3 a | 1-2 a, 3 a"; got != want {
		t.Errorf("frames = %s, want %s", got, want)
	}
}

func TestTakeStopsNearBytesMax(t *testing.T) {
	l := session.NewLog(frame.Direct, session.Limits{})
	c := open(t, l)
	publish(t, l, "a", 4, 16_000) // a frame each
	var got []string
	for _, bytesMax := range []int{0, 33_000, 1 << 20} {
		got = append(got, describe(t, c.Take(nil, bytesMax)))
	}
	if got, want := strings.Join(got, " | "), "1 a | 2 a, 3 a | 4 a"; got != want {
		t.Errorf("frames = %s, want %s", got, want)
	}
}

func TestACursorBeginsWithTheNextMessage(t *testing.T) {
	l := session.NewLog(frame.Broadcast, session.Limits{})
	publish(t, l, "a", 2, 10)                 // nobody is there
	publish(t, l, "a", 1, 2*session.PieceMax) // 3 and 4
	a := open(t, l)
	publish(t, l, "a", 2, 10)
	b := open(t, l)
	publish(t, l, "a", 1, 10)
	if a.First() != 5 || b.First() != 7 {
		t.Errorf("First = %d and %d, want 5 and 7", a.First(), b.First())
	}
	if a.Message() != 4 || b.Message() != 6 || a.Waiting() != 3 || b.Waiting() != 1 {
		t.Errorf("Message = %d and %d with %d and %d waiting, want 4 and 6 with 3 and 1",
			a.Message(), b.Message(), a.Waiting(), b.Waiting())
	}
	got := describe(t, a.Take(nil, 1<<20)) + " | " + describe(t, b.Take(nil, 1<<20))
	if want := "5-6 a, 7 a | 7 a"; got != want {
		t.Errorf("frames = %s, want %s", got, want)
	}
}

func TestNothingLeavesBeforeThePeersWindowIsKnown(t *testing.T) {
	l := session.NewLog(frame.Direct, session.Limits{})
	c := l.Open()
	publish(t, l, "a", 1, 10)
	if got := c.Take(nil, 1<<20); c.Pending() || len(got) > 0 {
		t.Errorf("before Resume: Pending = %v, Take = %s", c.Pending(), describe(t, got))
	}
}

// TestTheWindowIsKept: the cost in flight never exceeds the window, acknowledgements
// make room, and a resumption counts what the peer has but did not acknowledge.
func TestTheWindowIsKept(t *testing.T) {
	l := session.NewLog(frame.Direct, session.Limits{})
	c := l.Open()
	publish(t, l, "a", 4, 16_000)
	cost := l.Held() / 4
	_ = c.Resume(0, 2*cost)
	got := []string{describe(t, c.Take(nil, 1<<20))}
	acked(t, c, 1)
	got = append(got, describe(t, c.Take(nil, 1<<20)))
	_ = c.Resume(3, 2*cost) // 2 and 3 are there, unacknowledged
	got = append(got, describe(t, c.Take(nil, 1<<20)))
	acked(t, c, 2)
	got = append(got, describe(t, c.Take(nil, 1<<20)))
	if got, want := strings.Join(got, " | "), "1 a, 2 a | 3 a |  | 4 a"; got != want {
		t.Errorf("frames = %s, want %s", got, want)
	}
}

func TestAppendRefuses(t *testing.T) {
	l := session.NewLog(frame.Direct, session.Limits{BytesMax: 1000, EventMax: 2000})
	c := open(t, l)
	tests := []struct {
		name  string
		topic string
		size  int
		err   error
		next  ident.Seq
	}{
		{name: "a topic that no frame can hold", topic: strings.Repeat("x", 256), err: session.ErrTooLarge, next: 1},
		{name: "more than EventMax", topic: "a", size: 2001, err: session.ErrTooLarge, next: 1},
		{name: "not the first message, whatever its size", topic: "a", size: 2000, next: 2},
		{name: "a second one", topic: "a", err: session.ErrFull, next: 2},
		{name: "a second one with another topic", topic: "b", err: session.ErrFull, next: 2},
	}
	for _, tt := range tests {
		_, err := l.Append(session.Message{Topic: tt.topic, Payload: make([]byte, tt.size)})
		if !errors.Is(err, tt.err) || l.Next() != tt.next {
			t.Errorf("%s: Append = %v and Next = %d, want %v and %d", tt.name, err, l.Next(), tt.err, tt.next)
		}
	}
	c.Take(nil, 1<<20)
	acked(t, c, 1)
	publish(t, l, "a", 1, 10)
	if want := session.Cost(26+1+11-4, 1); l.Held() != want {
		t.Errorf("Held = %d, want %d", l.Held(), want)
	}
}

// TestTheSlowestHoldsTheLog: what one receiver has not acknowledged stays for it and
// for the budget, and nobody else notices.
func TestTheSlowestHoldsTheLog(t *testing.T) {
	l := session.NewLog(frame.Broadcast, session.Limits{BytesMax: 100_000})
	fast, slow := open(t, l), open(t, l)
	published := 0
	for {
		if _, err := l.Append(session.Message{Topic: "a", Payload: make([]byte, 1000)}); err != nil {
			if !errors.Is(err, session.ErrFull) {
				t.Fatal(err)
			}
			break
		}
		published++
		fast.Take(nil, 1<<20)
		acked(t, fast, l.Next()-1)
	}
	// Each counts 1,002 bytes of its run and the overhead; 16 share a frame's 26 bytes.
	if want := 100_000 / session.Cost(1002, 1); published < want-2 || published > want {
		t.Errorf("log took %d messages, want about %d", published, want)
	}
	at := time.Unix(100, 0)
	if c, since := l.Stalled(at); c != slow || !since.Equal(at) {
		t.Errorf("Stalled = %p since %v, want the slow cursor %p since %v", c, since, slow, at)
	}
	slow.Take(nil, 1<<20)
	acked(t, slow, 1) // progress begins the time anew
	publish(t, l, "a", 1, 900)
	if c, _ := l.Stalled(at); c != nil {
		t.Errorf("Stalled = %p while the log has room", c)
	}
	if _, err := l.Append(session.Message{Topic: "a", Payload: make([]byte, 1000)}); !errors.Is(err, session.ErrFull) {
		t.Fatalf("Append = %v, want ErrFull again", err)
	}
	later := at.Add(time.Second)
	for _, now := range []time.Time{later, later.Add(2 * time.Second)} {
		if c, since := l.Stalled(now); c != slow || !since.Equal(later) {
			t.Errorf("Stalled(%v) = %p since %v, want %p since %v", now, c, since, slow, later)
		}
	}
	if lost := slow.GiveUp(); lost != uint64(published) || slow.First() != l.Next() {
		t.Errorf("GiveUp = %d and First = %d, want %d and %d", lost, slow.First(), published, l.Next())
	}
	if c, _ := l.Stalled(later); c != nil {
		t.Errorf("Stalled = %p after GiveUp", c)
	}
	for { // the log fills again, and slow has still taken nothing
		if _, err := l.Append(session.Message{Topic: "a", Payload: make([]byte, 1000)}); err != nil {
			break
		}
		fast.Take(nil, 1<<20)
		acked(t, fast, l.Next()-1)
	}
	if c, since := l.Stalled(later.Add(time.Hour)); c != slow || !since.Equal(later) {
		t.Errorf("Stalled = %p since %v, want %p since %v, as before GiveUp", c, since, slow, later)
	}
}

// Many that take nothing, each at another place in the log, hold the others up as long as
// one does. Otherwise a member that came again and again could stop all publishing.
func TestManyHoldTheLogNoLongerThanOne(t *testing.T) {
	l := session.NewLog(frame.Broadcast, session.Limits{BytesMax: 100_000})
	fast, at := open(t, l), time.Unix(100, 0)
	fill := func(count int) (full bool) {
		for range count {
			if _, err := l.Append(session.Message{Topic: "a", Payload: make([]byte, 1000)}); err != nil {
				return true
			}
			fast.Take(nil, 1<<20)
			acked(t, fast, l.Next()-1)
		}
		return false
	}
	dead := make([]*session.Cursor, 10)
	for i := range dead {
		dead[i] = open(t, l)
		fill(2)
	}
	for i, want := range dead {
		if !fill(200) {
			t.Fatalf("the log is not full with %d that take nothing", len(dead)-i)
		}
		if c, since := l.Stalled(at.Add(time.Duration(i) * time.Millisecond)); c != want || !since.Equal(at) {
			t.Fatalf("Stalled = %p since %v, want number %d, %p, since %v", c, since, i, want, at)
		}
		want.GiveUp()
	}
}

func TestHeldIsWhatTheFramesCost(t *testing.T) {
	l := session.NewLog(frame.Broadcast, session.Limits{})
	c := open(t, l)
	publish(t, l, "a", 10, 100)
	publish(t, l, "b", 3, session.PieceMax)
	publish(t, l, "c", 1, 5*session.PieceMax+7)
	want := 0
	for _, f := range c.Take(nil, 1<<30) {
		raw, _, _ := frame.Next(f)
		e, _ := frame.DecodeEvents(raw.Payload)
		want += session.Cost(len(raw.Payload), e.Count)
	}
	if l.Held() != want {
		t.Errorf("Held = %d, the frames cost %d", l.Held(), want)
	}
	acked(t, c, l.Next()-1)
	if l.Held() != 0 {
		t.Errorf("Held = %d when all is acknowledged", l.Held())
	}
}

func TestCloseGivesUpWhatOnlyTheCursorHeld(t *testing.T) {
	l := session.NewLog(frame.Broadcast, session.Limits{})
	a, b := open(t, l), open(t, l)
	publish(t, l, "a", 3, 10)
	a.Take(nil, 1<<20)
	acked(t, a, 3)
	publish(t, l, "a", 1, 10)
	b.Close()
	b.Close()
	if want := session.Cost(26+1+11-4, 1); l.Held() != want {
		t.Errorf("Held = %d, want %d for the message that a lacks", l.Held(), want)
	}
	if err := b.Resume(9, 1<<20); err != nil || b.GiveUp() != 0 || b.Waiting() != 0 || b.Acked(9) != nil {
		t.Errorf("a closed cursor does something: %v, %d wait", err, b.Waiting())
	}
	publish(t, l, "a", 1, 10)
	if got := b.Take(nil, 1<<20); b.Pending() || len(got) != 0 {
		t.Errorf("a closed cursor takes %s", describe(t, got))
	}
	a.Close()
	if l.Held() != 0 {
		t.Errorf("Held = %d without a cursor", l.Held())
	}
}

// TestMemoryFollowsBytes: many tiny frames cost about the bytes that they have, not a
// buffer each (invariant D5).
func TestMemoryFollowsBytes(t *testing.T) {
	l := session.NewLog(frame.Direct, session.Limits{})
	c := open(t, l)
	n := 0
	allocs := testing.AllocsPerRun(1, func() {
		for {
			if _, err := l.Append(session.Message{Topic: "a", Payload: make([]byte, 1)}); err != nil {
				return
			}
			c.Take(nil, 1) // a frame for each message
			n++
		}
	})
	// 24 bytes a frame: 44,000 frames fill some 17 blocks of 64 KiB.
	if perMessage := allocs / float64(n); n < 40_000 || perMessage > 3 {
		t.Errorf("%d messages in 4 MiB, %.1f allocations for each", n, perMessage)
	}
}

func TestTheSteadyStateAllocatesNothing(t *testing.T) {
	for _, size := range []int{0, 128, 20_000, 100_000} {
		s := newSender(t, 2, size)
		s.turn(t, 20)
		if n := testing.AllocsPerRun(50, func() { s.turn(t, 20) }); n != 0 {
			t.Errorf("20 messages of %d bytes: %v allocations, want 0", size, n)
		}
	}
}

// TestATrimmedLogGoesOn: Trim takes only what is idle, and a log that gave up its
// memory works as before.
func TestATrimmedLogGoesOn(t *testing.T) {
	s := newSender(t, 1, 1000)
	s.turn(t, 1000)
	if n := testing.AllocsPerRun(10, func() { s.turn(t, 1000); s.log.Trim() }); n != 0 {
		t.Errorf("Trim of a busy log costs %v allocations a turn, want 0", n)
	}
	s.log.Trim()
	s.log.Trim()
	if n := testing.AllocsPerRun(1, func() { s.log.Trim(); s.log.Trim(); s.turn(t, 1000) }); n < 10 {
		t.Errorf("a log that was trimmed while idle made %v allocations to begin again, want its blocks", n)
	}
}

// TestRoomIsKeptForALargeMessage: small ones do not take all room as it comes.
func TestRoomIsKeptForALargeMessage(t *testing.T) {
	large := session.Message{Topic: "a", Payload: make([]byte, 100_000)}
	small := session.Message{Topic: "a", Payload: make([]byte, 1000)}
	l := session.NewLog(frame.Direct, session.Limits{BytesMax: 200_000})
	c := l.Open()
	if err := c.Resume(0, 1<<20); err != nil {
		t.Fatal(err)
	}
	var last ident.Seq
	for {
		n, err := l.Append(small)
		if errors.Is(err, session.ErrFull) {
			break
		}
		last = n
	}
	if _, err := l.Append(large); !errors.Is(err, session.ErrFull) {
		t.Fatalf("a large message for a full log: %v", err)
	}
	c.Take(nil, 1<<20)
	if err := c.Acked(last / 4); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(small); !errors.Is(err, session.ErrFull) {
		t.Errorf("a small message overtakes a large one: %v", err)
	}
	if got, _ := l.Stalled(time.Unix(9, 0)); got != c {
		t.Error("the log does not say who it waits for")
	}
	if err := c.Acked(last * 3 / 4); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(large); err != nil {
		t.Errorf("a large message, once there is room: %v", err)
	}
	if _, err := l.Append(small); err != nil {
		t.Errorf("a small message after it: %v", err)
	}
	if _, err := l.Append(large); !errors.Is(err, session.ErrFull) {
		t.Fatalf("another large one: %v", err)
	}
	l.Forgo()
	if _, err := l.Append(small); err != nil {
		t.Errorf("a small message, and the large one waits no more: %v", err)
	}
}

// TestNoRoomIsKeptAfterTheLastCursor: what has nobody to wait for was taken.
func TestNoRoomIsKeptAfterTheLastCursor(t *testing.T) {
	large := session.Message{Topic: "a", Payload: make([]byte, 100_000)}
	small := session.Message{Topic: "a", Payload: make([]byte, 1000)}
	l := session.NewLog(frame.Direct, session.Limits{BytesMax: 150_000})
	c := l.Open()
	for _, want := range []error{nil, session.ErrFull} {
		if _, err := l.Append(large); !errors.Is(err, want) {
			t.Fatalf("a large message: %v, want %v", err, want)
		}
	}
	c.Close()
	if _, err := l.Append(large); err != nil {
		t.Fatalf("a large message for nobody: %v", err)
	}
	l.Open()
	for range 2 {
		if _, err := l.Append(small); err != nil {
			t.Errorf("a small message, and no large one waits: %v", err)
		}
	}
}
