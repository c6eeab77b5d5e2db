package core_test

import (
	"slices"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

func TestArbiter(t *testing.T) {
	const ms = time.Millisecond
	none := [8]byte{}
	tests := []struct {
		name  string
		setup func(n *node) // before the offer
		holds [8]byte       // of the peer
		heard time.Duration // when its HELLO came, before the offer
		inc   ident.Incarnation
		want  bool
	}{
		{"the first connection wins", func(*node) {}, none, 0, 5, true},
		{"a second one while the first comes up is a duplicate", func(n *node) {
			n.Arbitrate(n.now, core.Offer{Peer: id(1), Incarnation: 5, HelloAt: n.now})
		}, none, 0, 5, false},
		{"a HELLO from before the link is a duplicate", func(n *node) {
			n.now = n.now.Add(time.Second)
			n.granted(1, 5)
			n.now = n.now.Add(time.Second)
		}, none, 1500 * ms, 5, false},
		{"a HELLO that crossed the ACCEPT is a duplicate", func(n *node) {
			n.granted(1, 5)
			n.now = n.now.Add(100 * ms)
		}, none, 0, 5, false},
		{"a HELLO that names the link is a duplicate", func(n *node) {
			n.granted(1, 5)
			n.now = n.now.Add(time.Minute)
		}, [8]byte{1}, 0, 5, false},
		{"a peer that lost the link gets another", func(n *node) {
			n.granted(1, 5)
			n.now = n.now.Add(time.Minute)
		}, none, 0, 5, true},
		{"a peer that holds an older link gets another", func(n *node) {
			n.granted(1, 5)
			n.now = n.now.Add(time.Minute)
		}, [8]byte{9}, 0, 5, true},
		{"a link that broke here is no obstacle", func(n *node) {
			l := n.granted(1, 5)
			n.LinkDown(n.now, l, core.Closed{})
		}, none, 0, 5, true},
		{"another incarnation wins at once", func(n *node) { n.granted(1, 5) }, none, 0, 6, true},
		{"an incarnation that is over never does", func(n *node) {
			n.join(1, 5)
			n.join(1, 6)
		}, none, 0, 5, false},
		{"a node that leaves takes no link", func(n *node) { n.Leave(n.now) }, none, 0, 5, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			tt.setup(n)
			r := n.Arbitrate(n.now, core.Offer{
				Peer: id(1), Incarnation: tt.inc, PeerHolds: tt.holds, HelloAt: n.now.Add(-tt.heard),
			})
			if r.OK != tt.want || r.OK != (r.Serial > 0) || r.OK != (r.Join > 0) {
				t.Errorf("ruling %+v, want OK %t, with a serial and a join number only then", r, tt.want)
			}
		})
	}
}

// granted links a peer as the arbiter does.
func (n *node) granted(peer int, inc ident.Incarnation) core.LinkID {
	r := n.Arbitrate(n.now, core.Offer{Peer: id(peer), Incarnation: inc, HelloAt: n.now})
	return n.link(peer, inc, func(l *core.Link) { l.Serial = r.Serial })
}

func TestSerialsOnlyGrow(t *testing.T) {
	n := newNode(t)
	var last uint64
	for peer := range 20 {
		r := n.Arbitrate(n.now, core.Offer{Peer: id(peer + 1), Incarnation: 5, HelloAt: n.now})
		if r.Serial <= last {
			t.Errorf("serial %d after %d", r.Serial, last)
		}
		last = r.Serial
	}
}

