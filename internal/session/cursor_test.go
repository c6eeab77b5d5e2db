package session_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// TestResume is rule 2 of a resumption: the next number to send is the higher of what
// the peer has plus 1 and the first one that is not acknowledged or given up.
func TestResume(t *testing.T) {
	tests := []struct {
		name     string
		acked    ident.Seq
		gaveUp   bool
		received ident.Seq
		want     string
		err      error
	}{
		{name: "the peer has nothing", received: 0, want: "1-2 a, 3-4 b, 5 c"},
		{name: "the peer has a frame", received: 2, want: "3-4 b, 5 c"},
		{name: "the peer has half a frame, which comes again", received: 3, want: "3-4 b, 5 c"},
		{name: "the peer has all that was sent", received: 4, want: "5 c"},
		{name: "an acknowledgement overtook the peer's OPEN", acked: 4, received: 2, want: "5 c"},
		{name: "an acknowledgement ends in a frame", acked: 3, received: 3, want: "3-4 b, 5 c"},
		{name: "the peer claims what was never sent", received: 5, err: session.ErrNumber},
		{name: "all was given up", gaveUp: true, received: 2},
		{name: "all was given up after an acknowledgement", acked: 4, gaveUp: true, received: 2},
		{name: "all was given up and the peer was told", gaveUp: true, received: 5},
		{name: "the peer was told, and claims more", gaveUp: true, received: 6, err: session.ErrNumber},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := session.NewLog(frame.Direct, session.Limits{})
			c := open(t, l)
			publish(t, l, "a", 2, 10)
			publish(t, l, "b", 2, 10)
			c.Take(nil, 1<<20)
			publish(t, l, "c", 1, 10)
			acked(t, c, tt.acked)
			if tt.gaveUp {
				c.GiveUp()
			}
			err := c.Resume(tt.received, session.WindowDefault)
			if !errors.Is(err, tt.err) {
				t.Fatalf("Resume(%d) = %v; want %v", tt.received, err, tt.err)
			}
			if tt.err != nil {
				return
			}
			if got := describe(t, c.Take(nil, 1<<20)); got != tt.want {
				t.Errorf("after Resume(%d) Take = %s, want %s", tt.received, got, tt.want)
			}
		})
	}
}

func TestAcked(t *testing.T) {
	l := session.NewLog(frame.Direct, session.Limits{})
	c := open(t, l)
	publish(t, l, "a", 4, 10)
	c.Take(nil, 1<<20)
	publish(t, l, "b", 2, 10)
	for _, tt := range []struct {
		name     string
		n        ident.Seq
		err      error
		from, to ident.Seq
	}{
		{name: "in the middle of a frame", n: 2, from: 3, to: 4},
		{name: "an older one", n: 1, from: 3, to: 4},
		{name: "what was not sent", n: 5, err: session.ErrNumber, from: 3, to: 4},
		{name: "all that was sent", n: 4, from: 5, to: 4},
		{name: "the highest number there is", n: ^ident.Seq(0), err: session.ErrNumber, from: 5, to: 4},
	} {
		err := c.Acked(tt.n)
		if from, to := c.InDoubt(); !errors.Is(err, tt.err) || from != tt.from || to != tt.to {
			t.Errorf("%s: Acked(%d) = %v, in doubt %d to %d; want %v, %d to %d",
				tt.name, tt.n, err, from, to, tt.err, tt.from, tt.to)
		}
	}
	if c.Done() != 4 || c.First() != 5 {
		t.Errorf("Done = %d and First = %d, want 4 and 5", c.Done(), c.First())
	}
}

// TestALateAckIsNoBreach: the peer may acknowledge over the old link what the new one is
// about to send again.
func TestALateAckIsNoBreach(t *testing.T) {
	l := session.NewLog(frame.Direct, session.Limits{})
	c := open(t, l)
	publish(t, l, "a", 2, 10)
	publish(t, l, "b", 2, 10)
	c.Take(nil, 1<<20)
	resume(t, c, 0)
	if got := describe(t, c.Take(nil, 1)); got != "1-2 a" {
		t.Fatalf("Take = %s, want 1-2 a again", got)
	}
	acked(t, c, 4)
	if from, to := c.InDoubt(); c.Pending() || from != 5 || to != 4 || l.Held() != 0 {
		t.Errorf("pending %v, in doubt %d to %d, held %d; want nothing", c.Pending(), from, to, l.Held())
	}
}

