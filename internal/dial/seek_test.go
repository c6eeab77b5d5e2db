package dial_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/dial"
)

// TestListedMembersAreDialledOnRequest: in a partial mesh most members have no link here.
func TestListedMembersAreDialledOnRequest(t *testing.T) {
	w := newWorld(t, always(refused))
	w.found(addr(1), dial.Multicast, 1)
	w.s.Remember(w.now, id(2), []string{addr(2)})
	w.s.Listed(id(1), true)
	w.s.Listed(id(2), true)
	if got := w.run(time.Minute); len(got) > 0 {
		t.Fatalf("dials %+v to members that are listed, want none", got)
	}
	w.s.Seek(w.now, id(1), []string{addr(1)}, true)
	w.s.Want(w.now, id(2))
	if got := w.run(time.Minute); len(got) != 2 {
		t.Errorf("dials %+v, want one for each request", got)
	}
	w.s.Listed(id(2), false)
	if got := times(w.run(10*time.Second), addr(2)); len(got) < 10 {
		t.Errorf("%d dials in 10 s of who was lost, want one each second", len(got))
	}
}

// TestASeedThatIsAMemberNeedsNoDial: all nodes have the same seeds.
func TestASeedThatIsAMemberNeedsNoDial(t *testing.T) {
	w := newWorld(t, always(answer{dial.Outcome{Kind: dial.Full, ID: id(1)}, time.Millisecond}))
	w.found(addr(1), dial.Seed, 0)
	if got := times(w.run(10*time.Second), ""); len(got) < 9 {
		t.Errorf("%d dials in 10 s of a seed that was full, want one each second", len(got))
	}
	w.s.Listed(id(1), true)
	if got := times(w.run(time.Minute), ""); len(got) > 0 {
		t.Errorf("%d dials of a seed that is a member, want none", len(got))
	}
}

func TestSeekTriesTheAddressThatFailedLeast(t *testing.T) {
	w := newWorld(t, always(refused))
	w.s.Listed(id(1), true)
	addrs := []string{addr(1), addr(2), addr(3)}
	var got []string
	for range 4 {
		w.s.Seek(w.now, id(1), addrs, true)
		for _, d := range w.run(time.Second) {
			got = append(got, d.Addr)
		}
	}
	want := []string{addr(1), addr(2), addr(3), addr(1)}
	if len(got) != 4 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("dialled %v, want %v", got, want)
	}
}

// TestWhoParts: nothing follows from a link that nobody needs.
func TestWhoParts(t *testing.T) {
	w := newWorld(t, always(refused))
	w.s.Remember(w.now, id(1), []string{addr(1)})
	w.s.Linked(w.now, id(1), addr(1), true)
	w.s.Parted(id(1))
	if got := times(w.run(10*time.Second), ""); len(got) < 9 {
		t.Errorf("%d dials in 10 s, want one each second: it was to be found again before", len(got))
	}
}

// TestAskLeavesRoomForWhatCannotWait: a node that has something to say to many members must
// find out within 200 ms whether a peer of it crashed.
func TestAskLeavesRoomForWhatCannotWait(t *testing.T) {
	w := newWorld(t, always(refused))
	for n := 1; n <= 41; n++ {
		w.s.Listed(id(n), true)
	}
	for n := 1; n <= 40; n++ {
		w.s.Ask(w.now, id(n), []string{addr(n)})
	}
	asked := w.run(500 * time.Millisecond)
	if len(asked) < 8 || len(asked) > 9 {
		t.Errorf("%d dials at once, want 9 of the 10 that a second has", len(asked))
	}
	w.s.Seek(w.now, id(41), []string{addr(41)}, true)
	if got := w.run(100 * time.Millisecond); len(got) != 1 || got[0].Addr != addr(41) {
		t.Errorf("dials %+v, want the one that cannot wait", got)
	}
	if got := len(asked) + len(w.run(10*time.Second)); got != 40 {
		t.Errorf("%d dials, want one for each of the 40 that were asked for", got)
	}
}

// TestStrangersLeaveRoomForRequests: many strangers are found at once, and then a member is
// needed.
func TestStrangersLeaveRoomForRequests(t *testing.T) {
	for _, spare := range []int{0, 5} {
		w := newWorld(t, always(refused))
		w.s = newScheduler(dial.Config{Spare: spare}, 1)
		for n := range 20 {
			w.found(addr(100+n), dial.Multicast, 100+n)
		}
		strangers := len(w.run(500 * time.Millisecond))
		for n := range 5 {
			w.s.Listed(id(1+n), true)
			w.s.Seek(w.now, id(1+n), []string{addr(1 + n)}, true)
		}
		requests := len(w.run(100 * time.Millisecond))
		if kept := max(spare, 1); strangers != dial.RateMaxDefault-kept || requests != kept {
			t.Errorf("with %d to spare %d strangers and %d members were dialled, want %d and %d",
				spare, strangers, requests, dial.RateMaxDefault-kept, kept)
		}
	}
}
