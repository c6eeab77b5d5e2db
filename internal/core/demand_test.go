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
	"github.com/espial-go/espial/internal/overlay"
)

// far is a member of the meshes below that is no peer of node 0.
const far = 9

// newFar returns node 0 of a partial mesh: it has a link with 1, and knows so many members
// from far on by their records.
func newFar(t *testing.T, members int) *node {
	t.Helper()
	n := &node{t: t, now: time.Unix(1000, 0)}
	var err error
	n.Core, err = core.New(n.now, core.Config{
		Self: id(0), Record: record(0, 7), Sign: sign, Vouch: vouch, MinPeers: 1, MaxPeers: 2,
		Rand: rand.New(rand.NewPCG(1, 2)),
	})
	if err != nil {
		t.Fatal(err)
	}
	var known []frame.Record
	for i := range members {
		known = append(known, record(far+i, 5))
	}
	l := n.join(1, 5)
	n.Learn(n.now, l, known)
	n.take()
	return n
}

// dialled returns the dials among what the core decided last.
func (n *node) dialled() (ds []core.Dial) {
	n.acts = n.Take()
	for _, a := range n.acts {
		if d, ok := a.(core.Dial); ok {
			ds = append(ds, d)
		}
	}
	return ds
}

// onDemand makes a link on demand with a node.
func (n *node) onDemand(peer int, edits ...func(*core.Link)) core.LinkID {
	n.t.Helper()
	l := n.link(peer, 5, append([]func(*core.Link){func(l *core.Link) { l.OnDemand = true }}, edits...)...)
	n.Learn(n.now, l, []frame.Record{record(peer, 5)})
	return l
}

func TestNeedAsksForALinkOnDemand(t *testing.T) {
	tests := []struct {
		name string
		need int
		make func(t *testing.T) *node
		want []string
	}{
		{"a member without a link is dialled", far, nil, []string{"dial 192.0.2.9:27272 remembered"}},
		{"a peer is linked", 1, nil, nil},
		{"nobody knows where a stranger is", 99, nil, nil},
		{"one that is dialled is not dialled twice", far, func(t *testing.T) *node {
			n := newFar(t, 40)
			n.Need(n.now, id(far))
			return n
		}, nil},
		{"where everybody is linked the schedule dials", 2, func(t *testing.T) *node {
			n := newNode(t)
			l := n.join(2, 5)
			n.LinkDown(n.now, l, core.Closed{})
			return n
		}, nil},
		{"a node that leaves has said all", far, func(t *testing.T) *node {
			n := newFar(t, 40)
			n.Leave(n.now)
			return n
		}, nil},
		{"a member with a link on demand has one", far, func(t *testing.T) *node {
			n := newFar(t, 40)
			n.onDemand(far)
			return n
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newFar(t, 40)
			if tt.make != nil {
				n = tt.make(t)
			}
			n.take()
			n.Need(n.now, id(tt.need))
			n.expect(tt.want...)
			for _, a := range n.acts {
				if d, _ := a.(core.Dial); !d.OnDemand || d.Pin != id(tt.need) {
					t.Errorf("dial %+v, want one on demand of node %d", d, tt.need)
				}
			}
		})
	}
}

