package dial_test

import (
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/ident"
)

func TestSeedIsDialledAtOnceAndUnpinned(t *testing.T) {
	w := newWorld(t, always(hole))
	w.s.Found(w.now, dial.Candidate{Addr: "Seed.Example:7000", Source: dial.Seed, ID: id(7)})
	got := w.run(0)
	want := []dialed{{0, dial.Start{Number: 1, Addr: "seed.example:7000", Source: dial.Seed}}}
	if !slices.Equal(got, want) {
		t.Errorf("dials %+v, want %+v", got, want)
	}
}

// TestRefusedSeedIsDialledEverySecondForLife: nothing else finds a cluster whose only
// known address comes back after an hour.
func TestRefusedSeedIsDialledEverySecondForLife(t *testing.T) {
	for name, a := range map[string]answer{"refused": refused, "in a black hole": hole} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, always(a))
			w.found(addr(1), dial.Seed, 0)
			at := times(w.run(time.Hour), "")
			if shortest, longest := gaps(at); shortest < dial.Spacing || longest > time.Second || len(at) < 3600 {
				t.Errorf("%d dials in an hour, %v to %v apart; want at least 3600, 800ms to 1s apart",
					len(at), shortest, longest)
			}
		})
	}
}

// TestManySeedsAndLostNodesTakeTurns: 200 addresses that swallow packets.
func TestManySeedsAndLostNodesTakeTurns(t *testing.T) {
	w := newWorld(t, always(hole))
	for n := range 100 {
		w.found(addr(n), dial.Seed, 0)
		w.s.Remember(w.now, id(1000+n), []string{addr(1000 + n)})
	}
	first := times(w.run(2*time.Minute), "")
	if n := most(first, time.Second); n > dial.RateMaxDefault {
		t.Errorf("%d dials started within a second, want at most %d", n, dial.RateMaxDefault)
	}
	if _, longest := gaps(first); longest > time.Second {
		t.Errorf("no dial for %v, want at most 1s", longest)
	}
	later := w.run(5 * time.Minute)
	for n := range 100 {
		for _, a := range []string{addr(n), addr(1000 + n)} {
			if len(times(later, a)) == 0 {
				t.Errorf("%s was not dialled for 5 minutes; 200 turns take 200 s", a)
			}
		}
	}
}

func TestStrangerBacksOff(t *testing.T) {
	w := newWorld(t, always(refused))
	w.found(addr(1), dial.Multicast, 200)
	const named = 2 * time.Second // how often its beacon comes
	for w.now.Sub(start) < time.Hour {
		w.run(named)
		w.found(addr(1), dial.Multicast, 200)
	}
	at := times(w.log, "")
	// Waits are drawn up to 2, 4, 8, 16, 32, 60 s: six dials in a minute at the least.
	if n := len(at); n < 60 || n > 250 {
		t.Errorf("%d dials of a refused stranger in an hour, want about 120", n)
	}
	for i, ceiling := 1, 2*time.Second; i < len(at); i++ {
		gap := at[i] - at[i-1]
		if limit := min(ceiling, time.Minute) + named; gap < dial.BackoffMin || gap > limit {
			t.Errorf("dial %d came %v after the one before, want %v to %v", i, gap, dial.BackoffMin, limit)
		}
		ceiling = min(2*ceiling, time.Minute)
	}
}

func TestStrangerThatNobodyNamesIsForgotten(t *testing.T) {
	w := newWorld(t, always(refused))
	w.found(addr(1), dial.Multicast, 200)
	w.run(dial.StrangerAge + 2*time.Minute)
	if n := w.s.Stats().Candidates; n != 0 {
		t.Errorf("%d candidates %v after the last beacon, want 0", n, w.now.Sub(start))
	}
	w.found(addr(1), dial.Multicast, 200)
	if got := w.run(0); len(got) != 1 {
		t.Errorf("dials of a forgotten stranger that is named again: %v, want one", got)
	}
}

func TestLowerIDDialsFirst(t *testing.T) {
	tests := []struct {
		name string
		id   int
		want time.Duration
	}{
		{"the lower ID dials at once", 101, 0},
		{"the higher ID waits", 99, 30 * time.Millisecond},
		{"an unknown ID is dialled at once", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, source := range []dial.Source{dial.Multicast, dial.Peer, dial.Inbound} {
				w := newWorld(t, always(hole))
				w.found(addr(1), source, tt.id)
				if got := times(w.run(500*time.Millisecond), ""); !slices.Equal(got, []time.Duration{tt.want}) {
					t.Errorf("named by %v: dialled at %v, want at %v", source, got, tt.want)
				}
			}
		})
	}
}

