package core_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// sign stands for a signature: nobody forges one here.
func sign(r *frame.Record) error {
	return r.Sign(func(msg []byte) ([]byte, error) {
		sum := sha256.Sum256(msg)
		return sum[:], nil
	})
}

// record returns the record of node n in an incarnation, signed.
func record(n int, inc ident.Incarnation, edits ...func(*frame.Record)) frame.Record {
	r := frame.Record{
		Public: bytes.Repeat([]byte{byte(n)}, 40), Incarnation: inc, Version: 1,
		Name: fmt.Sprintf("n%d", n), Addrs: []frame.Addr{{Scheme: "tcp", Addr: addr(n)}},
	}
	for _, edit := range edits {
		edit(&r)
	}
	if err := sign(&r); err != nil {
		panic(err)
	}
	return r
}

func addr(n int) string { return fmt.Sprintf("192.0.2.%d:27272", n) }

// id is the ID of node n.
func id(n int) ident.NodeID { return record(n, 1).ID }

// node is node 0 under test.
type node struct {
	*core.Core
	t     *testing.T
	now   time.Time
	links core.LinkID
	acts  []core.Action // of the last call of take
}

func newNode(t *testing.T, seeds ...string) *node {
	t.Helper()
	n := &node{t: t, now: time.Unix(1000, 0)}
	var err error
	n.Core, err = core.New(n.now, core.Config{
		Self: id(0), Record: record(0, 7), Sign: sign, Seeds: seeds, Rand: rand.New(rand.NewPCG(1, 2)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// take returns what the core decided, in words and in order.
func (n *node) take() []string {
	n.acts = n.Take()
	var words []string
	for _, a := range n.acts {
		words = append(words, say(a))
	}
	return words
}

// say describes an action in one line.
func say(a core.Action) string {
	switch a := a.(type) {
	case core.Send:
		if r, ok := a.Frame.(frame.Records); ok {
			return fmt.Sprintf("send %d RECORDS×%d", a.Link, len(r.List))
		}
		return fmt.Sprintf("send %d %v", a.Link, a.Frame.Type())
	case core.CloseLink:
		return fmt.Sprintf("close %d %s", a.Link, a.Code)
	case core.Dial:
		return fmt.Sprintf("dial %s %v", a.Addr, a.Source)
	case core.Change:
		words := a.Kind.String()
		if name := a.Member.Record.Name; name != "" {
			words += " " + name
		}
		if a.Cause != core.CauseNone {
			words += " " + a.Cause.String()
		}
		return words
	case core.View:
		return fmt.Sprintf("view of %d", len(a.Members))
	}
	return fmt.Sprintf("%#v", a)
}

// expect fails the test unless the core decided just this.
func (n *node) expect(want ...string) {
	n.t.Helper()
	if got := n.take(); !slices.Equal(got, want) {
		n.t.Fatalf("decided\n\t%q\nwant\n\t%q", got, want)
	}
}

// link reports a link with node peer in an incarnation; edits change what is reported.
func (n *node) link(peer int, inc ident.Incarnation, edits ...func(*core.Link)) core.LinkID {
	n.links++
	l := core.Link{
		ID: n.links, Peer: id(peer), Incarnation: inc, Name: fmt.Sprintf("n%d", peer), Tag: [8]byte{byte(n.links)},
		Addr: addr(peer), Source: dial.Inbound, Serial: uint64(n.links), Join: 1,
	}
	for _, edit := range edits {
		edit(&l)
	}
	n.LinkUp(n.now, l)
	return l.ID
}

// join links node peer and gives its record, and forgets what the core decided.
func (n *node) join(peer int, inc ident.Incarnation) core.LinkID {
	l := n.link(peer, inc)
	n.Learn(n.now, l, []frame.Record{record(peer, inc)})
	n.take()
	return l
}

// pass lets time pass, with a sign of life on each of the links every 100 ms, and
// returns what the core decided but for its probes.
func (n *node) pass(d time.Duration, alive ...core.LinkID) (words []string) {
	for end := n.now.Add(d); n.now.Before(end); {
		beat := n.now.Add(100 * time.Millisecond)
		for ticks := 0; ; ticks++ {
			at, ok := n.Next()
			if !ok || at.After(beat) {
				break
			}
			if ticks == 1000 {
				n.t.Fatalf("%d ticks within 100 ms, the next is due at %v, now is %v", ticks, at, n.now)
			}
			if at.After(n.now) {
				n.now = at
			}
			n.Tick(n.now)
			words = append(words, n.take()...)
		}
		n.now = beat
		for _, l := range alive {
			n.Heard(n.now, l, n.now)
		}
	}
	words = append(words, n.take()...)
	return slices.DeleteFunc(words, func(w string) bool {
		return len(w) > 4 && w[:4] == "send"
	})
}

func TestANewNodeShowsItselfAndDialsItsSeeds(t *testing.T) {
	n := newNode(t, "seed.example:7000")
	n.expect("dial seed.example:7000 seed", "view of 1")
	v, _ := n.acts[1].(core.View)
	if m := v.Members[0]; v.Number != 1 || !m.Self || m.Record.ID != id(0) || m.Record.Version != 1 {
		t.Errorf("first view %+v, want number 1 with the signed record of this node", v)
	}
}

func TestAMemberIsListedWhenItsRecordCameOverItsLink(t *testing.T) {
	n := newNode(t)
	n.take()
	l := n.link(1, 5)
	n.expect("node_accepted n1", "send 1 RECORDS×1", "send 1 RECORDS×1", "view of 1")
	n.Learn(n.now, l, []frame.Record{record(1, 5)})
	n.expect("added_node n1", "peer_added n1", "connected", "send 1 RECORDS×2", "send 1 PROBE", "view of 2")
	v, _ := n.acts[5].(core.View)
	if m := v.Members[1]; m.Link != l || m.Addr != addr(1) || m.Source != "inbound" || m.Suspect {
		t.Errorf("the view shows %+v, want link %d to %s, found by inbound", m, l, addr(1))
	}
}

func TestALinkWithoutARecordIsClosed(t *testing.T) {
	n := newNode(t)
	l := n.link(1, 5)
	n.take()
	if got, want := n.pass(6*time.Second, l), []string{"close 1 protocol"}; !slices.Equal(got, want) {
		t.Errorf("decided %q within 6 s, want %q", got, want)
	}
}

func TestARecordMustBeTheOneOfTheHello(t *testing.T) {
	tests := []struct {
		name string
		rec  frame.Record
		want []string
	}{
		{"another name", record(1, 5, func(r *frame.Record) { r.Name = "other" }), []string{"close 1 protocol"}},
		{"this node's own record", record(0, 7), nil},
		{"another node makes a candidate", record(2, 5), []string{"dial 192.0.2.2:27272 peer"}},
		{"a goodbye", record(1, 5, func(r *frame.Record) { r.State = frame.Left }), []string{"close 1 protocol"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			l := n.link(1, 5)
			n.take()
			n.Learn(n.now, l, []frame.Record{tt.rec})
			if got := n.pass(200 * time.Millisecond); !slices.Equal(got, tt.want) {
				t.Errorf("decided %q, want %q", got, tt.want)
			}
		})
	}
}

func TestABrokenLinkIsRedialledAndARefusalEndsTheMember(t *testing.T) {
	n := newNode(t)
	l := n.join(1, 5)
	n.LinkDown(n.now, l, core.Closed{By: core.ByPeer})
	n.expect("peer_removed n1", "disconnected", "dial 192.0.2.1:27272 remembered", "view of 2")
	d, _ := n.acts[2].(core.Dial)
	n.DialDone(n.now, d.Number, dial.Outcome{Kind: dial.Refused})
	n.expect("suspected_node n1", "removed_node n1 failed", "view of 1")
}

// TestARefusalElsewhereSaysNothing: a member has an address that is not good from here.
func TestARefusalElsewhereSaysNothing(t *testing.T) {
	n := newNode(t)
	l := n.link(1, 5)
	n.Learn(n.now, l, []frame.Record{record(1, 5, func(r *frame.Record) {
		r.Addrs = append(r.Addrs, frame.Addr{Scheme: "tcp", Addr: "198.51.100.1:1"})
	})})
	n.take()
	n.LinkDown(n.now, l, core.Closed{})
	refused := 0
	for range 12 {
		got := n.take()
		if slices.Contains(got, "removed_node n1 failed") {
			t.Fatalf("decided %q", got)
		}
		for _, a := range n.acts {
			switch d, ok := a.(core.Dial); {
			case ok && d.Addr == addr(1):
				n.DialDone(n.now, d.Number, dial.Outcome{Kind: dial.TimedOut})
			case ok:
				n.DialDone(n.now, d.Number, dial.Outcome{Kind: dial.Refused})
				refused++
			}
		}
		n.now = n.now.Add(100 * time.Millisecond)
		n.Tick(n.now)
	}
	if refused == 0 {
		t.Error("the other address was not dialled")
	}
}

func TestASilentMemberIsRemoved(t *testing.T) {
	n := newNode(t)
	n.join(1, 5)
	got := n.pass(2800 * time.Millisecond)
	want := []string{
		"suspected_node n1", "view of 2", "close 1 close", "peer_removed n1", "disconnected",
		"removed_node n1 failed", "split", "dial 192.0.2.1:27272 remembered", "view of 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("decided %q, want %q", got, want)
	}
}

// TestAPausedNodeAccusesNobody: whatever it hears first when it runs again.
func TestAPausedNodeAccusesNobody(t *testing.T) {
	inputs := map[string]func(n *node, l core.LinkID){
		"a tick":         func(n *node, _ core.LinkID) { n.Tick(n.now) },
		"a broken link":  func(n *node, l core.LinkID) { n.LinkDown(n.now, l, core.Closed{}) },
		"a probe":        func(n *node, l core.LinkID) { n.Receive(n.now, l, frame.Probe{Number: 1}) },
		"old data":       func(n *node, l core.LinkID) { n.Heard(n.now, l, n.now.Add(-4*time.Second)) },
		"an accusation":  func(n *node, l core.LinkID) { n.Receive(n.now, l, frame.Suspect{Target: id(2), Incarnation: 6}) },
		"a new address":  func(n *node, _ core.LinkID) { _ = n.SetAddrs(n.now, nil) },
		"a failed dial":  func(n *node, _ core.LinkID) { n.DialDone(n.now, 99, dial.Outcome{Kind: dial.TimedOut}) },
		"a connection":   func(n *node, _ core.LinkID) { n.Arbitrate(n.now, core.Offer{Peer: id(3), Incarnation: 3}) },
		"another record": func(n *node, l core.LinkID) { n.Learn(n.now, l, []frame.Record{record(3, 3)}) },
	}
	for name, input := range inputs {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			l1, l2 := n.join(1, 5), n.join(2, 6)
			n.pass(time.Second, l1, l2)
			n.now = n.now.Add(5 * time.Second)
			input(n, l1)
			n.Tick(n.now)
			got := append(n.take(), n.pass(500*time.Millisecond)...)
			for _, w := range got {
				if w == "suspected_node n1" || w == "suspected_node n2" {
					t.Fatalf("decided %q after a pause", got)
				}
			}
		})
	}
}
