package session_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// run is a frame of whole messages in a lane without pieces.
func run(first ident.Seq, count int) frame.Events {
	return frame.Events{First: first, Message: first, Count: count}
}

// started returns an inbox that has all up to received.
func started(t testing.TB, received ident.Seq) *session.Inbox {
	t.Helper()
	in := session.NewInbox(0)
	if lost, err := in.Start(received+1, received+1); lost != 0 || err != nil {
		t.Fatalf("Start(%d) = %d, %v", received+1, lost, err)
	}
	return in
}

func accept(t testing.TB, in *session.Inbox, first ident.Seq, count int) {
	t.Helper()
	if skip, lost, err := in.Accept(run(first, count), 100); skip != 0 || lost != 0 || err != nil {
		t.Fatalf("Accept(%d, %d) = %d, %d, %v", first, count, skip, lost, err)
	}
}

func TestAccept(t *testing.T) {
	tests := []struct {
		name  string
		first ident.Seq
		count int
		skip  int
		lost  uint64
		err   error
		want  ident.Seq // Received afterwards
	}{
		{name: "the next messages", first: 11, count: 5, want: 15},
		{name: "all of them again", first: 6, count: 5, skip: 5, want: 10},
		{name: "very old ones", first: 1, count: 1, skip: 1, want: 10},
		{name: "some of them again", first: 9, count: 5, skip: 2, want: 13},
		{name: "a jump", first: 15, count: 2, lost: 4, want: 16},
		{name: "the greatest jump", first: math.MaxUint64 - 1, count: 1, lost: math.MaxUint64 - 12, want: math.MaxUint64 - 1},
		{name: "number zero", first: 0, count: 1, err: session.ErrNumber, want: 10},
		{name: "no messages", first: 11, count: 0, err: session.ErrNumber, want: 10},
		{name: "less than none", first: 11, count: -1, err: session.ErrNumber, want: 10},
		{name: "numbers that overflow", first: math.MaxUint64, count: 2, err: session.ErrNumber, want: 10},
		{name: "the last number", first: math.MaxUint64, count: 1, err: session.ErrNumber, want: 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := started(t, 10)
			skip, lost, err := in.Accept(run(tt.first, tt.count), 100)
			if skip != tt.skip || lost != tt.lost || !errors.Is(err, tt.err) || in.Received() != tt.want {
				t.Errorf("Accept(%d, %d) after 10 = %d, %d, %v, received %d; want %d, %d, %v, %d", tt.first, tt.count,
					skip, lost, err, in.Received(), tt.skip, tt.lost, tt.err, tt.want)
			}
		})
	}
}

func TestStart(t *testing.T) {
	in := session.NewInbox(0)
	if _, _, err := in.Accept(run(1, 1), 100); !errors.Is(err, session.ErrNotOpen) {
		t.Errorf("Accept before Start = %v, want ErrNotOpen", err)
	}
	for _, tt := range []struct {
		name     string
		first    ident.Seq
		lost     uint64
		err      error
		received ident.Seq
	}{
		{name: "number zero", first: 0, err: session.ErrNumber},
		{name: "a newcomer begins at the number of the day", first: 101, received: 100},
		{name: "a resumption without a loss", first: 90, received: 100},
		{name: "the peer gave up 9", first: 110, lost: 9, received: 109},
		{name: "and says it again", first: 110, received: 109},
	} {
		lost, err := in.Start(tt.first, tt.first)
		if lost != tt.lost || !errors.Is(err, tt.err) || in.Received() != tt.received {
			t.Errorf("%s: Start(%d) = %d, %v, received %d; want %d, %v, %d",
				tt.name, tt.first, lost, err, in.Received(), tt.lost, tt.err, tt.received)
		}
	}
}