// TestAReceiverThatWasGivenUpStillOwesItsWindow: what was on its way when the sender gave
// it up still fills the receiver's queues, so the window opens only when that is
// acknowledged, or when a new link shows that it never arrived.
func TestAReceiverThatWasGivenUpStillOwesItsWindow(t *testing.T) {
	var window int
	begin := func(t *testing.T) *session.Cursor {
		l := session.NewLog(frame.Broadcast, session.Limits{})
		c := l.Open()
		publish(t, l, "a", 3, 16_000)
		window = l.Held()
		_ = c.Resume(0, window)
		c.Take(nil, 1<<20) // the window is full
		publish(t, l, "b", 2, 16_000)
		if lost := c.GiveUp(); lost != 5 {
			t.Fatalf("GiveUp = %d, want 5", lost)
		}
		publish(t, l, "c", 1, 10)
		if got := c.Take(nil, 1<<20); len(got) > 0 {
			t.Fatalf("Take = %s while the peer's window is full", describe(t, got))
		}
		return c
	}
	t.Run("acknowledged", func(t *testing.T) {
		c := begin(t)
		for _, step := range []struct {
			n    ident.Seq
			want string
		}{{1, ""}, {2, ""}, {3, "6 c"}} {
			acked(t, c, step.n)
			if got := describe(t, c.Take(nil, 1<<20)); got != step.want {
				t.Errorf("Acked(%d): Take = %s, want %s", step.n, got, step.want)
			}
		}
	})
	t.Run("lost with the link", func(t *testing.T) {
		c := begin(t)
		if err := c.Resume(0, window); err != nil {
			t.Errorf("Resume = %v", err)
		}
		if got := describe(t, c.Take(nil, 1<<20)); got != "6 c" {
			t.Errorf("Take = %s, want 6 c", got)
		}
	})
}

// TestTakenFramesStay is rule 1 of a resumption, the cursor's part: whatever happens,
// frames stay as they are until the next Take, and those of a fenced link for ever,
// because its writer may still read them.
func TestTakenFramesStay(t *testing.T) {
	tests := []struct {
		name string
		end  func(*session.Cursor)
	}{
		{"acknowledged", func(c *session.Cursor) { _ = c.Acked(100) }},
		{"acknowledged and resumed", func(c *session.Cursor) {
			_ = c.Resume(100, session.WindowDefault)
			_ = c.Acked(100)
			c.Take(nil, 1<<20)
		}},
		{"given up", func(c *session.Cursor) { c.GiveUp() }},
		{"closed", func(c *session.Cursor) { c.Close() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := session.NewLog(frame.Direct, session.Limits{})
			c := open(t, l)
			publish(t, l, "a", 100, 1000)
			frames := c.Take(nil, 1<<20)
			want := bytes.Join(frames, nil)
			tt.end(c)
			if l.Held() != 0 {
				t.Fatalf("log holds %d bytes", l.Held())
			}
			other := open(t, l)
			for range 20 { // would come by every block that is free
				if _, err := l.Append(session.Message{Topic: "b", Payload: bytes.Repeat([]byte{0xff}, 20_000)}); err != nil {
					t.Fatal(err)
				}
			}
			if got := bytes.Join(frames, nil); !bytes.Equal(got, want) {
				t.Errorf("frames that were taken changed")
			}
			other.Close()
		})
	}
}

func TestGiveUpOfNothing(t *testing.T) {
	l := session.NewLog(frame.Broadcast, session.Limits{})
	c := open(t, l)
	if lost := c.GiveUp(); lost != 0 {
		t.Errorf("GiveUp = %d, want 0", lost)
	}
	publish(t, l, "a", 2, 10)
	if got := describe(t, c.Take(nil, 1<<20)); got != "1-2 a" {
		t.Errorf("Take = %s, want 1-2 a", got)
	}
}
