package core_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
)

// What one machine decides is another one's input: a test for each of the ways between
// the member table, the failure detector and the dial schedule.

func TestANewcomerIsAnnouncedToTheOthers(t *testing.T) {
	n := newNode(t)
	n.join(1, 5)
	l := n.link(2, 6)
	n.take()
	n.Learn(n.now, l, []frame.Record{record(2, 6)})
	if got := n.take(); !slices.Contains(got, "send 1 RECORDS×1") {
		t.Errorf("decided %q, want the record of node 2 sent on link 1", got)
	}
}

func TestWhoLeftIsForgottenByAll(t *testing.T) {
	n := newNode(t)
	stays := n.join(1, 5)
	n.Learn(n.now, stays, []frame.Record{record(2, 6)}) // makes it a candidate for dials
	n.take()
	n.failDials()
	l := n.join(2, 6)
	n.Learn(n.now, l, []frame.Record{record(2, 6, func(r *frame.Record) { r.Version, r.State = 2, frame.Left })})
	n.take()
	n.LinkDown(n.now, l, core.Closed{By: core.ByPeer, Code: frame.CodeLeave})
	for end := n.now.Add(2 * time.Minute); n.now.Before(end); n.now = n.now.Add(50 * time.Millisecond) {
		n.Heard(n.now, stays, n.now)
		n.Tick(n.now)
		for _, w := range n.take() {
			if strings.HasPrefix(w, "dial") || strings.Contains(w, "SUSPECT") || strings.Contains(w, "REQUEST") {
				t.Fatalf("decided %q about a member that left", w)
			}
		}
	}
	n.Learn(n.now, stays, []frame.Record{record(2, 7)})
	if got := n.pass(100*time.Millisecond, stays); !slices.Contains(got, "dial 192.0.2.2:27272 peer") {
		t.Errorf("decided %q, want the next incarnation dialled", got)
	}
}

func TestASignOfLifeEndsASuspicion(t *testing.T) {
	signs := map[string]func(n *node, own, other core.LinkID){
		"bytes on its link": func(n *node, own, _ core.LinkID) { n.Heard(n.now, own, n.now) },
		"a newer record over another member": func(n *node, _, other core.LinkID) {
			n.Learn(n.now, other, []frame.Record{record(1, 5, func(r *frame.Record) { r.Version = 2 })})
		},
	}
	for name, sign := range signs {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			own, other := n.join(1, 5), n.join(2, 6)
			if got := n.pass(time.Second, other); !slices.Contains(got, "suspected_node n1") {
				t.Fatalf("decided %q in a second of silence, want node 1 suspected", got)
			}
			sign(n, own, other)
			if got := n.take(); !slices.Contains(got, "view of 3") {
				t.Errorf("decided %q, want a view without a suspect", got)
			}
			v, _ := n.acts[len(n.acts)-1].(core.View)
			for _, m := range v.Members {
				if m.Suspect {
					t.Errorf("node %s is suspect after a sign of life", m.Record.Name)
				}
			}
			if got := n.pass(800*time.Millisecond, other); slices.Contains(got, "suspected_node n1") {
				t.Errorf("decided %q, want the silence of node 1 to begin anew", got)
			}
			if got := n.pass(1800*time.Millisecond, other); !slices.Contains(got, "suspected_node n1") ||
				slices.Contains(got, "removed_node n1 failed") {
				t.Errorf("decided %q, want node 1 suspected again, and not yet removed", got)
			}
		})
	}
}

// failDials ends the dials of the last take.
func (n *node) failDials() {
	for _, a := range n.acts {
		if d, ok := a.(core.Dial); ok {
			n.DialDone(n.now, d.Number, dial.Outcome{Kind: dial.Failed})
		}
	}
}

// TestAnAccusationMakesThisNodeLook: another member found the address refusing.
func TestAnAccusationMakesThisNodeLook(t *testing.T) {
	n := newNode(t)
	gone, other := n.join(1, 5), n.join(2, 6)
	n.LinkDown(n.now, gone, core.Closed{})
	n.take()
	n.failDials()
	n.now = n.now.Add(dial.Spacing) // from now on another redial may be
	n.Heard(n.now, other, n.now)
	n.Receive(n.now, other, frame.Suspect{Target: id(1), Incarnation: 5, Refused: true})
	if got := n.take(); !slices.Contains(got, "dial 192.0.2.1:27272 remembered") {
		t.Errorf("decided %q, want node 1 dialled at once", got)
	}
}

func TestARedialGoesWhereTheLinkWas(t *testing.T) {
	n := newNode(t)
	l := n.link(1, 5, func(l *core.Link) { l.Addr = "198.51.100.7:1234" }) // not in its record
	n.Learn(n.now, l, []frame.Record{record(1, 5)})
	n.take()
	n.LinkDown(n.now, l, core.Closed{})
	if got := n.take(); !slices.Contains(got, "dial 198.51.100.7:1234 remembered") {
		t.Errorf("decided %q, want the address of the link dialled first", got)
	}
}
