package engine_test

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/espial-go/espial/internal/engine"
)

// flood is a carrier of beacons that brings more than the owner's queue holds once the
// owner is gone, and then waits for a place in it.
type flood struct{}

func (flood) Run(ctx context.Context, receive func([]byte, netip.AddrPort, bool), moved func()) error {
	<-ctx.Done()
	for range 2000 {
		receive(nil, netip.AddrPort{}, true)
	}
	moved()
	return nil
}

func (flood) Close()                       {}
func (flood) Send([]byte)                  {}
func (flood) Reply([]byte, netip.AddrPort) {}
func (flood) Status() map[string]uint64    { return map[string]uint64{} }

// A full queue that nobody empties any more keeps no goroutine, and so the node, from
// ending: the bubble fails if one waits.
func TestAFullQueueDoesNotKeepANodeFromEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.start(func(cfg *engine.Config) { cfg.Beacons = flood{} })
		c.start()
		c.waitFor(1)
		c.close()
	})
}
