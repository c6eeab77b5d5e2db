package exchange_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// speaker is a peer that says what a test wants.
type speaker struct {
	*exchange.Pair
	t *testing.T
}

// hear gives the pair an encoded frame.
func (s speaker) hear(b []byte) {
	s.t.Helper()
	raw, _, err := frame.Next(b)
	if err == nil {
		err = s.Receive(raw)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// open attaches a link over which the next message has a number.
func (s speaker) open(first, message ident.Seq) {
	s.t.Helper()
	s.Attach(&end{})
	s.Fill(nil, 1<<10) // what opens the session at this end
	var o frame.Open
	for i := range o.Lanes {
		o.Lanes[i] = frame.OpenLane{First: first, Message: message, Window: 1 << 20}
	}
	s.hear(o.Append(nil))
}

// piece gives the pair a message, or a piece of one.
func (s speaker) piece(lane frame.Lane, first, message ident.Seq, more bool, data []byte) {
	s.t.Helper()
	b := frame.BeginEvents(nil, frame.Events{
		Lane: lane, More: more, First: first, Message: message, Topic: []byte("a"),
	})
	b = frame.AppendPayload(b, data)
	frame.Seal(b)
	s.hear(b)
}

// TestPiecesOfSessionsThatAreOverCostNothing: who comes again and again, as another
// incarnation each time, and leaves large messages unfinished, leaves no memory behind.
// Should one of them go on, it gets no message for the half that was thrown away.
func TestPiecesOfSessionsThatAreOverCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newNode(t, 1, 0)
		a.run(t.Context())
		const sessions, pieces = 40, 30
		data := make([]byte, 32<<10)
		heap := func() int {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int(m.HeapAlloc) >> 20
		}
		before := heap()
		for i := range sessions {
			s := speaker{a.Pair(ident.NodeID{2}, ident.Incarnation(i+1), "x"), t}
			a.SetMembers([]*exchange.Pair{s.Pair})
			s.open(1, 1)
			for n := range ident.Seq(pieces) {
				s.piece(frame.Broadcast, n+1, 1, true, data)
				s.piece(frame.Direct, n+1, 1, true, data)
			}
			s.Detach()
		}
		time.Sleep(32 * time.Second)
		synctest.Wait()
		if got := heap() - before; got > 8 {
			t.Errorf("%d sessions that are over cost %d MiB", sessions, got)
		}
		q := a.subscribe(mailbox.Options{})
		s := speaker{a.Pair(ident.NodeID{2}, 1, "x"), t}
		a.SetMembers([]*exchange.Pair{s.Pair})
		s.open(pieces+1, 1)
		s.piece(frame.Broadcast, pieces+1, 1, true, data)
		s.piece(frame.Broadcast, pieces+2, 1, false, []byte("rest"))
		s.piece(frame.Broadcast, pieces+3, 2, false, []byte("next"))
		if got, want := read(t, q), "-1 a:next"; got != want {
			t.Errorf("read %.80q from a session that went on, want %q", got, want)
		}
	})
}
