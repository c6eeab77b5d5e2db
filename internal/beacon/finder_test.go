package beacon_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/beacon"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/packet"
)

var (
	start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	tag   = packet.Tag("shop")
	here  = netip.MustParseAddrPort("10.0.0.1:40001")
	there = netip.MustParseAddrPort("10.0.0.2:40002")
)

// id returns the ID of node n.
func id(n int) ident.NodeID { return ident.NodeID{byte(n >> 8), byte(n), 1} }

// node is a Finder with what it takes from outside.
type node struct {
	*beacon.Finder
	linked map[ident.NodeID]bool
	nonces uint64
}

// newNode returns node n, of incarnation n, listening on port 7000+n.
func newNode(n int) *node {
	d := &node{linked: map[ident.NodeID]bool{}}
	d.Finder = beacon.New(beacon.Config{
		Tag: tag, ID: id(n), Incarnation: ident.Incarnation(n), Port: uint16(7000 + n),
		Linked: func(id ident.NodeID) bool { return d.linked[id] },
		Nonce: func() (nonce packet.Nonce) {
			d.nonces++
			binary.BigEndian.PutUint64(nonce[:], uint64(n)<<32|d.nonces)
			return nonce
		},
	}, rand.New(rand.NewPCG(uint64(n), 0)))
	return d
}

// inside returns a source in a subnet of the receiving interface.
func inside(a netip.AddrPort) beacon.From { return beacon.From{Addr: a, InSubnet: true} }

// source returns one of many sources on many hosts.
func source(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), 40000)
}

// announcement is the beacon of node n.
func announcement(n int) packet.Beacon {
	return packet.Beacon{Tag: tag, ID: id(n), Incarnation: ident.Incarnation(n), Port: uint16(7000 + n)}
}

// TestIntroduction walks through one beacon, question, answer and dial.
func TestIntroduction(t *testing.T) {
	a, b := newNode(1), newNode(2)
	hello := a.Tick(start)
	question, _ := b.Received(start, inside(here), hello).(beacon.Reply)
	if question.To != here || len(question.Packet) > len(hello) {
		t.Fatalf("question to %v with %d bytes, want to %v and at most %d", question.To, len(question.Packet), here, len(hello))
	}
	answer, _ := a.Received(start, inside(there), question.Packet).(beacon.Reply)
	if answer.To != there || len(answer.Packet) > len(question.Packet) {
		t.Fatalf("answer to %v with %d bytes, want to %v and at most %d", answer.To, len(answer.Packet), there, len(question.Packet))
	}
	got := b.Received(start, inside(here), answer.Packet)
	want := beacon.Found{Addr: netip.MustParseAddrPort("10.0.0.1:7001"), ID: id(1), Incarnation: 1}
	if got != want {
		t.Errorf("the answer gave %+v, want %+v", got, want)
	}
	if got := b.Received(start, inside(here), answer.Packet); got != nil {
		t.Errorf("the same answer again gave %+v, want nothing", got)
	}
}

func TestBeaconsAreFrequentAtFirstAndThenSteady(t *testing.T) {
	f := newNode(1)
	var at []time.Duration
	now := start
	for now.Sub(start) < time.Hour {
		if b := f.Tick(now); b == nil {
			t.Fatalf("no beacon at %v, when Next said so", now.Sub(start))
		}
		at = append(at, now.Sub(start))
		now = f.Next()
		if b := f.Tick(now.Add(-1)); b != nil {
			t.Fatalf("a beacon before %v", now.Sub(start))
		}
	}
	ms := time.Millisecond
	if want := []time.Duration{0, 50 * ms, 150 * ms, 400 * ms, 1000 * ms}; !slices.Equal(at[:5], want) {
		t.Errorf("first beacons at %v, want at %v", at[:5], want)
	}
	distinct := map[time.Duration]bool{}
	for i := 5; i < len(at); i++ {
		gap := at[i] - at[i-1]
		distinct[gap] = true
		if gap < 1600*ms || gap > 2400*ms {
			t.Errorf("beacon %d came %v after the one before, want 2s ± 20%%", i, gap)
		}
	}
	if n := len(distinct); n < 1000 {
		t.Errorf("%d different gaps in an hour, want jitter", n)
	}
}

