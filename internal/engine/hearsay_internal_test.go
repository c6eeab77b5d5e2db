package engine

import (
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// accuser is a member that suspects others.
type accuser struct {
	t   *testing.T
	key *ident.Key
}

// newAccuser returns one that e lists.
func newAccuser(t *testing.T, e *Engine) accuser {
	t.Helper()
	key, err := ident.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	v := e.View()
	v.Members = append(v.Members, core.Member{Record: frame.Record{ID: key.ID(), Public: key.Public(), Incarnation: 1}})
	e.view.Store(&v)
	return accuser{t, key}
}

// says returns a suspicion of a record of a version.
func (a accuser) says(version uint64) frame.Suspicion {
	a.t.Helper()
	s := frame.Suspicion{Target: ident.NodeID{1}, Incarnation: 1, Version: version, By: a.key.ID()}
	if err := s.Sign(a.key.Sign); err != nil {
		a.t.Fatal(err)
	}
	return s
}

// drain lets the owner take all that waits, and returns how much that was.
func drain(e *Engine) (inputs int) {
	for ; len(e.inputs) > 0; inputs++ {
		(<-e.inputs)(time.Now())
	}
	return inputs
}

func TestASuspicionIsTakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := idle(t, nil)
		first, second := &handler{e: e, id: 1}, &handler{e: e, id: 2}
		a := newAccuser(t, e)
		s := a.says(1)
		for range 100 {
			for _, h := range []*handler{first, second} {
				if err := h.Receive(raws(t, s, 1)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := drain(e); got != 1 {
			t.Errorf("one suspicion from two peers made %d inputs, want 1", got)
		}
		s.Signature = []byte("not that of the one that was verified")
		if err := second.Receive(raws(t, s, 1)); err != nil {
			t.Errorf("what is known is not looked at again: %v", err)
		}
		for name, again := range map[string]func() frame.Suspicion{
			"another version":             func() frame.Suspicion { return a.says(2) },
			"another accuser":             func() frame.Suspicion { return newAccuser(t, e).says(1) },
			"the same after some seconds": func() frame.Suspicion { time.Sleep(hearsayFor); return a.says(1) },
		} {
			if err := first.Receive(raws(t, again(), 1)); err != nil {
				t.Fatal(err)
			}
			if got := drain(e); got != 1 {
				t.Errorf("%s made %d inputs, want 1", name, got)
			}
		}
		if got := e.dropped.suspicions.Load(); got != 0 {
			t.Errorf("%d suspicions count as dropped, want 0", got)
		}
	})
}

func TestSuspicionsThatAreDropped(t *testing.T) {
	e := idle(t, nil)
	a, stranger := newAccuser(t, e), newAccuser(t, idle(t, nil))
	forged := a.says(1)
	forged.Version++
	own := accuser{t, e.cfg.Key}
	for _, tt := range []struct {
		name    string
		s       frame.Suspicion
		err     error
		dropped uint64
	}{
		{"of this node itself, which went round", own.says(1), nil, 0},
		{"of nobody who is listed", stranger.says(1), nil, 1},
		{"with a signature of something else", forged, ident.ErrSignature, 1},
	} {
		before := e.dropped.suspicions.Load()
		h := &handler{e: e, id: 1}
		if err := h.Receive(raws(t, tt.s, 1)); !errors.Is(err, tt.err) {
			t.Errorf("%s: Receive = %v, want %v", tt.name, err, tt.err)
		}
		if got := e.dropped.suspicions.Load() - before; got != tt.dropped {
			t.Errorf("%s: %d dropped, want %d", tt.name, got, tt.dropped)
		}
		if got := drain(e); got != 0 {
			t.Errorf("%s: %d inputs, want none", tt.name, got)
		}
	}
	// The forgery has not taken the place of the real one.
	if err := (&handler{e: e, id: 2}).Receive(raws(t, a.says(2), 1)); err != nil || drain(e) != 1 {
		t.Errorf("the real suspicion after a forged one: %v, or no input", err)
	}
}

// Who is accused by somebody whom it refuses answers: the others wait for that.
func TestASuspicionOfThisNodeByAStrangerIsHeard(t *testing.T) {
	e := idle(t, nil)
	s := newAccuser(t, idle(t, nil)).says(1)
	s.Target = e.cfg.Key.ID()
	if err := (&handler{e: e, id: 1}).Receive(raws(t, s, 1)); err != nil {
		t.Fatal(err)
	}
	if got := drain(e); got != 1 {
		t.Errorf("%d inputs, want 1", got)
	}
}

// A member that suspects without end is heard no more than it may have a reason for, and
// costs neither the others their turn nor this node its memory.
func TestOneAccuserHasAShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := idle(t, nil)
		h, a, other := &handler{e: e, id: 1}, newAccuser(t, e), newAccuser(t, e)
		for n := range uint64(2 * hearsayShare) {
			if err := h.Receive(raws(t, a.says(n), 1)); err != nil {
				t.Fatal(err)
			}
		}
		if got, dropped := drain(e), e.dropped.suspicions.Load(); got != hearsayShare || dropped != hearsayShare {
			t.Errorf("%d inputs and %d dropped, want %d each", got, dropped, hearsayShare)
		}
		if err := h.Receive(raws(t, other.says(1), 1)); err != nil || drain(e) != 1 {
			t.Errorf("another member's suspicion: %v, or no input", err)
		}
		time.Sleep(hearsayFor)
		if err := h.Receive(raws(t, a.says(1), 1)); err != nil || drain(e) != 1 {
			t.Errorf("after a while: %v, or no input", err)
		}
		if got := len(e.hearsay.heard) + len(e.hearsay.order) + len(e.hearsay.by); got != 3 {
			t.Errorf("%d things are remembered, want 3", got)
		}
	})
}

