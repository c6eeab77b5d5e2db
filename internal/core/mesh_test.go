package core_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
)

// few returns a node with at most so many links.
func few(t *testing.T, links int) *node {
	t.Helper()
	n := &node{t: t, now: time.Unix(1000, 0)}
	var err error
	n.Core, err = core.New(n.now, core.Config{
		Self: id(0), Record: record(0, 7), Sign: sign, Vouch: vouch, MaxPeers: links,
		Rand: rand.New(rand.NewPCG(1, 2)),
	})
	if err != nil {
		t.Fatal(err)
	}
	n.take()
	return n
}

// learn gives the node records over a link and returns what it decided but for what it
// sends and dials.
func (n *node) learn(l core.LinkID, rs ...frame.Record) []string {
	n.Learn(n.now, l, rs)
	return n.changes()
}

// changes returns what the node decided but for what it sends and dials.
func (n *node) changes() []string {
	return slices.DeleteFunc(n.take(), func(w string) bool {
		return strings.HasPrefix(w, "send") || strings.HasPrefix(w, "dial") || strings.HasPrefix(w, "view")
	})
}

// sent returns the frames of a type that were sent, by link.
func (n *node) sent(of frame.Type) map[core.LinkID][]frame.Frame {
	out := map[core.LinkID][]frame.Frame{}
	for _, a := range n.acts {
		if s, ok := a.(core.Send); ok && s.Frame.Type() == of {
			out[s.Link] = append(out[s.Link], s.Frame)
		}
	}
	return out
}

// suspicion is one of a member about another one, in the first version of its record.
func suspicion(by, of int, refused bool) frame.Suspicion {
	s := frame.Suspicion{Target: id(of), Incarnation: 1, Version: 1, Refused: refused, By: id(by)}
	if err := vouch(&s); err != nil {
		panic(err)
	}
	return s
}

// version gives a record a version.
func version(v uint64) func(*frame.Record) { return func(r *frame.Record) { r.Version = v } }

func TestTheRecordStatesRingsAndLinks(t *testing.T) {
	for links, want := range map[int][2]int{0: {4, 0}, 5: {2, 5}, 2: {1, 2}, 5000: {4, 1024}} {
		n := few(t, links)
		if r := n.Self(); int(r.Rings) != want[0] || int(r.Links) != want[1] {
			t.Errorf("with MaxPeers %d the record states %d rings and %d links, want %v", links, r.Rings, r.Links, want)
		}
	}
}

func TestAPartialMeshListsByRecord(t *testing.T) {
	n := few(t, 2)
	n.join(1, 1)
	n.join(2, 1)
	n.learn(1, record(4, 1))
	if got := n.learn(1, record(3, 1)); !slices.Equal(got, []string{"added_node n3"}) {
		t.Fatalf("decided %q at the record of another member, want it listed", got)
	}
	if got := n.sent(frame.TypeRecords); len(got[1]) != 0 || len(got[2]) != 1 {
		t.Errorf("passed on %v, want the record on link 2 alone", got)
	}
	v, ok := n.acts[len(n.acts)-1].(core.View)
	if !ok || len(v.Members) != 5 || len(v.Graph.IDs) != 5 {
		t.Errorf("the last action is %+v, want a view of five with the graph of them", n.acts[len(n.acts)-1])
	}
	if got := n.learn(1, record(3, 1)); len(got) > 0 || len(n.acts) > 0 {
		t.Errorf("decided %q at what is known, want nothing", n.acts)
	}
}

// While all can be linked with all, what others tell is a candidate; when one more makes
// that impossible, all candidates are listed, too.
func TestCandidatesMakeAMeshPartial(t *testing.T) {
	n := newNode(t)
	l := n.join(1, 1)
	var rs []frame.Record
	for i := 2; i <= 64; i++ {
		rs = append(rs, record(i, 1))
	}
	if got := n.learn(l, rs[:62]...); len(got) > 0 {
		t.Errorf("decided %q at 62 candidates, want nothing", got)
	}
	if got := n.learn(l, rs[62:]...); len(got) != 63 {
		t.Errorf("%d changes at one more, want 63 members listed", len(got))
	}
}