// TestTheWindowIsEnforced is the receiver's part of case E21.
func TestTheWindowIsEnforced(t *testing.T) {
	for _, tt := range []struct{ ask, want int }{
		{0, session.WindowDefault},
		{1, session.WindowMin},
		{1 << 20, 1 << 20},
		{math.MaxInt, math.MaxUint32},
	} {
		if got := session.NewInbox(tt.ask).Window(); got != tt.want {
			t.Errorf("NewInbox(%d).Window() = %d, want %d", tt.ask, got, tt.want)
		}
	}
	in := session.NewInbox(session.WindowMin)
	_, _ = in.Start(1, 1)
	half := session.WindowMin / 2
	for n := ident.Seq(1); n <= 2; n++ {
		if _, _, err := in.Accept(run(n, 1), half); err != nil {
			t.Fatalf("Accept(%d): %v", n, err)
		}
	}
	if _, _, err := in.Accept(run(3, 1), 1); !errors.Is(err, session.ErrWindow) || in.Received() != 2 {
		t.Errorf("Accept beyond the window = %v, received %d; want ErrWindow, 2", err, in.Received())
	}
	if skip, _, err := in.Accept(run(2, 1), half); skip != 1 || err != nil {
		t.Errorf("a duplicate costs nothing: Accept = %d, %v", skip, err)
	}
	in.Release(2)
	if _, _, err := in.Accept(run(3, 1), half); err != nil || in.Held() != 2*half {
		t.Errorf("Accept after a release = %v, held %d; want none, %d", err, in.Held(), 2*half)
	}
}

// TestAckCoversWhatIsReleasedInOrder: the acknowledgement is cumulative, so a run that
// is held back holds back the later ones.
func TestAckCoversWhatIsReleasedInOrder(t *testing.T) {
	in := started(t, 0)
	now := time.Unix(0, 0)
	for n := range ident.Seq(4) {
		accept(t, in, n*10+1, 10)
	}
	for _, tt := range []struct {
		release ident.Seq
		want    ident.Seq
	}{{30, 0}, {10, 10}, {40, 0}, {20, 40}} {
		in.Release(tt.release)
		if n, due := in.Ack(now, true); n != tt.want || due != (tt.want > 0) {
			t.Errorf("after the release of %d: Ack = %d, %v; want %d", tt.release, n, due, tt.want)
		}
	}
	if in.Held() != 0 {
		t.Errorf("Held = %d, want 0", in.Held())
	}
}

// TestLossesAreAcknowledged: what is missing for good must not hold the sender's log.
func TestLossesAreAcknowledged(t *testing.T) {
	in := started(t, 0)
	accept(t, in, 1, 1)
	if lost, err := in.Start(11, 11); lost != 9 || err != nil {
		t.Fatalf("Start(11) = %d, %v; want 9", lost, err)
	}
	if n, due := in.Ack(time.Unix(0, 0), true); due {
		t.Errorf("Ack = %d while number 1 is held", n)
	}
	in.Release(1)
	if n, due := in.Ack(time.Unix(0, 0), true); n != 10 || !due {
		t.Errorf("Ack = %d, %v; want 10", n, due)
	}
	if lost, err := in.Start(21, 21); lost != 10 || err != nil {
		t.Fatalf("Start(21) = %d, %v; want 10", lost, err)
	}
	if n, due := in.Ack(time.Unix(0, 0), false); n != 20 || !due {
		t.Errorf("Ack = %d, %v; want 20 with nothing held", n, due)
	}
}

func TestAckIsDue(t *testing.T) {
	begin := time.Unix(0, 0)
	tests := []struct {
		name        string
		count, cost int
		after       time.Duration
		force       bool
		want        bool
	}{
		{name: "not at once", count: 1, cost: 100},
		{name: "not after 19 ms", count: 1, cost: 100, after: 19 * time.Millisecond},
		{name: "after 20 ms", count: 1, cost: 100, after: 20 * time.Millisecond, want: true},
		{name: "with other traffic", count: 1, cost: 100, force: true, want: true},
		{name: "not for 1,023 messages", count: 1023, cost: 100},
		{name: "for 4,096 messages", count: 4096, cost: 100, want: true},
		{name: "not for a byte less than 256 KiB", count: 1, cost: 256<<10 - 1},
		{name: "for 256 KiB", count: 1, cost: 256 << 10, want: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := started(t, 0)
			if n, due := in.Ack(begin, true); due {
				t.Fatalf("Ack of nothing = %d", n)
			}
			if _, _, err := in.Accept(run(1, tt.count), tt.cost); err != nil {
				t.Fatal(err)
			}
			in.Release(ident.Seq(tt.count))
			n, due := in.Ack(begin, false)
			if at, ok := in.Next(); !due && (!ok || !at.Equal(begin.Add(session.AckDelay))) {
				t.Errorf("Next = %v, %v; want 20 ms after the first Ack", at, ok)
			}
			if !due {
				n, due = in.Ack(begin.Add(tt.after), tt.force)
			}
			if due != tt.want || due && n != ident.Seq(tt.count) {
				t.Errorf("Ack = %d, %v; want %v", n, due, tt.want)
			}
			if _, ok := in.Next(); ok == due {
				t.Errorf("Next = %v after Ack = %v", ok, due)
			}
			if n, again := in.Ack(begin.Add(time.Hour), true); due && again {
				t.Errorf("Ack said %d twice", n)
			}
		})
	}
}

