package engine_test

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/session"
)

// E15: links that carried enough are replaced under load, again and again, and nothing
// that they carried is lost, repeated or out of order; nobody notices.
func TestLinksRotateUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		few := func(cfg *engine.Config) { cfg.RotateRecords = 1000 }
		a, b := c.start(few), c.start(few)
		c.waitFor(1)
		feed := a.Changes(t.Context())
		defer feed.Close()
		const count = 10_000
		q, err := b.Exchange().Subscribe("n", mailbox.Options{Policy: mailbox.Block})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		first := a.Peers()[0].Since
		done := make(chan error, 1)
		go func() {
			for i := range uint64(count) {
				m := session.Message{Topic: "n", Payload: binary.BigEndian.AppendUint64(nil, i)}
				if err := a.Exchange().Broadcast(t.Context(), true, m, nil); err != nil {
					done <- err
					return
				}
				time.Sleep(10 * time.Millisecond) // a record for each, or nearly
			}
			done <- nil
		}()
		for next := uint64(0); next < count; {
			batch, err := q.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range batch {
				for run := e.Data; len(run) > 0; next++ {
					var p []byte
					p, run = frame.NextPayload(run)
					if got := binary.BigEndian.Uint64(p); got != next {
						t.Fatalf("got message %d, want %d", got, next)
					}
				}
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if since := a.Peers()[0].Since; !since.After(first.Add(60 * time.Second)) {
			t.Errorf("the link is from %v after the first, want a younger one", since.Sub(first))
		}
		batch, _, err := feed.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range batch[2:] { // after listening, and b
			if change.Note != engine.NoteElection {
				t.Errorf("the rotations were reported: %+v", change)
			}
		}
	})
}

// A link is replaced when it is a day old, however little it carried.
func TestLinksRotateAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		calm := func(cfg *engine.Config) { cfg.SuspectAfter, cfg.RemoveAfter = 10*time.Minute, 30*time.Minute }
		a, _ := c.start(calm), c.start(calm)
		c.waitFor(1)
		first := a.Peers()[0].Since
		time.Sleep(24*time.Hour - time.Minute)
		if since := a.Peers()[0].Since; since != first {
			t.Errorf("a link was replaced %v after it came up", since.Sub(first))
		}
		time.Sleep(11 * time.Minute) // a probe falls into it
		peers := a.Peers()
		if len(peers) != 1 || !peers[0].Since.After(first) || len(a.View().Members) != 2 {
			t.Errorf("a day later: %+v, want a younger link with the same member", peers)
		}
	})
}