func TestThereIsNoRoom(t *testing.T) {
	n := few(t, 3)
	for i := 1; i <= 3; i++ {
		n.join(i, 1)
	}
	for i := 4; i <= 40; i++ {
		n.learn(1, record(i, 1))
	}
	full, room := 0, 0
	for i := 4; i <= 40; i++ {
		r := n.Arbitrate(n.now, core.Offer{Peer: id(i), Incarnation: 1, HelloAt: n.now})
		if r.Full == r.OK || r.OK != n.Admit(n.now, id(i)) {
			t.Errorf("ruling %+v for node %d, and the end that is no arbiter thinks otherwise", r, i)
		}
		if r.Full {
			full++
		} else {
			room++
		}
	}
	if room == 0 || room > 2 {
		t.Errorf("%d members were admitted and %d not; want neighbours to be, and the others not", room, full)
	}
	if !n.Admit(n.now, id(99)) {
		t.Error("a newcomer was not admitted")
	}
	n.Rejected(n.now, core.Rejection{Peer: id(5), Incarnation: 1, By: core.ByPeer, Code: frame.CodeFull})
	if got := n.changes(); len(got) > 0 {
		t.Errorf("decided %q when a member had no room, want no report", got)
	}
}

func TestAMemberThatThisNodeRefusesIsNotListed(t *testing.T) {
	n := few(t, 2)
	n.join(1, 1)
	n.join(2, 1)
	n.learn(1, record(3, 1))
	n.Rejected(n.now, core.Rejection{Peer: id(3), Incarnation: 1, Name: "n3", By: core.BySelf, Code: frame.CodeFilter})
	if got := n.changes(); !slices.Equal(got, []string{"node_rejected n3", "removed_node n3 failed"}) {
		t.Errorf("decided %q when its policy refused a member, want it off the list", got)
	}
	if got := n.learn(2, record(3, 1, version(2))); len(got) > 0 {
		t.Errorf("decided %q at news of it, want nothing", got)
	}
}

func TestWhyALinkIsClosed(t *testing.T) {
	n := few(t, 2)
	n.join(1, 1)
	n.join(2, 1)
	n.learn(1, record(3, 1), record(4, 1))
	n.LinkDown(n.now, 2, core.Closed{By: core.ByPeer, Code: frame.CodeFull})
	if got := n.changes(); !slices.Equal(got, []string{"peer_removed n2"}) {
		t.Errorf("decided %q when a peer needed the room, want no more than its link gone", got)
	}
	for _, w := range n.pass(700*time.Millisecond, 1) {
		if w == "dial "+addr(2)+" remembered" {
			t.Errorf("dialled it again within 0.7 s")
		}
	}
}

