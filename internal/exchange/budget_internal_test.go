package exchange

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gossip"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// TestAllDirectLogsHaveOneLimit: beyond 256 MiB in those of all members nothing enters any of
// them, however empty it is, and who waits goes on a second after others made room.
func TestAllDirectLogsHaveOneLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := New(Config{Self: ident.NodeID{1}, Incarnation: 1, EventMax: 1 << 20})
		defer x.Close()
		id := ident.NodeID{2}
		p := x.Pair(id, 1, "b")
		x.SetMembers([]*Pair{p}, &gossip.Graph{})
		p.Attach(newLoop(p))
		m := session.Message{Topic: "d", Class: frame.ClassReliable}
		x.direct.Store(256 << 20)
		if err := x.TryDirect(id, m, nil); err != nil {
			t.Errorf("with 256 MiB in other logs: %v", err)
		}
		x.direct.Store(256 << 20)
		if !x.Post(&id, m.Topic, 0, nil) {
			t.Error("with 256 MiB: a message was not posted")
		}
		x.direct.Add(1)
		if err := x.TryDirect(id, m, nil); !errors.Is(err, session.ErrFull) {
			t.Errorf("with more than 256 MiB: %v, want %v", err, session.ErrFull)
		}
		if x.Post(&id, m.Topic, 0, nil) {
			t.Error("with more than 256 MiB: a message was posted")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := x.Call(ctx, id, Request{Method: "m"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with more than 256 MiB: Call = %v, want %v", err, context.DeadlineExceeded)
		} else if failed, ok := errors.AsType[*CallError](err); !ok || failed.Sent {
			t.Errorf("with more than 256 MiB: Call = %v, want that it was not sent", err)
		}
		time.AfterFunc(500*time.Millisecond, func() { x.direct.Add(-1 << 20) })
		ctx, cancel = context.WithTimeout(t.Context(), time.Second+time.Millisecond)
		defer cancel()
		if err := x.Direct(ctx, id, m, nil); err != nil {
			t.Errorf("Direct = %v, want that it goes on within a second", err)
		}
	})
}
