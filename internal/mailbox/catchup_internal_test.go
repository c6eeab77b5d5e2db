package mailbox

import (
	"encoding/binary"
	"testing"

	"github.com/espial-go/espial/internal/ident"
)

// TestCatchUpRemembersSoMany: senders come and go for as long as a subscription lasts.
func TestCatchUpRemembersSoMany(t *testing.T) {
	var c CatchUp
	for i := range hadMax + 100 {
		var id ident.NodeID
		binary.BigEndian.PutUint32(id[:], uint32(i))
		if got := c.Take(nil, Entry{Run: Run{From: id, First: 1, Count: 1}}); len(got) != 1 {
			t.Fatalf("sender %d: %d entries", i, len(got))
		}
	}
	if len(c.had) > hadMax {
		t.Errorf("%d senders are remembered, want %d at most", len(c.had), hadMax)
	}
}
