package exchange_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
	"github.com/espial-go/espial/internal/session"
)

// TestWhatAFormerLeaderSendsIsRefused: broadcasts, direct messages and large ones; it is
// acknowledged all the same, is no loss, and what needs no leader goes on.
func TestWhatAFormerLeaderSendsIsRefused(t *testing.T) {
	synctest.Test(t, formerLeader)
}

func formerLeader(t *testing.T) {
	known := map[string]ident.Term{"": 8, "jobs": 3}
	a := newNode(t, 1, 0)
	b := &node{t: t, id: ident.NodeID{2}}
	b.Exchange = exchange.New(exchange.Config{
		Self: b.id, Incarnation: 1, Name: "b", EventMax: 1 << 20,
		Stale: func(election []byte, term ident.Term) bool { return term < known[string(election)] },
	})
	w := link(t, a, b)
	q := b.subscribe(mailbox.Options{})
	publish := func(text string, size int, r *session.Reign) {
		t.Helper()
		m := message("a", text, size)
		m.Reign = r
		if err := a.Broadcast(t.Context(), false, m, nil); err != nil {
			t.Fatalf("Broadcast: %v", err)
		}
		if err := a.Direct(t.Context(), b.id, m, nil); err != nil {
			t.Fatalf("Direct: %v", err)
		}
	}
	publish("needs-none", 1, nil)
	publish("old", 1, &session.Reign{Term: 7})
	publish("old-and-large", 100_000, &session.Reign{Term: 7})
	publish("present", 1, &session.Reign{Term: 8})
	publish("news", 1, &session.Reign{Term: 9})
	publish("of-another-election", 1, &session.Reign{Election: "jobs", Term: 3})
	publish("large", 100_000, &session.Reign{Election: "jobs", Term: 4})
	publish("old-of-another", 1, &session.Reign{Election: "jobs", Term: 2})
	publish("unknown", 1, &session.Reign{Election: "else", Term: 1})
	w.carry()

	want := map[string]ident.Term{
		"needs-none": 0, "present": 8, "news": 9, "of-another-election": 3, "large": 4, "unknown": 1,
	}
	lanes := [2]map[string]ident.Term{{}, {}}
	batch, err := q.Next(t.Context())
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	for _, e := range batch {
		if e.Count != 1 {
			t.Fatalf("an entry of %d messages, lost %+v", e.Count, e.Lost)
		}
		payload, _ := frame.NextPayload(e.Data)
		lanes[e.Lane][strings.TrimRight(string(payload), " ")] = e.Term
	}
	for lane, got := range lanes {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lane %d (-want +got):\n%s", lane, diff)
		}
	}
	if _, dropped := b.Figures(); dropped["stale_terms"] != 6 || dropped["topics"] != 0 {
		t.Errorf("dropped %v, want 6 of stale_terms", dropped)
	}
	time.Sleep(time.Second)
	w.carry() // the acknowledgements
	if !a.Drained() {
		t.Error("what was refused is not acknowledged")
	}
}