func TestTheLinkWithTheHigherSerialStays(t *testing.T) {
	serial := func(s uint64) func(*core.Link) { return func(l *core.Link) { l.Serial = s } }
	t.Run("a newer one takes the place", func(t *testing.T) {
		n := newNode(t)
		n.link(1, 5, serial(1))
		n.Learn(n.now, 1, []frame.Record{record(1, 5)})
		n.take()
		n.link(1, 5, serial(2))
		n.expect("close 1 duplicate", "send 2 RECORDS×1", "view of 2")
		n.LinkDown(n.now, 1, core.Closed{By: core.BySelf, Code: frame.CodeDuplicate})
		n.expect()
		n.Learn(n.now, 2, []frame.Record{record(1, 5, func(r *frame.Record) { r.Version = 2 })})
		n.expect("send 2 RECORDS×2", "send 2 PROBE", "view of 2")
		if n.Holds(id(1)) != [8]byte{2} {
			t.Errorf("HELLO would name the link %v, want the second", n.Holds(id(1)))
		}
	})
	t.Run("an older one is closed", func(t *testing.T) {
		n := newNode(t)
		n.link(1, 5, serial(2))
		n.take()
		n.link(1, 5, serial(1))
		n.expect("close 2 duplicate")
		n.LinkDown(n.now, 2, core.Closed{By: core.BySelf})
		n.expect()
		if n.Holds(id(1)) != [8]byte{1} {
			t.Errorf("HELLO would name the link %v, want the first", n.Holds(id(1)))
		}
	})
}

// TestAnotherIncarnationReplacesTheFormer is case A20: removed before added.
func TestAnotherIncarnationReplacesTheFormer(t *testing.T) {
	n := newNode(t)
	n.join(1, 5)
	l := n.link(1, 6)
	n.expect("close 1 duplicate", "node_accepted n1", "send 2 RECORDS×1", "peer_removed n1", "disconnected", "view of 2")
	n.Learn(n.now, l, []frame.Record{record(1, 6)})
	n.expect("removed_node n1 failed", "added_node n1", "peer_added n1", "connected",
		"send 2 RECORDS×2", "send 2 PROBE", "view of 2")
	n.link(1, 5) // what was still on its way
	n.expect("close 3 close")
}

// TestALateDeathSparesTheNextIncarnation: the link of the next one is up when the
// detector gives up the former.
func TestALateDeathSparesTheNextIncarnation(t *testing.T) {
	n := newNode(t)
	l := n.join(1, 5)
	n.LinkDown(n.now, l, core.Closed{})
	n.take()
	n.now = n.now.Add(2500 * time.Millisecond)
	n.Heard(n.now, l, n.now)
	next := n.link(1, 6)
	got := n.pass(4 * time.Second)
	if slices.Contains(got, "close 2 close") {
		t.Errorf("decided %q: the link of the next incarnation was closed with the former", got)
	}
	n.Learn(n.now, next, []frame.Record{record(1, 6)})
	if got := n.take(); !slices.Contains(got, "added_node n1") {
		t.Errorf("decided %q, want the next incarnation added", got)
	}
}

// TestAFreshLinkIsASignOfLife: a member is given up a moment after it is linked again and
// before its record came over the new link.
func TestAFreshLinkIsASignOfLife(t *testing.T) {
	n := newNode(t)
	l := n.join(1, 5)
	n.pass(time.Second, l)
	n.LinkDown(n.now, l, core.Closed{})
	if got := n.pass(2600 * time.Millisecond); slices.Contains(got, "removed_node n1 failed") {
		t.Fatalf("decided %q within 2.6 s", got)
	}
	n.link(1, 5)
	if got := n.pass(500 * time.Millisecond); slices.Contains(got, "removed_node n1 failed") {
		t.Errorf("decided %q, want a member that is linked again to stay", got)
	}
}

func TestGrantsWithoutALinkAreForgotten(t *testing.T) {
	n := newNode(t)
	for i := range 10_000 {
		n.now = n.now.Add(time.Millisecond)
		peer := ident.NodeID{byte(i), byte(i >> 8), byte(i >> 16), 1}
		if r := n.Arbitrate(n.now, core.Offer{Peer: peer, Incarnation: 5, HelloAt: n.now}); !r.OK {
			t.Fatalf("offer %d: ruling %+v", i, r)
		}
		n.Abandoned(n.now, peer)
	}
	if got := n.Grants(); got > 2048 {
		t.Errorf("%d grants are kept for connections that came to nothing", got)
	}
}

