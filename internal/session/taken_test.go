package session_test

import (
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

func TestTaken(t *testing.T) {
	l := session.NewLog(frame.Calls, session.Limits{})
	c := open(t, l)
	for _, tt := range []struct {
		name string
		do   func()
		want ident.Seq
	}{
		{"nothing was published", func() {}, 0},
		{"nothing was taken", func() { publish(t, l, "a", 2, 10) }, 0},
		{"a frame of two", func() { c.Take(nil, 1) }, 2},
		{"more is published", func() { publish(t, l, "a", 1, 10) }, 2},
		{"the first is acknowledged", func() { acked(t, c, 1) }, 2},
		{"all that was taken is", func() { acked(t, c, 2) }, 2},
		{"the rest is taken", func() { c.Take(nil, 1) }, 3},
		{"one in three pieces", func() { publish(t, l, "a", 1, 2*session.PieceMax+1) }, 3},
		{"its first piece is taken", func() { c.Take(nil, 1) }, 4},
		{"a new link sends it again", func() {
			if err := c.Resume(3, session.WindowDefault); err != nil {
				t.Error(err)
			}
		}, 4},
		{"all is given up", func() { c.GiveUp() }, 4},
		{"and more is published", func() { publish(t, l, "a", 1, 10) }, 4},
		{"nobody can tell of a session that ended", func() { c.Close() }, 5},
	} {
		tt.do()
		if got := c.Taken(); got != tt.want {
			t.Errorf("%s: Taken() = %d, want %d", tt.name, got, tt.want)
		}
	}
}
