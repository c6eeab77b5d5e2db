package session_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/session"
)

// TestReignsTravelWithTheirMessages: a frame holds those of one reign, each piece of a
// large message says it, and the budget counts it.
func TestReignsTravelWithTheirMessages(t *testing.T) {
	l := session.NewLog(frame.Direct, session.Limits{})
	c := open(t, l)
	one, other := &session.Reign{Election: "jobs", Term: 7}, &session.Reign{Term: 8}
	for _, tt := range []struct {
		reign       *session.Reign
		count, size int
	}{
		{nil, 2, 10}, {one, 2, 10}, {other, 1, 10}, {nil, 1, 10}, {other, 1, 2*session.PieceMax + 1}, {one, 1, 10},
	} {
		for range tt.count {
			m := session.Message{Topic: "a", Payload: make([]byte, tt.size), Reign: tt.reign}
			if _, err := l.Append(m); err != nil {
				t.Fatalf("Append of %d bytes in %+v: %v", tt.size, tt.reign, err)
			}
		}
	}
	held, cost := l.Held(), 0
	var got []string
	for _, f := range c.Take(nil, 1<<30) {
		raw, _, _ := frame.Next(f)
		e, err := frame.DecodeEvents(raw.Payload)
		if err != nil {
			t.Fatal(err)
		}
		election, term := e.Reign()
		got = append(got, fmt.Sprintf("%d in %s/%d", e.Count, election, term))
		cost += session.Cost(len(raw.Payload), e.Count)
	}
	want := "2 in /0, 2 in jobs/7, 1 in /8, 1 in /0, 1 in /8, 1 in /8, 1 in /8, 1 in jobs/7"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("frames %s, want %s", s, want)
	}
	if held != cost {
		t.Errorf("the log counts %d bytes, the frames have %d", held, cost)
	}
}

func TestAppendAsLeaderAllocatesNothing(t *testing.T) {
	s := newSender(t, 1, 128)
	reigns := []*session.Reign{{Election: "jobs", Term: 7}, {Election: "jobs", Term: 8}}
	turn := func() {
		for i := range 100 {
			s.message.Reign = reigns[i%2]
			s.turn(t, 1)
		}
	}
	turn()
	if n := testing.AllocsPerRun(20, turn); n > 0 {
		t.Errorf("100 messages of leaders allocate %v times, want 0", n)
	}
}
