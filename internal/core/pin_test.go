package core_test

import (
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

// vouch stands for a signature.
func vouch(s *frame.Suspicion) error {
	return s.Sign(func([]byte) ([]byte, error) { return make([]byte, 32), nil })
}

// meshed is a node with at most four links that knows nodes 1 to 20, has a link with node 1,
// and has dialled those that it wants besides.
func meshed(t *testing.T) (n *node, dialled []string) {
	t.Helper()
	n = &node{t: t, now: time.Unix(1000, 0)}
	var err error
	n.Core, err = core.New(n.now, core.Config{
		Self: id(0), Record: record(0, 7), Sign: sign, Vouch: vouch, MaxPeers: 4,
		Rand: rand.New(rand.NewPCG(1, 2)),
	})
	if err != nil {
		t.Fatal(err)
	}
	n.link(1, 1)
	n.hear()
	return n, n.dials("", 0)
}

// hear brings new records of nodes 1 to 20, who live.
func (n *node) hear() {
	var rs []frame.Record
	for i := 1; i <= 20; i++ {
		rs = append(rs, record(i, 1, func(r *frame.Record) { r.Version = uint64(n.now.UnixMilli()) }))
	}
	n.Learn(n.now, n.links, rs)
}

// dials returns where the core dials in the next three seconds. Nothing comes of it, but at
// the address name there is node who, without room.
func (n *node) dials(name string, who int) (addrs []string) {
	for last := n.now.Add(3 * time.Second); n.now.Before(last); n.now = n.now.Add(50 * time.Millisecond) {
		n.hear()
		n.Tick(n.now)
		for _, a := range n.Take() {
			d, ok := a.(core.Dial)
			if !ok {
				continue
			}
			if addrs = append(addrs, d.Addr); d.Addr == name {
				n.DialDone(n.now, d.Number, dial.Outcome{Kind: dial.Full, ID: id(who)})
			}
		}
	}
	return addrs
}

// A node that the user named is dialled in a partial mesh where nothing else asks for it,
// whatever he named it by.
func TestWhomTheUserNamedIsDialled(t *testing.T) {
	_, dialled := meshed(t)
	far := 2
	for slices.Contains(dialled, addr(far)) {
		far++
	}
	if far > 20 {
		t.Fatalf("dialled %q, which is everybody", dialled)
	}
	for _, tt := range []struct {
		name string
		pin  func(n *node)
	}{
		{"by its ID", func(n *node) { n.Pin(n.now, id(far)) }},
		{"because votes need it", func(n *node) { n.Require(n.now, []ident.NodeID{id(far)}) }},
		{"by its ID while votes need it no more", func(n *node) {
			n.Pin(n.now, id(far))
			n.Require(n.now, []ident.NodeID{id(far)})
			n.Require(n.now, nil)
		}},
		{"because votes need it, and not by its ID any more", func(n *node) {
			n.Require(n.now, []ident.NodeID{id(far)})
			n.Pin(n.now, id(far))
			n.Unpin(n.now, id(far))
		}},
		{"by its address", func(n *node) { n.PinAddr(n.now, addr(far)) }},
		{"by its address inside IPv6", func(n *node) { n.PinAddr(n.now, fmt.Sprintf("[::ffff:192.0.2.%d]:27272", far)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, _ := meshed(t)
			tt.pin(n)
			if got := n.dials("", 0); !slices.Equal(got, []string{addr(far)}) {
				t.Errorf("dialled %q, want %s", got, addr(far))
			}
		})
	}
}

// Who is not required any more is not dialled again.
func TestWhomNobodyNeedsIsLetGo(t *testing.T) {
	n, dialled := meshed(t)
	far := 2
	for slices.Contains(dialled, addr(far)) {
		far++
	}
	n.Require(n.now, []ident.NodeID{id(far)})
	n.dials(addr(far), far) // it has no room
	n.Require(n.now, nil)
	if got := n.dials("", 0); slices.Contains(got, addr(far)) { // before the neighbours are passed over
		t.Fatalf("dialled %q, want no %s", got, addr(far))
	}
}

// The link is with who answers at the address, and there is a limit of addresses.
func TestAnAddressThatTheUserNamed(t *testing.T) {
	n, dialled := meshed(t)
	far := 2
	for slices.Contains(dialled, addr(far)) {
		far++
	}
	const name = "db.example:27272"
	for _, a := range []string{"DB.example:27272", name} {
		if !n.PinAddr(n.now, a) {
			t.Fatal("there is no room for one address")
		}
	}
	if got := n.dials(name, far); !slices.Equal(got, []string{name, addr(far)}) {
		t.Errorf("dialled %q, want %s, and %s, who answered there", got, name, addr(far))
	}
	for i := 1; i < 256; i++ {
		if !n.PinAddr(n.now, fmt.Sprintf("host%d:1", i)) {
			t.Errorf("address %d is not taken, want 256", i+1)
		}
	}
	if n.PinAddr(n.now, "one.more:1") {
		t.Error("more than 256 addresses are taken")
	}
}
