package engine_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/engine"
	"github.com/espial-go/espial/internal/ident"
)

// The session with a killed process ends, and its messages are in doubt, when the node is
// back with another incarnation: half a minute before silence alone would end it.
func TestARestartEndsTheSessionOfTheFormerIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		a := c.start()
		began := time.Now()
		key, err := ident.NewKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		same := func(cfg *engine.Config) { cfg.Key = key }
		b := c.start(same)
		c.waitFor(1)
		feed := a.Changes(t.Context())
		defer feed.Close()
		c.kill(b)
		const sent = 3
		for i := range sent {
			if err := a.Exchange().Direct(t.Context(), key.ID(), message(fmt.Sprint(i)), nil); err != nil {
				t.Fatal(err)
			}
		}
		for {
			batch, _, err := feed.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, ch := range batch {
				switch {
				case ch.Note == engine.NoteInDoubt:
					if took := time.Since(began); ch.Count != sent || took > 10*time.Second {
						t.Errorf("%d messages in doubt after %v, want %d within 10s", ch.Count, took, sent)
					}
					return
				case ch.Note == engine.NoteNone && ch.Kind == core.RemovedNode:
					c.start(same)
				}
			}
		}
	})
}
