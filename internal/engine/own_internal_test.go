package engine

import (
	"crypto/rand"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// noListener is a listener for an engine that does not run.
type noListener struct{ net.Listener }

func (noListener) Addr() net.Addr { return &net.TCPAddr{} }

// idle returns an engine that does not run, by the given clock; nil is the real one.
func idle(t *testing.T, awake func() time.Time) *Engine {
	t.Helper()
	key, err := ident.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{Key: key, Cluster: "test", Name: "node", Listener: noListener{}, Awake: awake})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Strangers who refuse this node, or are refused, under ever new IDs cost no memory that
// grows; one who has become a peer refuses no more.
func TestRefusalsAreBounded(t *testing.T) {
	e := idle(t, nil)
	change := func(kind core.Kind, by core.By, n uint32) {
		var id ident.NodeID
		binary.BigEndian.PutUint32(id[:], n)
		e.report(core.Change{
			Kind: kind, By: by, Code: frame.CodeFilter, Member: core.Member{Record: frame.Record{ID: id}},
		})
	}
	for n := range uint32(1000) {
		change(core.NodeRejected, core.BySelf, n)
	}
	if len(e.refused) != 0 {
		t.Errorf("%d who were refused here are remembered, want none", len(e.refused))
	}
	for n := range uint32(1000) {
		change(core.NodeRejected, core.ByPeer, n)
	}
	if len(e.refused) != refusedMax {
		t.Errorf("%d who refused are remembered, want %d", len(e.refused), refusedMax)
	}
	change(core.PeerAdded, core.ByNobody, 0)
	e.updatePaths()
	if got := e.Paths().Refusals; len(got) != refusedMax-1 || got[0].Peer[3] != 1 {
		t.Errorf("%d refusals, the first of %v; want %d without that of the peer", len(got), got[0].Peer, refusedMax-1)
	}
}
