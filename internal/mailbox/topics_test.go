package mailbox_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/mailbox"
)

func TestTopics(t *testing.T) {
	box := mailbox.New(func() {})
	s := newSender(box, 'a', frame.Broadcast)
	s.send("nobody.reads", 2)
	subscribe(t, box, "orders.*", mailbox.Options{})
	subscribe(t, box, "orders.placed", mailbox.Options{})
	subscribe(t, box, "later", mailbox.Options{})
	s.send("orders.placed", 3)
	s.send("orders.placed", 1)
	s.send("orders.paid", 1)
	again := s.run(1, 8) // what came as a broadcast, once more for a group
	again.Group = []byte("workers")
	box.Deliver(&s.route, []byte("orders.paid"), again, s)
	want := []mailbox.Topic{
		{Name: "later", Subscriptions: 1},
		{Name: "nobody.reads", Messages: 2},
		{Name: "orders.*", Subscriptions: 1},
		{Name: "orders.paid", Messages: 1, Subscriptions: 1},
		{Name: "orders.placed", Messages: 4, Subscriptions: 2},
	}
	if got := box.Topics(); !slices.Equal(got, want) {
		t.Errorf("Topics() = %+v, want %+v", got, want)
	}
}

// TestTopicsHaveALimit: a peer that makes names up fills no memory.
func TestTopicsHaveALimit(t *testing.T) {
	box := mailbox.New(func() {})
	s := newSender(box, 'a', frame.Broadcast)
	for i := range 10_000 {
		s.send(fmt.Sprint("made.up.", i), 1)
	}
	if n := len(box.Topics()); n != 4096 {
		t.Errorf("%d topics are known, want 4096", n)
	}
}