func TestLateTickMakesUpForNothing(t *testing.T) {
	f := newNode(1)
	f.Tick(start)
	late := start.Add(300 * time.Millisecond)
	if f.Tick(late) == nil || f.Tick(late) != nil {
		t.Error("a late Tick gave none or two beacons, want one")
	}
	if got, want := f.Next().Sub(start), 400*time.Millisecond; got != want {
		t.Errorf("after a Tick at 300ms the next beacon is due at %v, want %v", got, want)
	}
	if f.Tick(start.Add(time.Hour)) == nil || !f.Next().After(start.Add(time.Hour)) {
		t.Errorf("after a pause of an hour Next is %v", f.Next().Sub(start))
	}
}

func TestMovedBeginsAnew(t *testing.T) {
	f := newNode(1)
	now := start
	for range 20 {
		f.Tick(now)
		now = f.Next()
	}
	now = now.Add(-time.Second)
	f.Moved()
	if f.Next().After(now) || f.Tick(now) == nil {
		t.Errorf("no beacon at once after Moved, Next %v", f.Next().Sub(now))
	}
	if got := f.Next().Sub(now); got != 50*time.Millisecond {
		t.Errorf("the second beacon after Moved comes after %v, want 50ms", got)
	}
}

// TestIgnored holds each reason to ignore a datagram against its counter.
func TestIgnored(t *testing.T) {
	foreign := packet.Tag("other")
	tests := []struct {
		name  string
		from  beacon.From
		b     []byte
		count func(beacon.Stats) uint64
	}{
		{"garbage", inside(here), []byte("hello"), func(s beacon.Stats) uint64 { return s.Malformed }},
		{"nothing", inside(here), nil, func(s beacon.Stats) uint64 { return s.Malformed }},
		{"a beacon without a source", inside(netip.AddrPort{}), announcement(2).Append(nil), func(s beacon.Stats) uint64 { return s.Malformed }},
		{"a beacon from port 0", inside(netip.AddrPortFrom(here.Addr(), 0)), announcement(2).Append(nil), func(s beacon.Stats) uint64 { return s.Malformed }},
		{"a beacon of another cluster", inside(here), packet.Beacon{Tag: foreign, ID: id(2), Incarnation: 2, Port: 1}.Append(nil), func(s beacon.Stats) uint64 { return s.Foreign }},
		{"a question of another cluster", inside(here), packet.Challenge{Tag: foreign, ID: id(2), Port: 1}.Append(nil), func(s beacon.Stats) uint64 { return s.Foreign }},
		{"an answer of another cluster", inside(here), packet.Answer{Tag: foreign, ID: id(2), Incarnation: 2, Port: 1}.Append(nil), func(s beacon.Stats) uint64 { return s.Foreign }},
		{"the own beacon", inside(here), announcement(1).Append(nil), func(s beacon.Stats) uint64 { return s.Own }},
		{"the own question", inside(here), packet.Challenge{Tag: tag, ID: id(1), Port: 1}.Append(nil), func(s beacon.Stats) uint64 { return s.Own }},
		{"a beacon from outside the subnet", beacon.From{Addr: here}, announcement(2).Append(nil), func(s beacon.Stats) uint64 { return s.Outside }},
		{"a question from outside the subnet", beacon.From{Addr: here}, packet.Challenge{Tag: tag, ID: id(2), Port: 1}.Append(nil), func(s beacon.Stats) uint64 { return s.Outside }},
		{"a beacon of a linked node", inside(here), announcement(3).Append(nil), func(s beacon.Stats) uint64 { return s.Linked }},
		{"an answer to no question", inside(here), packet.Answer{Tag: tag, ID: id(2), Incarnation: 2, Port: 1}.Append(nil), func(s beacon.Stats) uint64 { return s.Unasked }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newNode(1)
			f.linked[id(3)] = true
			if got := f.Received(start, tt.from, tt.b); got != nil {
				t.Errorf("Received(%v, %x) = %+v, want nothing", tt.from, tt.b, got)
			}
			if st := f.Stats(); tt.count(st) != 1 || total(st) != 1 {
				t.Errorf("stats %+v, want this one reason counted", st)
			}
		})
	}
}

// total returns the number of datagrams that were counted.
func total(s beacon.Stats) uint64 {
	return s.Challenges + s.Answers + s.Found +
		s.Malformed + s.Foreign + s.Own + s.Outside + s.Linked + s.Repeated + s.Limited + s.Unasked
}