func TestGoodbye(t *testing.T) {
	t.Run("in the record and on the link", func(t *testing.T) {
		n := newNode(t)
		l := n.join(1, 5)
		n.Learn(n.now, l, []frame.Record{record(1, 5, func(r *frame.Record) { r.Version, r.State = 2, frame.Left })})
		n.expect("peer_removed n1", "disconnected", "removed_node n1 left", "close 1 leave", "view of 1")
		n.LinkDown(n.now, l, core.Closed{By: core.ByPeer, Code: frame.CodeLeave})
		n.expect()
	})
	t.Run("on the link alone", func(t *testing.T) {
		n := newNode(t)
		l := n.join(1, 5)
		n.LinkDown(n.now, l, core.Closed{By: core.ByPeer, Code: frame.CodeLeave})
		n.expect("peer_removed n1", "disconnected", "removed_node n1 left", "view of 1")
	})
	t.Run("nothing is kept of who left", func(t *testing.T) {
		n := newNode(t)
		l := n.join(1, 5)
		n.Learn(n.now, l, []frame.Record{record(1, 5, func(r *frame.Record) { r.Version, r.State = 2, frame.Left })})
		n.LinkDown(n.now, l, core.Closed{By: core.ByPeer, Code: frame.CodeLeave})
		n.LinkDown(n.now, n.join(2, 5), core.Closed{By: core.ByPeer, Code: frame.CodeLeave})
		if got := n.Reached(); got != 0 {
			t.Errorf("the addresses of %d nodes that left are kept", got)
		}
	})
	t.Run("nobody dials who left", func(t *testing.T) {
		n := newNode(t)
		l := n.join(1, 5)
		n.LinkDown(n.now, l, core.Closed{By: core.ByPeer, Code: frame.CodeLeave})
		n.take()
		if got := n.pass(2 * time.Minute); len(got) != 0 {
			t.Errorf("decided %q in two minutes, want nothing", got)
		}
	})
}

func TestLeave(t *testing.T) {
	n := newNode(t, addr(9))
	n.join(1, 5)
	n.Leave(n.now)
	n.expect("send 1 RECORDS×1", "view of 2")
	if n.Self().State != frame.Left {
		t.Errorf("own record %+v, want it to say that this node left", n.Self())
	}
	n.now = n.now.Add(10 * time.Second)
	n.Close(n.now)
	if got := n.take(); !slices.Contains(got, "close 1 leave") {
		t.Errorf("decided %q, want link 1 closed", got)
	}
	n.link(2, 5)
	n.expect("close 2 leave")
	for _, w := range n.pass(time.Minute) {
		if w[:4] == "dial" {
			t.Fatalf("decided %q after this node left", w)
		}
	}
}

// A process that is over may be heard late: its connection, begun before the one of the
// process that took its place, comes up after it. The later start stays.
func TestALateWordOfAFormerStartChangesNothing(t *testing.T) {
	n := newNode(t)
	link := func(number core.LinkID, inc ident.Incarnation, hello time.Duration) {
		n.LinkUp(n.now, core.Link{
			ID: number, Peer: id(1), Incarnation: inc, Name: "n1", Tag: [8]byte{byte(number)},
			Addr: "192.0.2.1:1", Source: dial.Inbound, Serial: 1, HelloAt: n.now.Add(hello),
		})
	}
	link(1, 6, -time.Millisecond)
	n.take()
	link(2, 5, -2*time.Millisecond)
	for _, a := range n.Take() {
		if c, ok := a.(core.CloseLink); ok && c.Link == 1 {
			t.Errorf("the link of the later start was closed: %+v", c)
		}
	}
	link(3, 7, 0)
	closed := false
	for _, a := range n.Take() {
		c, ok := a.(core.CloseLink)
		closed = closed || ok && c.Link == 1
	}
	if !closed {
		t.Error("the link of the former start stays although a later one is linked")
	}
}