func TestHearsayIsBounded(t *testing.T) {
	h, now := newHearsay(), time.Unix(1_000_000, 0)
	for n := range 3 * hearsayMax {
		if news, _ := h.news(now, frame.Statement{By: ident.NodeID{byte(n), byte(n >> 8)}, Version: uint64(n)}); !news {
			t.Fatalf("suspicion %d is no news", n)
		}
	}
	if len(h.heard) > hearsayMax || len(h.order) > hearsayMax || len(h.by) > hearsayMax {
		t.Errorf("%d suspicions of %d members are remembered, want at most %d", len(h.heard), len(h.by), hearsayMax)
	}
}

// What the owner had no room for may come again at once, from another peer.
func TestASuspicionWithoutRoomIsNotKnown(t *testing.T) {
	e := idle(t, nil)
	full, h := &handler{e: e, id: 1}, &handler{e: e, id: 2}
	full.waiting.Store(shareMax)
	s := newAccuser(t, e).says(1)
	if err := full.Receive(raws(t, s, 1)); err != nil || drain(e) != 0 {
		t.Fatalf("a link without room: %v, or an input", err)
	}
	if err := h.Receive(raws(t, s, 1)); err != nil || drain(e) != 1 {
		t.Errorf("the next link: %v, or no input", err)
	}
}

// A member that says too early what will be true once must not keep it from being heard
// then; but it has its share.
func TestASuspicionThatIsAheadIsNotKnown(t *testing.T) {
	e := idle(t, nil)
	h, a := &handler{e: e, id: 1}, newAccuser(t, e)
	self := e.core.Self()
	s := a.says(self.Version + 1)
	s.Target, s.Incarnation = self.ID, self.Incarnation
	if err := s.Sign(a.key.Sign); err != nil {
		t.Fatal(err)
	}
	for n := range 2 * hearsayShare {
		if err := h.Receive(raws(t, s, 1)); err != nil {
			t.Fatal(err)
		}
		want := 1
		if n >= hearsayShare {
			want = 0
		}
		if got := drain(e); got != want {
			t.Fatalf("time %d: %d inputs, want %d", n, got, want)
		}
	}
}
