package session_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/session"
)

// TestExtendTakesWhatTheOpenFrameTakes: anything else is left to Append, and changes nothing.
func TestExtendTakesWhatTheOpenFrameTakes(t *testing.T) {
	plain := session.Message{Topic: "a", Codec: 1, Payload: make([]byte, 100)}
	appends := func(ms ...session.Message) func(*session.Log, *session.Cursor) {
		return func(l *session.Log, _ *session.Cursor) {
			for _, m := range ms {
				_, _ = l.Append(m) // that a full log refuses some is what one of the cases wants
			}
		}
	}
	with := func(change func(*session.Message)) session.Message {
		m := plain
		change(&m)
		return m
	}
	tests := []struct {
		name   string
		before func(*session.Log, *session.Cursor)
		extend session.Message
		want   bool
	}{
		{"the same once more", appends(plain), plain, true},
		{"another length", appends(plain), with(func(m *session.Message) { m.Payload = nil }), true},
		{"the first message of all", appends(), plain, false},
		{"another topic", appends(plain), with(func(m *session.Message) { m.Topic = "b" }), false},
		{"another codec", appends(plain), with(func(m *session.Message) { m.Codec = 2 }), false},
		{"another class", appends(plain), with(func(m *session.Message) { m.Class = 2 }), false},
		{"after the message of a leader", appends(with(func(m *session.Message) {
			m.Reign = &session.Reign{Election: "e", Term: 1}
		})), plain, false},
		{"after one that wants a receipt", appends(with(func(m *session.Message) {
			m.Wish = frame.WishQueued
		})), plain, false},
		{"after one for a group", appends(with(func(m *session.Message) { m.Group = "g" })), plain, false},
		{"after a replay", appends(with(func(m *session.Message) { m.Past = &frame.Past{Number: 1} })), plain, false},
		{"the frame has left", func(l *session.Log, c *session.Cursor) {
			_, _ = l.Append(plain)
			c.Take(nil, 1<<20)
		}, plain, false},
		{"nobody is there", func(l *session.Log, c *session.Cursor) {
			c.Close()
			_, _ = l.Append(plain)
		}, plain, false},
		{"the frame is full", appends(with(func(m *session.Message) {
			m.Payload = make([]byte, 16_300)
		})), plain, false},
		{"the run is long", appends(slices.Repeat([]session.Message{
			with(func(m *session.Message) { m.Payload = nil }),
		}, session.RunMax)...), with(func(m *session.Message) { m.Payload = nil }), false},
		{"the log is full", appends(slices.Repeat([]session.Message{plain}, 1000)...), plain, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limits := session.Limits{BytesMax: 128 << 10}
			l, twin := session.NewLog(frame.Direct, limits), session.NewLog(frame.Direct, limits)
			c, d := open(t, l), open(t, twin)
			tt.before(l, c)
			tt.before(twin, d)
			m := tt.extend
			got := l.Extend(m.Topic, m.Codec, m.Class, m.Payload)
			if got {
				_, _ = twin.Append(m)
			}
			if got != tt.want || l.Held() != twin.Held() || l.Next() != twin.Next() {
				t.Errorf("Extend = %v with %d bytes held and number %d next, want %v, %d, %d",
					got, l.Held(), l.Next(), tt.want, twin.Held(), twin.Next())
			}
			if a, b := c.Take(nil, 1<<20), d.Take(nil, 1<<20); !slices.EqualFunc(a, b, bytes.Equal) {
				t.Errorf("frames are %s, want those that Append makes: %s", describe(t, a), describe(t, b))
			}
		})
	}
}

// TestExtendKnowsTheLimitOfAnEvent, also where a frame has room for more.
func TestExtendKnowsTheLimitOfAnEvent(t *testing.T) {
	l := session.NewLog(frame.Direct, session.Limits{EventMax: 100})
	open(t, l)
	publish(t, l, "a", 1, 100)
	for size, want := range map[int]bool{100: true, 101: false} {
		if got := l.Extend("a", 0, 0, make([]byte, size)); got != want {
			t.Errorf("Extend of %d bytes with a limit of 100 = %v, want %v", size, got, want)
		}
	}
}

// TestExtendLeavesRoomForALargeMessage that found the log full, as Append does.
func TestExtendLeavesRoomForALargeMessage(t *testing.T) {
	l := session.NewLog(frame.Direct, session.Limits{BytesMax: 128 << 10})
	open(t, l)
	publish(t, l, "a", 4, 16_000)
	publish(t, l, "a", 1, 10)
	large := session.Message{Topic: "a", Payload: make([]byte, 100<<10)}
	if _, err := l.Append(large); err == nil {
		t.Fatal("Append of 100 KiB into 64 KiB of room succeeded")
	}
	if l.Extend("a", 0, 0, make([]byte, 10)) {
		t.Error("Extend took a small message while a large one waits for room")
	}
	l.Forgo()
	if !l.Extend("a", 0, 0, make([]byte, 10)) {
		t.Error("Extend took no small message after the large one went away")
	}
}
