package exchange_test

import (
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/exchange"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/mailbox"
)

// TestPostGoesBetweenWhatDirectPublishes, to each of two members in turn.
func TestPostGoesBetweenWhatDirectPublishes(t *testing.T) {
	a, b := newNode(t, 1, 0), newNode(t, 2, 0)
	q := b.subscribe(mailbox.Options{})
	w := link(t, a, b)
	post := func(i int) bool {
		m := message("d", i, 0)
		return a.Post(&b.id, m.Topic, m.Codec, m.Payload)
	}
	if post(1) {
		t.Error("Post published into a frame that nobody has begun")
	}
	a.direct(b, 1, 1, 0)
	if !post(2) {
		t.Error("Post did not publish into the frame that was begun")
	}
	if stranger := (ident.NodeID{9}); a.Post(&stranger, "d", 0, nil) {
		t.Error("Post published to nobody")
	}
	a.direct(a, 1, 1, 0)
	if !post(3) {
		t.Error("Post did not find the member that another one was found after")
	}
	if err := a.Direct(t.Context(), b.id, message("e", 4, 0), nil); err != nil {
		t.Fatal(err)
	}
	if post(5) {
		t.Error("Post published into a frame of another topic")
	}
	if w.ends[0].woken() == 0 {
		t.Error("nobody woke the writer")
	}
	w.carry()
	if got, want := read(t, q), "d:1 d:2 d:3 e:4"; got != want {
		t.Errorf("the member got %s, want %s", got, want)
	}
	if post(6) {
		t.Error("Post published into a frame that has left")
	}
	a.direct(b, 6, 6, 0)
	w.cut()
	if post(7) {
		t.Error("Post published to a member without a link")
	}
}

// TestWhatIsPostedIsCounted: within 4 KiB at once, and exactly once it is acknowledged.
func TestWhatIsPostedIsCounted(t *testing.T) {
	a, b := newNode(t, 1, 0), newNode(t, 2, 0)
	q := b.subscribe(mailbox.Options{})
	w := link(t, a, b)
	const messages, cost = 900, 1 + 64
	a.direct(b, 1, messages, 0)
	if got, least := a.held(), uint64(messages*cost-4<<10); got < least {
		t.Errorf("%d direct bytes are counted, want %d at least", got, least)
	}
	w.carry()
	if got := len(strings.Fields(read(t, q))); got != messages {
		t.Errorf("%d messages arrived, want %d", got, messages)
	}
	b.direct(a, 1, 1, 0) // takes the acknowledgement along
	w.carry()
	if got := a.held(); got != 0 {
		t.Errorf("%d direct bytes are counted when all is acknowledged, want 0", got)
	}
}

// TestNothingIsPostedAfterTheEnd: the error is for Direct to return.
func TestNothingIsPostedAfterTheEnd(t *testing.T) {
	a := newNode(t, 1, 0)
	self := &end{pair: a.Member(a.id)}
	self.pair.Attach(self)
	a.direct(a, 1, 1, 0)
	if !a.Post(&a.id, "d", 0, nil) {
		t.Error("Post did not publish before Close")
	}
	a.Close()
	if a.Post(&a.id, "d", 0, nil) {
		t.Errorf("Post published after Close, want what makes Direct return %v", exchange.ErrClosed)
	}
}
