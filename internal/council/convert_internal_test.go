package council

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/elect"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/lease"
)

// recode returns f after a way over the wire.
func recode(t *testing.T, f frame.Frame) frame.Frame {
	t.Helper()
	raw, _, err := frame.Next(f.Append(nil))
	if err != nil {
		t.Fatalf("Next of %+v: %v", f, err)
	}
	g, err := frame.Decode(raw)
	if err != nil {
		t.Fatalf("Decode of %+v: %v", f, err)
	}
	if name, _, ok := subject(g); !ok || name != "cron" {
		t.Errorf("subject of %+v is %q %v, want cron", g, name, ok)
	}
	return g
}

func TestClaimsCrossTheWire(t *testing.T) {
	reign := elect.Reign{
		Leader: ident.NodeID{1}, Incarnation: 2, Seat: elect.Seat{Join: 3, ID: ident.NodeID{4}}, Term: 5,
	}
	for _, want := range []elect.Claim{
		{},
		{Reign: reign, Last: 6},
		{Waiting: true},
		{Unfit: true},
		{Resigned: true},
		{Calling: true},
		{Again: true},
		{Reign: reign, Over: true},
	} {
		f, ok := recode(t, lead("cron", want)).(frame.Lead)
		if !ok {
			t.Fatalf("%+v is %T on the wire", want, f)
		}
		if diff := cmp.Diff(want, claim(f)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
}

func TestLeaseMessagesCrossTheWire(t *testing.T) {
	for _, want := range []lease.Message{
		lease.Rule{Electorate: 1, Seen: 2, Leads: 3},
		lease.Ask{Kind: lease.Poll, Electorate: 1, Incarnation: 2, Number: 3, After: 5},
		lease.Ask{Kind: lease.Claim, Electorate: 1, Incarnation: 2, Number: 3, Term: 4, After: 5},
		lease.Ask{Kind: lease.Renew, Electorate: 1, Incarnation: 2, Number: 3, Term: 4},
		lease.Answer{Granted: true, Electorate: 1, Incarnation: 2, Number: 3, Seen: 4, Clock: 5, Wait: time.Second},
		lease.Release{Term: 1},
		lease.Release{Term: 1, Successor: ident.NodeID{2}},
		lease.Reign{Electorate: 1, Leader: ident.NodeID{2}, Term: 3},
		lease.Reign{Electorate: 1, Leader: ident.NodeID{2}, Term: 3, Over: true},
		lease.Promote{Target: ident.NodeID{2}},
		lease.Promote{Target: ident.NodeID{2}, Term: 3},
	} {
		if diff := cmp.Diff(want, message(recode(t, leaseFrame("cron", want)))); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
	for _, f := range []frame.Frame{frame.LeaseAsk{Kind: 77}, frame.Bye{}} {
		if m := message(f); m != nil {
			t.Errorf("%+v says %+v, want nothing", f, m)
		}
	}
}
