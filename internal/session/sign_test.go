package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/session"
)

// signer signs the frames of a log, and writes down which.
type signer struct{ signed []string }

func (s *signer) sign(b frame.Relay) []byte {
	word := fmt.Sprintf("%d-%d", b.First, b.Last)
	if b.Continues {
		word = "+" + word
	}
	s.signed = append(s.signed, word)
	b.Origin, b.Incarnation = ident.NodeID{1}, 1
	if err := b.Sign(func([]byte) ([]byte, error) { return []byte("signature"), nil }); err != nil {
		panic(err)
	}
	return b.Raw
}

// said returns which frames were signed since the last call.
func (s *signer) said() string {
	all := strings.Join(s.signed, " ")
	s.signed = nil
	return all
}

// take returns what a cursor takes: "1-2 r3" is an EVENTS frame and a RELAY.
func take(t *testing.T, c *session.Cursor, most int) string {
	t.Helper()
	var words []string
	for _, f := range c.Take(nil, most) {
		raw, n, err := frame.Next(f)
		if err != nil || n != len(f) {
			t.Fatalf("frame %x: %v", f, err)
		}
		if raw.Type == frame.TypeRelay {
			b, err := frame.DecodeRelay(raw.Payload)
			if err != nil {
				t.Fatalf("frame %x: %v", f, err)
			}
			words = append(words, fmt.Sprintf("r%d-%d", b.First, b.Last))
			continue
		}
		e, err := frame.DecodeEvents(raw.Payload)
		if err != nil {
			t.Fatalf("frame %x: %v", f, err)
		}
		words = append(words, fmt.Sprintf("%d-%d", e.First, e.First+ident.Seq(e.Count)-1))
	}
	return strings.Join(words, " ")
}

// TestALogSigns: each frame once, for all cursors, in the order of the numbers; the node
// itself gets what it always got.
func TestALogSigns(t *testing.T) {
	log, s := session.NewLog(frame.Broadcast, session.Limits{}), &signer{}
	a, b, self := open(t, log), open(t, log), log.OpenBare()
	resume(t, self, 0)
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Fatalf("%s: %q, want %q", what, got, want)
		}
	}
	publish(t, log, "x", 2, 10)
	check("a takes before it begins", take(t, a, 1<<20), "1-2")
	log.SignWith(s.sign)
	publish(t, log, "x", 1, 10)
	check("self takes", take(t, self, 1<<20), "1-2 3-3")
	check("a waits for the signature", take(t, a, 1<<20), "")
	if !a.Pending() || !a.Passed(2) || a.Passed(3) || b.Passed(1) {
		t.Fatal("a has passed other than 1 and 2, or b has passed anything, or nothing is pending")
	}
	if !log.Sign(1) || log.Sign(1) {
		t.Fatal("Sign does not count frames")
	}
	check("signed", s.said(), "1-2 3-3")
	check("a takes", take(t, a, 1<<20), "r3-3")
	check("b takes", take(t, b, 1<<20), "r1-2 r3-3")
	publish(t, log, "x", 1, 2*session.PieceMax+1)
	log.Sign(10)
	check("pieces", s.said(), "4-4 +5-5 +6-6")
	log.SignWith(nil)
	publish(t, log, "y", 1, 10)
	check("after the end", take(t, a, 1<<20), "r4-4 r5-5 r6-6 7-7")
	resume(t, a, 3)
	check("again", take(t, a, 1<<20), "r4-4 r5-5 r6-6 7-7")
	log.SignWith(s.sign)
	log.Sign(10)
	check("what was signed is not signed again", s.said(), "7-7")
	if log.Sign(10) || s.said() != "" {
		t.Error("Sign finds more")
	}
}

// TestALogSignsWhatItForgets: members without a link get nothing else.
func TestALogSignsWhatItForgets(t *testing.T) {
	log, s := session.NewLog(frame.Broadcast, session.Limits{}), &signer{}
	self := log.OpenBare()
	resume(t, self, 0)
	log.SignWith(s.sign)
	for n := range 3 {
		publish(t, log, "x", 2, 10)
		take(t, self, 1<<20)
		if err := self.Acked(ident.Seq(2*n + 2)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.said(), "1-2 3-4 5-6"; got != want || log.Held() != 0 {
		t.Errorf("signed %q, %d bytes held; want %q, 0", got, log.Held(), want)
	}
	publish(t, log, "x", 2, 10)
	take(t, self, 1<<20)
	log.SignWith(nil)
	if err := self.Acked(8); err != nil || s.said() != "" {
		t.Errorf("Acked = %v; signed after the end", err)
	}
}

// TestWhatCannotBeSignedTravelsWithout: a broken signer stops nobody.
func TestWhatCannotBeSignedTravelsWithout(t *testing.T) {
	log := session.NewLog(frame.Broadcast, session.Limits{})
	a := open(t, log)
	log.SignWith(func(frame.Relay) []byte { return nil })
	publish(t, log, "x", 2, 10)
	log.Sign(1)
	if got := take(t, a, 1<<20); got != "1-2" {
		t.Errorf("a takes %q, want the frame as it is", got)
	}
}

// TestASignedFrameCountsAsItsEvents: windows and acknowledgements do not see the difference.
func TestASignedFrameCountsAsItsEvents(t *testing.T) {
	log, s := session.NewLog(frame.Broadcast, session.Limits{}), &signer{}
	bare, relay := log.OpenBare(), log.Open()
	const size = 20_000
	window := 2 * session.Cost(size+40, 1)
	for _, c := range []*session.Cursor{bare, relay} {
		if err := c.Resume(0, window); err != nil {
			t.Fatal(err)
		}
	}
	log.SignWith(s.sign)
	publish(t, log, "x", 5, size)
	log.Sign(10)
	if a, b := take(t, bare, 1<<20), take(t, relay, 1<<20); a != "1-1 2-2" || b != "r1-1 r2-2" {
		t.Errorf("in a window for two: %q and %q", a, b)
	}
	if err := relay.Acked(1); err != nil {
		t.Fatal(err)
	}
	if got := take(t, relay, 1<<20); got != "r3-3" {
		t.Errorf("after the first is acknowledged: %q", got)
	}
	if lost := relay.GiveUp(); lost != 4 || !relay.Passed(5) {
		t.Errorf("GiveUp = %d, passed 5: %t", lost, relay.Passed(5))
	}
	if !slices.Equal(s.signed, []string{"1-1", "2-2", "3-3", "4-4", "5-5"}) {
		t.Errorf("signed %q", s.signed)
	}
}