// TestForgedAnswers: only who receives at the source of the beacon can repeat the nonce,
// and only from there. No other datagram leads to a dial (case D17).
func TestForgedAnswers(t *testing.T) {
	good := packet.Answer{Tag: tag, ID: id(2), Incarnation: 2, Port: 7002}
	tests := []struct {
		name  string
		from  netip.AddrPort
		after time.Duration
		forge func(*packet.Answer)
		found bool
	}{
		{"the right answer in time", there, beacon.ChallengeLife - 1, func(*packet.Answer) {}, true},
		{"the right answer too late", there, beacon.ChallengeLife, func(*packet.Answer) {}, false},
		{"a guessed nonce", there, 0, func(a *packet.Answer) { a.Nonce[15]++ }, false},
		{"the nonce from another address", here, 0, func(*packet.Answer) {}, false},
		{"the nonce from another port", netip.AddrPortFrom(there.Addr(), 1), 0, func(*packet.Answer) {}, false},
		{"another ID than announced", there, 0, func(a *packet.Answer) { a.ID = id(3) }, false},
		{"another incarnation than announced", there, 0, func(a *packet.Answer) { a.Incarnation++ }, false},
		{"another port than announced", there, 0, func(a *packet.Answer) { a.Port = 9 }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newNode(1)
			q, _ := f.Received(start, inside(there), announcement(2).Append(nil)).(beacon.Reply)
			p, err := packet.Decode(q.Packet)
			if err != nil {
				t.Fatalf("question %x: %v", q.Packet, err)
			}
			a := good
			a.Nonce = p.(packet.Challenge).Nonce
			tt.forge(&a)
			got := f.Received(start.Add(tt.after), inside(tt.from), a.Append(nil))
			want := beacon.Found{Addr: netip.AddrPortFrom(there.Addr(), a.Port), ID: id(2), Incarnation: 2}
			if tt.found && got != want || !tt.found && got != nil {
				t.Errorf("answer %+v from %v gave %+v; want it believed: %v", a, tt.from, got, tt.found)
			}
		})
	}
}

// TestLinkLocalKeepsItsZone is part of case A26.
func TestLinkLocalKeepsItsZone(t *testing.T) {
	a, b := newNode(1), newNode(2)
	from := inside(netip.MustParseAddrPort("[fe80::1%eth0]:40001"))
	q := b.Received(start, from, a.Tick(start)).(beacon.Reply)
	r := a.Received(start, inside(there), q.Packet).(beacon.Reply)
	got, _ := b.Received(start, from, r.Packet).(beacon.Found)
	if want := netip.MustParseAddrPort("[fe80::1%eth0]:7001"); got.Addr != want {
		t.Errorf("found %v, want %v", got.Addr, want)
	}
}

// TestSourceIsQuestionedOnceASecond: nodes repeat their beacons, and so do liars.
func TestSourceIsQuestionedOnceASecond(t *testing.T) {
	f := newNode(1)
	b := announcement(2).Append(nil)
	var at []time.Duration
	for d := time.Duration(0); d < 5*time.Second; d += 10 * time.Millisecond {
		if f.Received(start.Add(d), inside(there), b) != nil {
			at = append(at, d)
		}
	}
	if want := []time.Duration{0, 1e9, 2e9, 3e9, 4e9}; !slices.Equal(at, want) {
		t.Errorf("questions at %v, want at %v", at, want)
	}
}

// TestRates: whatever comes in, questions and answers stay within their rates, and one
// host leaves half of them to the others.
func TestRates(t *testing.T) {
	kinds := []struct {
		name string
		b    func(n int) []byte
	}{
		{"beacons", func(n int) []byte { return announcement(2 + n).Append(nil) }},
		{"questions", func(int) []byte { return packet.Challenge{Tag: tag, ID: id(2), Port: 1}.Append(nil) }},
	}
	sources := []struct {
		name string
		addr func(n int) netip.AddrPort
		max  int
	}{
		{"many hosts", source, 100},
		{"many ports of a host", func(n int) netip.AddrPort { return netip.AddrPortFrom(there.Addr(), uint16(1+n)) }, 50},
	}
	for _, k := range kinds {
		for _, s := range sources {
			t.Run(k.name+" from "+s.name, func(t *testing.T) {
				f := newNode(1)
				var at []time.Duration
				for n := range 10_000 {
					d := time.Duration(n) * 500 * time.Microsecond
					if r, ok := f.Received(start.Add(d), inside(s.addr(n)), k.b(n)).(beacon.Reply); ok {
						at = append(at, d)
						if len(r.Packet) > len(k.b(n)) {
							t.Fatalf("reply of %d bytes to %d", len(r.Packet), len(k.b(n)))
						}
					}
				}
				for i := s.max; i < len(at); i++ {
					if at[i]-at[i-s.max] < time.Second {
						t.Fatalf("more than %d replies within the second before %v", s.max, at[i])
					}
				}
				if len(at) != 5*s.max {
					t.Errorf("%d replies in 5 s, want %d", len(at), 5*s.max)
				}
			})
		}
	}
}