// TestANewLinkGetsTheAckAgain: the last one may have been lost with the old link, and
// a publisher may wait for it.
func TestANewLinkGetsTheAckAgain(t *testing.T) {
	in := started(t, 0)
	now := time.Unix(0, 0)
	accept(t, in, 1, 5)
	in.Release(5)
	if n, due := in.Ack(now, true); n != 5 || !due {
		t.Fatalf("Ack = %d, %v; want 5", n, due)
	}
	if _, err := in.Start(1, 1); err != nil {
		t.Fatal(err)
	}
	if n, due := in.Ack(now, false); n != 5 || !due {
		t.Errorf("Ack on a new link = %d, %v; want 5 at once", n, due)
	}
	if n, due := in.Ack(now, true); due {
		t.Errorf("Ack = %d once more", n)
	}
}

func TestReleaseOfWhatIsNotHeldPanics(t *testing.T) {
	for _, last := range []ident.Seq{0, 4, 5, 9, 11} {
		in := started(t, 0)
		accept(t, in, 1, 5)
		accept(t, in, 6, 5)
		if last == 5 {
			in.Release(5) // and once more below
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Release(%d) did not panic", last)
				}
			}()
			in.Release(last)
		}()
	}
}

// TestHostileNumbers: whatever a peer sends, numbers only grow, nothing panics, and the
// inbox holds no more than its window.
func TestHostileNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := session.NewInbox(session.WindowMin)
		number := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 50), rapid.Uint64Range(math.MaxUint64-9, math.MaxUint64))
		var held []ident.Seq
		for range rapid.IntRange(0, 50).Draw(t, "steps") {
			before := in.Received()
			n := ident.Seq(number.Draw(t, "number"))
			if rapid.Bool().Draw(t, "start") {
				_, _ = in.Start(n, n)
			} else {
				count := rapid.IntRange(1, 65_536).Draw(t, "count")
				skip, lost, err := in.Accept(run(n, count), session.Cost(count, count))
				if err == nil && skip < count {
					held = append(held, in.Received())
					if in.Received() != before+ident.Seq(lost)+ident.Seq(count-skip) {
						t.Fatalf("Accept(%d, %d) after %d = %d, %d: received %d", n, count, before, skip, lost, in.Received())
					}
				}
			}
			if in.Received() < before || in.Held() > in.Window() {
				t.Fatalf("received %d after %d, held %d", in.Received(), before, in.Held())
			}
		}
		for _, n := range held {
			in.Release(n)
		}
		if n, due := in.Ack(time.Unix(0, 0), true); in.Held() != 0 || due && n != in.Received() {
			t.Fatalf("held %d, Ack = %d, %v; received %d", in.Held(), n, due, in.Received())
		}
	})
}

func TestReceivingAllocatesNothing(t *testing.T) {
	in := started(t, 0)
	next, now := ident.Seq(1), time.Unix(0, 0)
	turn := func() {
		for range 20 {
			_, _, _ = in.Accept(run(next, 100), 1000)
			next += 100
		}
		for i := range ident.Seq(20) {
			in.Release(next - 1 - i*100) // the last one first
		}
		in.Ack(now, true)
	}
	turn()
	if n := testing.AllocsPerRun(50, turn); n != 0 {
		t.Errorf("20 runs cost %v allocations, want 0", n)
	}
}