// TestSuspicionsArePassedOn: who does not watch a member learns of its end by others.
func TestSuspicionsArePassedOn(t *testing.T) {
	// begin returns a node with links to 1 and 2 that knows members up to 40, and one of
	// them that it does not watch: whom it watches it dials.
	begin := func(t *testing.T) (*node, int) {
		n := few(t, 2)
		n.join(1, 1)
		n.join(2, 1)
		for i := 3; i <= 40; i++ {
			n.learn(1, record(i, 1))
		}
		dialled := n.pass(6*time.Second, 1, 2)
		far := 3
		for slices.Contains(dialled, "dial "+addr(far)+" remembered") {
			far++
		}
		return n, far
	}
	t.Run("once, to all but who said it", func(t *testing.T) {
		n, far := begin(t)
		n.Receive(n.now, 1, suspicion(1, far, false))
		n.take()
		if got := n.sent(frame.TypeSuspicion); len(got[1]) != 0 || len(got[2]) != 1 {
			t.Errorf("passed on %v, want it on link 2 alone", got)
		}
		n.Receive(n.now, 2, suspicion(1, far, false))
		n.take()
		if got := n.sent(frame.TypeSuspicion); len(got) != 0 {
			t.Errorf("passed on %v again", got)
		}
	})
	t.Run("in its own name as well, if others may not list who said it", func(t *testing.T) {
		n, far := begin(t)
		n.join(50, 1)
		n.Receive(n.now, 3, suspicion(50, far, false))
		n.take()
		got := n.sent(frame.TypeSuspicion)[1]
		if len(got) != 2 || got[1].(frame.Suspicion).By != id(0) || got[1].(frame.Suspicion).Refused {
			t.Errorf("passed on %v, want it and this node's own", got)
		}
	})
	t.Run("a record of a higher version refutes it", func(t *testing.T) {
		n, far := begin(t)
		n.learn(2, record(far, 1, version(2)))
		n.Receive(n.now, 1, suspicion(1, far, false))
		n.take()
		if got := n.sent(frame.TypeRecords); len(n.sent(frame.TypeSuspicion)) != 0 || len(got[1]) != 1 {
			t.Errorf("decided %v, want the record for link 1 and nothing passed on", n.acts)
		}
	})
	t.Run("one that is not refuted ends in time", func(t *testing.T) {
		n, far := begin(t)
		n.Receive(n.now, 1, suspicion(1, far, false))
		name := record(far, 1).Name
		got := n.pass(20*time.Second, 1, 2) // its own doubts make it patient
		if !slices.Contains(got, "suspected_node "+name) || !slices.Contains(got, "removed_node "+name+" failed") {
			t.Errorf("decided %q, want %s suspected and removed", got, name)
		}
	})
	t.Run("the word of who is not listed counts nothing", func(t *testing.T) {
		n, far := begin(t)
		n.Receive(n.now, 1, suspicion(50, far, true))
		n.take()
		if len(n.acts) > 0 {
			t.Errorf("decided %v, want nothing", n.acts)
		}
	})
	t.Run("one about this node is answered with a higher version", func(t *testing.T) {
		n, _ := begin(t)
		s := suspicion(1, 0, false)
		s.Incarnation, s.Version = 7, n.Self().Version
		n.Receive(n.now, 1, s)
		n.take()
		if n.Self().Version <= s.Version || len(n.sent(frame.TypeRecords)) != 2 {
			t.Errorf("version %d, sent %v; want a higher one than %d for both peers", n.Self().Version, n.acts, s.Version)
		}
		s.Version = n.Self().Version
		s.By = id(50) // of whom this node knows nothing, but others may
		n.now = n.now.Add(time.Second)
		n.Receive(n.now, 1, s)
		if n.take(); n.Self().Version <= s.Version {
			t.Errorf("version %d, want a higher one than %d", n.Self().Version, s.Version)
		}
		s.By, s.Refused = id(1), true // of the old version
		n.Receive(n.now, 2, s)
		n.take()
		if got := n.sent(frame.TypeRecords); len(got) != 1 || len(got[2]) != 1 {
			t.Errorf("sent %v, want the record to who has not seen it", n.acts)
		}
	})
}

// TestBeaconsOfMembersAreNotDialled: all but a few have no link here.
func TestBeaconsOfMembersAreNotDialled(t *testing.T) {
	n := few(t, 2)
	n.join(1, 1)
	n.join(2, 1)
	for i := 3; i <= 12; i++ {
		n.learn(1, record(i, 1))
	}
	for i := 3; i <= 12; i++ {
		n.Found(n.now, dial.Candidate{Addr: "203.0.113.9:1", Source: dial.Multicast, ID: id(i)})
	}
	n.Found(n.now, dial.Candidate{Addr: "203.0.113.8:1", Source: dial.Multicast, ID: id(77)})
	got := n.pass(time.Second, 1, 2)
	if slices.Contains(got, "dial 203.0.113.9:1 multicast") || !slices.Contains(got, "dial 203.0.113.8:1 multicast") {
		t.Errorf("decided %q, want a dial of the stranger alone", got)
	}
}