// TestAnsweredQuestionsLeaveTheShare: a host with many nodes that answer is no attack.
func TestAnsweredQuestionsLeaveTheShare(t *testing.T) {
	f := newNode(1)
	for n := range 100 {
		other := newNode(2 + n)
		from := inside(netip.AddrPortFrom(there.Addr(), uint16(1+n)))
		q, ok := f.Received(start, from, other.Tick(start)).(beacon.Reply)
		if !ok {
			t.Fatalf("node %d of the host was not questioned: %+v", n, f.Stats())
		}
		a := other.Received(start, inside(here), q.Packet).(beacon.Reply)
		if _, ok := f.Received(start, from, a.Packet).(beacon.Found); !ok {
			t.Fatalf("node %d of the host was not found: %+v", n, f.Stats())
		}
	}
}

// TestAllFindOneAnother over a network that loses every third datagram.
func TestAllFindOneAnother(t *testing.T) {
	const nodes = 20
	r := rand.New(rand.NewPCG(7, 7))
	lost := func() bool { return r.IntN(3) == 0 }
	all := make([]*node, nodes)
	found := make([]map[netip.AddrPort]bool, nodes)
	for n := range all {
		all[n], found[n] = newNode(n+1), map[netip.AddrPort]bool{}
	}
	index := func(a netip.AddrPort) int { b := a.Addr().As4(); return int(b[3]) }
	var deliver func(now time.Time, from, to int, b []byte)
	deliver = func(now time.Time, from, to int, b []byte) {
		if from == to || lost() {
			return
		}
		switch a := all[to].Received(now, inside(source(from)), b).(type) {
		case beacon.Reply:
			deliver(now, to, index(a.To), a.Packet)
		case beacon.Found:
			// The dial that follows makes one link, which serves both.
			found[to][a.Addr], found[from][netip.AddrPortFrom(source(to).Addr(), uint16(7001+to))] = true, true
			all[to].linked[id(from+1)], all[from].linked[id(to+1)] = true, true
		}
	}
	const step = 10 * time.Millisecond
	for now := start; now.Before(start.Add(20 * time.Second)); now = now.Add(step) {
		for n, d := range all {
			if b := d.Tick(now); b != nil {
				for to := range all {
					deliver(now, n, to, b)
				}
			}
		}
	}
	for n := range all {
		if len(found[n]) != nodes-1 {
			t.Errorf("node %d found %d others, want %d; %+v", n, len(found[n]), nodes-1, all[n].Stats())
		}
	}
}

// TestIgnoringIsFree: garbage and the beacons of linked nodes are what a node mostly
// receives.
func TestIgnoringIsFree(t *testing.T) {
	f := newNode(1)
	f.linked[id(2)] = true
	garbage, known := bytes.Repeat([]byte{'x'}, 1200), announcement(2).Append(nil)
	from := inside(there)
	if n := testing.AllocsPerRun(100, func() { f.Received(start, from, garbage) }); n != 0 {
		t.Errorf("garbage costs %v allocations, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { f.Received(start, from, known) }); n > 1 {
		t.Errorf("the beacon of a linked node costs %v allocations, want at most 1", n)
	}
}

// FuzzReceived: no datagram makes a longer one, and none leads to a dial without a
// question before it.
func FuzzReceived(f *testing.F) {
	f.Add(announcement(2).Append(nil))
	f.Add(packet.Challenge{Tag: tag, ID: id(2), Port: 1}.Append(nil))
	f.Add(packet.Answer{Tag: tag, ID: id(2), Incarnation: 2, Port: 1}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := slices.Clone(b)
		d := newNode(1)
		switch a := d.Received(start, inside(there), b).(type) {
		case beacon.Found:
			t.Fatalf("%x led to %+v", b, a)
		case beacon.Reply:
			if len(a.Packet) > len(b) || a.To != there {
				t.Fatalf("%d bytes led to %d to %v", len(b), len(a.Packet), a.To)
			}
		}
		if total(d.Stats()) != 1 || !bytes.Equal(b, before) {
			t.Fatalf("%x: stats %+v", b, d.Stats())
		}
	})
}

func BenchmarkReceivedBeaconOfLinked(b *testing.B) {
	f := newNode(1)
	f.linked[id(2)] = true
	known, from := announcement(2).Append(nil), inside(there)
	b.ReportAllocs()
	for b.Loop() {
		f.Received(start, from, known)
	}
}