func TestLinkedNodeIsNotDialled(t *testing.T) {
	w := newWorld(t, always(refused))
	w.s.Linked(w.now, id(200), addr(1), false)
	w.found(addr(1), dial.Multicast, 200)
	w.found(addr(2), dial.Peer, 200)
	w.s.Remember(w.now, id(200), []string{addr(3)})
	w.s.Want(w.now, id(200))
	if got := w.run(time.Minute); len(got) != 0 {
		t.Errorf("dials of a linked node: %v", got)
	}
}

// TestSeedIsNotDialledWhileItsNodeIsLinked: who lives at a seed is known by dialling it,
// never by what somebody says of himself.
func TestSeedIsNotDialledWhileItsNodeIsLinked(t *testing.T) {
	w := newWorld(t, always(answer{dial.Outcome{Kind: dial.Duplicate, ID: id(200)}, time.Millisecond}))
	w.found(addr(1), dial.Seed, 0)
	w.s.Linked(w.now, id(200), addr(1), false)
	if got := w.run(time.Minute); len(got) != 1 {
		t.Errorf("%d dials of a seed whose node is linked, want the one that tells who it is", len(got))
	}
	w.s.Unlinked(w.now, id(200), nil)
	if got := w.run(0); len(got) != 1 {
		t.Errorf("%d dials of the seed at once after the link broke, want 1", len(got))
	}
}

func TestBrokenLinkIsRedialledAtOnceWhereItWas(t *testing.T) {
	w := newWorld(t, always(answer{dial.Outcome{Kind: dial.OK, ID: id(50)}, time.Millisecond}))
	w.found(addr(2), dial.Peer, 50)
	w.run(dial.HigherWait)
	w.s.Linked(w.now, id(50), addr(2), true)
	w.run(10 * time.Second)

	w.answer = always(hole)
	w.s.Unlinked(w.now, id(50), []string{addr(2), addr(1), addr(3)})
	if got := addrs(w.run(0)); !slices.Equal(got, []string{addr(2)}) {
		t.Errorf("dials at once: %v, want %s alone, where it was linked", got, addr(2))
	}
	// One dial of a node at a time: the other addresses follow when this one gave up.
	if got := times(w.run(dial.TurnMax-1), ""); len(got) != 0 {
		t.Errorf("dials while one is in flight: at %v", got)
	}
	w.run(2 * time.Second)
	if got := addrs(w.log)[2:]; !slices.Contains(got, addr(1)) || !slices.Contains(got, addr(3)) {
		t.Errorf("dials within 3 s: %v, want all three addresses", got)
	}
}

// TestRedialDoesNotLoop: a node that accepts links and drops them at once is not dialled
// in a loop, even on loopback, where no rate applies.
func TestRedialDoesNotLoop(t *testing.T) {
	const here = "127.0.0.1:7000"
	w := newWorld(t, nil)
	w.answer = func(dial.Start) answer {
		w.s.Unlinked(w.now, id(200), []string{here})
		return answer{dial.Outcome{Kind: dial.OK, ID: id(200)}, 100 * time.Microsecond}
	}
	w.s.Unlinked(w.now, id(200), []string{here})
	if n := most(times(w.run(time.Minute), ""), dial.Spacing); n > 2 {
		t.Errorf("%d dials within %v, want one and one redial", n, dial.Spacing)
	}
}

// TestRedialGoesFirst: a crash is told from a cut although seeds and strangers use up
// the rate.
func TestRedialGoesFirst(t *testing.T) {
	w := newWorld(t, always(hole))
	for n := range 200 {
		w.found(addr(n), dial.Multicast, 1000+n)
	}
	w.run(5 * time.Second)
	w.s.Unlinked(w.now, id(300), []string{addr(300)})
	if got := addrs(w.run(0)); !slices.Equal(got, []string{addr(300)}) {
		t.Errorf("dials at once after a link broke: %v, want its address", got)
	}
}

