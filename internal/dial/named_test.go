package dial_test

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/dial"
)

// TestPeerThatNamesAStrangerEndsItsBackoff: two nodes that met only a cut are kept apart
// by their back-off, and the members that see both bring them together.
func TestPeerThatNamesAStrangerEndsItsBackoff(t *testing.T) {
	w := newWorld(t, always(hole))
	w.found(addr(1), dial.Peer, 200)
	w.run(10 * time.Minute)
	before := w.now
	for len(times(w.run(time.Second), addr(1))) == 0 {
		w.found(addr(1), dial.Peer, 200)
	}
	if got := w.now.Sub(before); got > 3*time.Second {
		t.Errorf("a node that a peer names again was dialled after %v, want within 3s", got)
	}
}
