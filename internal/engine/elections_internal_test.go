package engine

import (
	"testing"
	"time"

	"github.com/espial-go/espial/internal/council"
)

// A lease that ends is over for everybody who asks, before the owner wakes up to say so: the
// owner of a process that was paused comes late.
func TestAReignEndsByTheClock(t *testing.T) {
	now := time.Unix(1000, 0)
	e := idle(t, func() time.Time { return now })
	key := e.cfg.Key
	begin, end := now, now.Add(time.Second)
	e.publishReigns([]council.Action{
		council.Hold{Election: "leased", Term: 7, Until: end},
		council.Report{Election: "leased", Kind: council.NewLeader, Leader: key.ID(), Term: 7},
		council.Hold{Election: "endless", Term: 3},
		council.Report{Election: "endless", Kind: council.NewLeader, Leader: key.ID(), Term: 3},
	})
	held := map[string]*Term{}
	for _, name := range []string{"leased", "endless"} {
		if held[name], _ = e.Held(name); held[name] == nil {
			t.Fatalf("the node does not lead %s at the beginning", name)
		}
	}
	for _, tt := range []struct {
		name  string
		after time.Duration
		renew time.Duration // the end of a lease that is renewed at that moment
		leads bool
	}{
		{"the last moment", time.Second - 1, 0, true},
		{"the end of the lease", time.Second, 0, false},
		{"the end of a pause", time.Hour, 0, false},
		{"the last moment of a lease that was renewed", 2*time.Second - 1, 2 * time.Second, true},
		{"its end", 2 * time.Second, 2 * time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.renew != 0 {
				e.publishReigns([]council.Action{council.Hold{Election: "leased", Term: 7, Until: begin.Add(tt.renew)}})
			}
			now = begin.Add(tt.after)
			for name, want := range map[string]bool{"leased": tt.leads, "endless": true} {
				reign, _ := e.Held(name)
				_, led := e.Leader(name)
				if over := held[name].Over(); over == want || led != want || (reign == held[name]) != want {
					t.Errorf("%s after %v: over %t, Held %v, Leader %t; want that the node leads: %t",
						name, tt.after, over, reign, led, want)
				}
			}
		})
	}
}

// What ends before its lease does, ends: the term that was handed out with it as well.
func TestAReignEndsWithTheHold(t *testing.T) {
	r := newReigns()
	clock := func() time.Time { return time.Unix(1000, 0) }
	r.hold(council.Hold{Term: 7, Until: clock().Add(time.Hour)}, clock)
	first := r.held[""]
	r.hold(council.Hold{Term: 9, Until: clock().Add(time.Hour)}, clock)
	second := r.held[""]
	if !first.Over() || first.ended.Err() == nil || second.Over() || second.Number != 9 {
		t.Errorf("after term 9 began: term 7 over %t, term %d over %t", first.Over(), second.Number, second.Over())
	}
	r.hold(council.Hold{}, clock)
	if !second.Over() || second.ended.Err() == nil || r.held[""] != nil {
		t.Errorf("after the end of term 9: over %t, held %v", second.Over(), r.held[""])
	}
}