func TestWantOvertakesBackoff(t *testing.T) {
	w := newWorld(t, always(refused))
	w.s.Remember(w.now, id(200), []string{addr(200)})
	for n := range 60 {
		w.s.Remember(w.now, id(201+n), []string{addr(201 + n)})
	}
	w.run(10 * time.Minute)
	w.s.Want(w.now, id(200))
	if got := addrs(w.run(0)); !slices.Contains(got, addr(200)) {
		t.Errorf("dials at once after Want: %v, want %s", got, addr(200))
	}
	w.s.Want(w.now, ident.NodeID{})
	w.s.Want(w.now, id(9999))
}

// TestPeerNamesALostNode: the first link over a healed split brings the records of all
// on the other side, and these are then dialled without waiting for their turns.
func TestPeerNamesALostNode(t *testing.T) {
	w := newWorld(t, always(hole))
	for n := range 40 {
		w.s.Remember(w.now, id(200+n), []string{addr(200 + n)})
	}
	w.run(time.Hour)
	w.answer = func(d dial.Start) answer { return answer{dial.Outcome{Kind: dial.OK, ID: d.ID}, time.Millisecond} }
	for n := range 8 {
		w.found(addr(200+n), dial.Peer, 200+n)
	}
	got := addrs(w.run(1200 * time.Millisecond))
	for n := range 8 {
		if !slices.Contains(got, addr(200+n)) {
			t.Errorf("%s was not dialled within 1.2 s after a peer named it; dialled: %v", addr(200+n), got)
		}
	}
}

func TestRejectedNodeRestsAtAllItsAddresses(t *testing.T) {
	rejected := answer{dial.Outcome{Kind: dial.Rejected, ID: id(200)}, time.Millisecond}
	w := newWorld(t, always(rejected))
	w.found(addr(1), dial.Seed, 0)
	w.run(10 * time.Millisecond)
	w.found(addr(2), dial.Multicast, 200)
	w.found(addr(3), dial.Peer, 200)
	w.s.Remember(w.now, id(200), []string{addr(4)})
	w.s.Want(w.now, id(200))
	if got := w.run(dial.RejectedRest - 10*time.Millisecond); len(got) != 0 {
		t.Errorf("dials within a minute of a rejection: %v", got)
	}
	if got := w.run(10 * time.Millisecond); len(got) == 0 {
		t.Error("no dial a minute after a rejection")
	}
}

func TestInboundRejectionRestsToo(t *testing.T) {
	w := newWorld(t, always(hole))
	w.s.Rejected(w.now, id(200))
	w.found(addr(2), dial.Multicast, 200)
	w.found(addr(3), dial.Multicast, 201)
	if got := addrs(w.run(dial.RejectedRest - 1)); slices.Contains(got, addr(2)) || !slices.Contains(got, addr(3)) {
		t.Errorf("dials: %v, want %s only", got, addr(3))
	}
}

func TestAddressThatLeadsBackHereRests(t *testing.T) {
	w := newWorld(t, always(answer{dial.Outcome{Kind: dial.Self, ID: self}, time.Millisecond}))
	w.found(addr(1), dial.Seed, 0)
	w.found(addr(2), dial.Inbound, 0)
	got := times(w.run(dial.SelfRest-1), "")
	if want := []time.Duration{0, 0}; !slices.Equal(got, want) {
		t.Errorf("dialled at %v, want at %v", got, want)
	}
}

// TestFalseClaimRests is case E06: the claim rests, another claim to the address does not.
func TestFalseClaimRests(t *testing.T) {
	w := newWorld(t, func(d dial.Start) answer {
		if d.ID == id(201) {
			return answer{dial.Outcome{Kind: dial.OK, ID: id(201)}, time.Millisecond}
		}
		return answer{dial.Outcome{Kind: dial.WrongID, ID: id(201)}, time.Millisecond}
	})
	w.found(addr(1), dial.Multicast, 200)
	w.run(2 * time.Second)
	w.found(addr(1), dial.Multicast, 200)
	w.found(addr(1), dial.Peer, 201)
	w.run(3 * time.Second)
	w.s.Linked(w.now, id(201), addr(1), true)
	w.run(dial.RejectedRest - 5*time.Second - 1)
	var ids []ident.NodeID
	for _, d := range w.log {
		ids = append(ids, d.ID)
	}
	if n := len(ids); n < 2 || ids[0] != id(200) || slices.Contains(ids[1:], id(200)) {
		t.Errorf("dialled %v, want the false claim %v once and then only %v", ids, id(200), id(201))
	}
}