func TestALinkOnDemandMakesNoPeer(t *testing.T) {
	n := newFar(t, 40)
	l := n.link(far, 5, func(l *core.Link) { l.OnDemand = true })
	n.expect("node_accepted n9", "send 2 RECORDS×1")
	n.Learn(n.now, l, []frame.Record{record(far, 5), record(99, 5)})
	n.expect()
	if n.OnDemand() != 1 || n.Holds(id(far)) != [8]byte{2} {
		t.Errorf("%d links on demand, HELLO names %x; want the one", n.OnDemand(), n.Holds(id(far)))
	}
	if err := n.SetMeta(n.now, map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	n.expect("send 1 RECORDS×1", "view of 42")
	n.Receive(n.now, l, frame.Probe{Number: 1})
	n.expect("send 2 ACK")
	n.Receive(n.now, l, frame.Digest{Hash: 1})
	n.expect("close 2 protocol")
}

func TestALinkOnDemandEnds(t *testing.T) {
	tests := []struct {
		name string
		do   func(n *node, l core.LinkID)
		want []string
	}{
		{"when nobody used it for ten seconds", func(n *node, l core.LinkID) {
			n.pass(overlay.DemandIdle-200*time.Millisecond, 1)
			n.Used(n.now, l)
			n.expect()
			n.pass(overlay.DemandIdle-200*time.Millisecond, 1)
			n.expect()
			n.now = n.now.Add(200 * time.Millisecond)
			n.Tick(n.now)
		}, []string{"close 2 idle"}},
		{"without a word when the peer finds that", func(n *node, l core.LinkID) {
			n.LinkDown(n.now, l, core.Closed{By: core.ByPeer, Code: frame.CodeIdle})
		}, nil},
		{"without a word when it breaks", func(n *node, l core.LinkID) {
			n.LinkDown(n.now, l, core.Closed{By: core.ByPeer})
		}, nil},
		{"with its member", func(n *node, _ core.LinkID) {
			n.Learn(n.now, 1, []frame.Record{record(far, 5, func(r *frame.Record) {
				r.State, r.Version = frame.Left, 2
			})})
		}, []string{"removed_node n9 left", "close 2 leave", "view of 41"}},
		{"when its key is used up", func(n *node, l core.LinkID) { n.Rotate(n.now, l) }, []string{"close 2 rotate"}},
		{"when a newer one took its place", func(n *node, _ core.LinkID) { n.onDemand(far) }, []string{"close 2 duplicate"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newFar(t, 40)
			l := n.onDemand(far)
			n.take()
			tt.do(n, l)
			got := slices.DeleteFunc(n.take(), func(w string) bool { return w[:4] == "send" })
			if !slices.Equal(got, tt.want) {
				t.Errorf("decided %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLinksOnDemandHavePlaces(t *testing.T) {
	n := newFar(t, 40)
	for i := range overlay.DemandMax {
		n.onDemand(far + i)
		n.now = n.now.Add(20 * time.Millisecond)
	}
	next := far + overlay.DemandMax
	offer := core.Offer{Peer: id(next), Incarnation: 5, HelloAt: n.now, OnDemand: true}
	n.take()
	n.Need(n.now, id(next))
	if r := n.Arbitrate(n.now, offer); !r.Full || n.AdmitOnDemand(n.now, id(next)) {
		t.Errorf("ruling %+v while all are in use, want full at both ends", r)
	}
	n.expect()
	n.now = n.now.Add(overlay.DemandHold)
	offer.HelloAt = n.now
	if r := n.Arbitrate(n.now, offer); !r.OK {
		t.Errorf("ruling %+v, want the place of the one used longest ago", r)
	}
	n.expect("close 2 idle")
	n.Abandoned(n.now, id(next))
	if !n.AdmitOnDemand(n.now, id(next+1)) {
		t.Error("the place of a connection that came to nothing is not free")
	}
	n.expect()
	if n.OnDemand() != overlay.DemandMax-1 {
		t.Errorf("%d links on demand, want %d", n.OnDemand(), overlay.DemandMax-1)
	}
}

func TestOneLinkOfAPair(t *testing.T) {
	tests := []struct {
		name     string
		before   func(n *node)
		onDemand bool
		want     bool
	}{
		{"both ends ask at once: the first wins", func(n *node) {
			n.Arbitrate(n.now, core.Offer{Peer: id(far), Incarnation: 5, HelloAt: n.now, OnDemand: true})
		}, true, false},
		{"a peer needs none on demand", func(n *node) { n.granted(far, 5) }, true, false},
		{"also if it says that it has lost the link", func(n *node) {
			n.granted(far, 5)
			n.now = n.now.Add(time.Minute)
		}, true, false},
		{"nor does one that is about to be a peer", func(n *node) {
			n.Arbitrate(n.now, core.Offer{Peer: id(far), Incarnation: 5, HelloAt: n.now})
		}, true, false},
		{"that of peers wins over one that is about to come up", func(n *node) {
			n.Arbitrate(n.now, core.Offer{Peer: id(far), Incarnation: 5, HelloAt: n.now, OnDemand: true})
		}, false, true},
		{"and over one that is up", func(n *node) { n.onDemand(far) }, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newFar(t, 40)
			tt.before(n)
			holds := n.Holds(id(far))
			if strings.Contains(tt.name, "lost") {
				holds = [8]byte{}
			}
			r := n.Arbitrate(n.now, core.Offer{
				Peer: id(far), Incarnation: 5, PeerHolds: holds, HelloAt: n.now, OnDemand: tt.onDemand,
			})
			if r.OK != tt.want || r.Full {
				t.Errorf("ruling %+v, want OK %t, and never full", r, tt.want)
			}
		})
	}
}

// TestAPeerTakesThePlace: whichever end hears first of which link.
func TestAPeerTakesThePlace(t *testing.T) {
	n := newFar(t, 40)
	n.onDemand(far)
	n.take()
	l := n.link(far, 5)
	n.expect("close 2 duplicate", "send 3 RECORDS×1", "view of 42")
	n.Learn(n.now, l, []frame.Record{record(far, 5)})
	n.take()
	n.LinkDown(n.now, 2, core.Closed{By: core.BySelf})
	n.onDemand(far)
	n.expect("close 4 duplicate")
	if n.OnDemand() != 0 {
		t.Errorf("%d links on demand, want none", n.OnDemand())
	}
}

func TestWhoComesOnDemand(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T) *node
		want []string // but for what is sent to peers
	}{
		{"a node that is not listed yet is listed by its record", func(t *testing.T) *node {
			return newFar(t, 40)
		}, []string{"node_accepted n99", "send 2 RECORDS×1", "added_node n99", "view of 43"}},
		{"in a complete mesh it has to come as a peer", func(t *testing.T) *node {
			return newNode(t)
		}, []string{"node_accepted n99", "send 1 RECORDS×1", "close 1 close"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := tt.make(t)
			n.take()
			n.onDemand(99)
			got := slices.DeleteFunc(n.take(), func(w string) bool {
				return w[:4] == "dial" || n.links > 1 && w[:6] == "send 1"
			})
			if !slices.Equal(got, tt.want) {
				t.Errorf("decided %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAnotherAddressIsTriedAfterAFailure(t *testing.T) {
	n := newFar(t, 39)
	n.Learn(n.now, 1, []frame.Record{record(far, 5, func(r *frame.Record) {
		r.Addrs, r.Version = append(r.Addrs, frame.Addr{Scheme: "tcp", Addr: "198.51.100.1:1"}), 2
	})})
	n.take()
	var got []string
	for range 4 {
		n.Need(n.now, id(far))
		for _, d := range n.dialled() {
			got = append(got, d.Addr)
			n.DialDone(n.now, d.Number, dial.Outcome{Kind: dial.TimedOut})
		}
		n.now = n.now.Add(time.Second)
	}
	want := []string{addr(far), "198.51.100.1:1", addr(far), "198.51.100.1:1"}
	if !slices.Equal(got, want) {
		t.Errorf("dialled %q, want %q", got, want)
	}
}

// TestWhoIsDialledAsAPeerIsAskedForLater: as soon as it has no room for that.
func TestWhoIsDialledAsAPeerIsAskedForLater(t *testing.T) {
	n, _ := meshed(t)
	for range 20 {
		n.now = n.now.Add(time.Second)
		n.Heard(n.now, n.links, n.now)
		n.Tick(n.now)
		for _, d := range n.dialled() {
			if d.OnDemand || d.Pin.IsZero() {
				continue
			}
			n.Need(n.now, d.Pin)
			n.expect()
			n.DialDone(n.now, d.Number, dial.Outcome{Kind: dial.Full, ID: d.Pin})
			for range 20 {
				n.now = n.now.Add(50 * time.Millisecond)
				n.Tick(n.now)
				for _, again := range n.dialled() {
					if again.OnDemand && again.Pin == d.Pin {
						return
					}
				}
			}
			t.Fatal("who had no room for a peer is not dialled on demand within a second")
		}
	}
	t.Fatal("nobody was dialled as a peer")
}
