package mailbox_test

import (
	"fmt"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

func TestLossesAreCountedForEachSenderAndTopic(t *testing.T) {
	box := mailbox.New(func() {})
	q := subscribe(t, box, ">", mailbox.Options{MessagesMax: 2})
	s1, s2 := newSender(box, 1, frame.Broadcast), newSender(box, 2, frame.Broadcast)
	for range 5 {
		s1.send("a", 1)
		s1.send("b", 2)
		s2.send("a", 3)
	}
	if got, want := next(t, q), "a1:-5 b1:-10 a2:-13 a2:14-15"; got != want {
		t.Errorf("Next = %q, want %q", got, want)
	}
	s1.send("a", 3)
	if got, want := next(t, q), "a1:-1 a1:17-18"; got != want {
		t.Errorf("Next = %q, want %q: counted from the last Next on", got, want)
	}
}

// TestLossesOfTheLanesAreToldApart: their numbers have nothing to do with each other.
func TestLossesOfTheLanesAreToldApart(t *testing.T) {
	box := mailbox.New(func() {})
	q := subscribe(t, box, "a", mailbox.Options{MessagesMax: 1, Policy: mailbox.DropOldest})
	for lane, count := range []int{3, 4} {
		newSender(box, 1, frame.Lane(lane)).send("a", count)
	}
	batch, err := q.Next(t.Context())
	if err != nil || len(batch) != 4 {
		t.Fatalf("Next = %d entries, %v; want 4", len(batch), err)
	}
	for lane, want := range []uint64{2, 3} {
		if got := batch[lane].Lost; got.Lane != frame.Lane(lane) || got.Count != want {
			t.Errorf("lost %d of lane %d, want %d of lane %d", got.Count, got.Lane, want, lane)
		}
	}
}

func TestLossesOfTheSessionKeepTheirPlace(t *testing.T) {
	tests := []struct {
		name   string
		policy mailbox.Policy
		want   string
	}{
		{"within the limit", mailbox.Auto, "a1:1 1:-5+ a1:2 1:-1 2:-7"},
		{"beyond it, withholding", mailbox.Block, "a1:1 1:-5+ a1:2 1:-1 2:-7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			box := mailbox.New(func() {})
			q := subscribe(t, box, "a", mailbox.Options{Policy: tt.policy})
			s := newSender(box, 1, frame.Broadcast)
			s.send("a", 1)
			box.Lost(mailbox.Loss{From: s.id, Count: 2})
			box.Lost(mailbox.Loss{From: s.id, Count: 3, Unknown: true})
			s.send("a", 1)
			box.Lost(mailbox.Loss{From: s.id, Count: 1})
			box.Lost(mailbox.Loss{From: ident.NodeID{2}, Count: 7})
			if got := next(t, q); got != tt.want {
				t.Errorf("Next = %q, want %q", got, tt.want)
			}
		})
	}
}

// TestLossesOfOthersAreNotTold to who wants some senders only, or direct messages only.
func TestLossesOfOthersAreNotTold(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    mailbox.Options
		want string
	}{
		{"from all", mailbox.Options{}, "1:-1 2:-2 2:-4"},
		{"from one", mailbox.Options{From: func(id ident.NodeID) bool { return id[0] == 2 }}, "2:-2 2:-4"},
		{"direct ones", mailbox.Options{DirectOnly: true}, "2:-4"},
	} {
		box := mailbox.New(func() {})
		q := subscribe(t, box, "a", tt.o)
		box.Lost(mailbox.Loss{From: ident.NodeID{1}, Count: 1})
		box.Lost(mailbox.Loss{From: ident.NodeID{2}, Count: 2})
		box.Lost(mailbox.Loss{From: ident.NodeID{2}, Lane: frame.Direct, Count: 4})
		if got := next(t, q); got != tt.want {
			t.Errorf("%s: Next = %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestLossesAreBounded: two peers whose numbers jump all the time cannot fill the
// memory of a reader that sleeps, whatever its policy (invariant D5).
func TestLossesAreBounded(t *testing.T) {
	for policy, wantEnd := range map[mailbox.Policy]string{
		mailbox.Block: "", mailbox.DropOldest: "", mailbox.Fail: mailbox.ErrLagged.Error(),
	} {
		box := mailbox.New(func() {})
		q := subscribe(t, box, "a", mailbox.Options{MessagesMax: 10, Policy: policy})
		for i := range 3000 {
			box.Lost(mailbox.Loss{From: ident.NodeID{byte(i % 3)}, Count: 1})
		}
		batch, err := q.Next(t.Context())
		total := uint64(0)
		for _, e := range batch {
			total += e.Lost.Count
		}
		if len(batch) > 13 || err != nil || policy != mailbox.Fail && total != 3000 {
			t.Errorf("policy %d: %d losses in %d entries, %v", policy, total, len(batch), err)
		}
		if got := next(t, q); got != wantEnd {
			t.Errorf("policy %d: Next = %q, want %q", policy, got, wantEnd)
		}
	}
}

// TestManyLossesAreCountedTogether: the count stays exact when the places end.
func TestManyLossesAreCountedTogether(t *testing.T) {
	box := mailbox.New(func() {})
	q := subscribe(t, box, ">", mailbox.Options{MessagesMax: 1})
	for i := range 200 {
		for topic := range 5 {
			s := newSender(box, byte(i), frame.Broadcast)
			s.send(fmt.Sprintf("t%d", topic), 1)
		}
	}
	batch, err := q.Next(t.Context())
	total := uint64(0)
	for _, e := range batch {
		total += e.Lost.Count
	}
	if total != 999 || len(batch) > 140 || err != nil {
		t.Errorf("%d losses in %d entries, %v; want 999", total, len(batch), err)
	}
}