func TestForget(t *testing.T) {
	w := newWorld(t, always(refused))
	w.found(addr(1), dial.Multicast, 200)
	w.s.Linked(w.now, id(200), addr(1), true)
	w.s.Unlinked(w.now, id(200), []string{addr(1), addr(2)})
	w.found(addr(3), dial.Seed, 0)
	w.s.Forget(w.now, id(200))
	w.s.Forget(w.now, ident.NodeID{})
	if got := addrs(w.run(0)); !slices.Equal(got, []string{addr(3)}) {
		t.Errorf("dials: %v, want only the seed", got)
	}
}

func TestRememberReplacesAddresses(t *testing.T) {
	w := newWorld(t, always(refused))
	w.s.Remember(w.now, id(200), []string{addr(1), addr(1), addr(2), "nonsense"})
	w.s.Remember(w.now, id(200), []string{addr(2), addr(3)})
	w.s.Remember(w.now, self, []string{addr(4)})
	w.s.Remember(w.now, ident.NodeID{}, []string{addr(5)})
	w.run(10 * time.Second)
	got := addrs(w.log)
	slices.Sort(got)
	if want := []string{addr(2), addr(3)}; !slices.Equal(slices.Compact(got), want) {
		t.Errorf("dialled %v, want %v", got, want)
	}
	many := make([]string, 100)
	for i := range many {
		many[i] = addr(1000 + i)
	}
	w.s.Remember(w.now, id(200), many)
	if n := w.s.Stats().Candidates; n != 16 {
		t.Errorf("%d addresses of one node kept of 100, want 16", n)
	}
}

// TestSourcesTakeTurns: 200 false beacons delay what a peer names by one dial.
func TestSourcesTakeTurns(t *testing.T) {
	w := newWorld(t, always(hole))
	for n := range 200 {
		w.found(addr(n), dial.Multicast, 1000+n)
	}
	w.found(addr(300), dial.Peer, 300)
	if got := addrs(w.run(0)); !slices.Contains(got[:2], addr(300)) {
		t.Errorf("first dials: %v, want %s among the first two", got, addr(300))
	}
}

// TestStrangersLeaveRoom: strangers at the limit of the rate delay no seed's turn.
func TestStrangersLeaveRoom(t *testing.T) {
	w := newWorld(t, always(hole))
	for n := range 200 {
		w.found(addr(n), dial.Multicast, 1000+n)
	}
	w.run(3 * time.Second)
	w.found(addr(500), dial.Seed, 0)
	at := times(w.run(20*time.Second), addr(500))
	if _, longest := gaps(at); len(at) < 20 || longest > time.Second {
		t.Errorf("seed dialled at %v, want every second from 3s on", at)
	}
}

// TestManyAddressesAreOneTurn: a node with 16 addresses takes no turns from the others.
func TestManyAddressesAreOneTurn(t *testing.T) {
	w := newWorld(t, always(refused))
	many := make([]string, 16)
	for i := range many {
		many[i] = addr(1000 + i)
	}
	w.s.Remember(w.now, id(300), many)
	for n := range 4 {
		w.s.Remember(w.now, id(301+n), []string{addr(n)})
	}
	w.run(10 * time.Minute)
	log := w.run(10 * time.Minute)
	for n := range 4 {
		if _, longest := gaps(times(log, addr(n))); longest > 12*time.Second {
			t.Errorf("%s waited %v for its turn among 5 nodes, want at most 12s", addr(n), longest)
		}
	}
}

func TestOwnIDIsIgnored(t *testing.T) {
	w := newWorld(t, always(hole))
	w.s.Found(w.now, dial.Candidate{Addr: addr(1), Source: dial.Multicast, ID: self})
	if got := w.run(time.Minute); len(got) != 0 {
		t.Errorf("dials of this node itself: %v", got)
	}
}

func TestDialThatEndsTwiceCountsOnce(t *testing.T) {
	s := newScheduler(dial.Config{}, 1)
	s.Found(start, dial.Candidate{Addr: addr(1), Source: dial.Multicast})
	d := s.Tick(start)[0]
	s.Done(start, d.Number, dial.Outcome{Kind: dial.OK, ID: id(200)})
	s.Done(start, d.Number, dial.Outcome{Kind: dial.Self})
	s.Done(start, 77, dial.Outcome{Kind: dial.Self})
	at, ok := s.Next()
	if !ok || at.After(start.Add(time.Second)) {
		t.Errorf("Next = %v, %v after an outcome that came twice; the second one counted", at.Sub(start), ok)
	}
}
