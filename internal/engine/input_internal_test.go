package engine

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/frame"
)

// raws encodes a frame as many times and cuts it from the wire again.
func raws(t *testing.T, f frame.Frame, times int) []frame.Raw {
	t.Helper()
	raw, _, err := frame.Next(f.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	all := make([]frame.Raw, times)
	for i := range all {
		all[i] = raw
	}
	return all
}

// A peer who floods control frames fills its own share of the owner's queue and not that
// of the others; when the owner has taken them, it is heard again.
func TestAFloodLeavesRoomForOthers(t *testing.T) {
	e := idle(t, nil)
	const rounds = 2
	flooder, other := &handler{e: e, introduced: true, id: 1}, &handler{e: e, id: 2}
	record := frame.Records{List: [][]byte{e.core.Self().Raw}}
	for round := range rounds {
		for name, f := range map[string]frame.Frame{"short frames": frame.Digest{Hash: 1}, "records": record} {
			if err := flooder.Receive(raws(t, f, 2*inputsMax)); err != nil {
				t.Fatal(err)
			}
			queued := len(e.inputs)
			if queued == 0 || queued > inputsMax/16 {
				t.Errorf("round %d: %d inputs of %s wait, want some and at most %d", round, queued, name, inputsMax/16)
			}
			if err := other.Receive(raws(t, frame.Probe{Number: 1}, 1)); err != nil {
				t.Fatal(err)
			}
			if got := len(e.inputs); got != queued+1 {
				t.Errorf("round %d: %d inputs wait, %d of them %s, want the other's too", round, got, queued, name)
			}
			for len(e.inputs) > 0 {
				(<-e.inputs)(time.Now())
			}
		}
	}
	if got := flooder.waiting.Load() + other.waiting.Load(); got != 0 {
		t.Errorf("%d bytes are counted as waiting in an empty queue", got)
	}
}
