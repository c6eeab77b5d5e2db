package core_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/dial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

func TestControlFrames(t *testing.T) {
	n := newNode(t)
	one, two := n.join(1, 5), n.join(2, 6)
	n.Receive(n.now, one, frame.Probe{Number: 77})
	n.expect("send 1 ACK")
	if a, _ := n.acts[0].(core.Send); a.Frame != (frame.Ack{Number: 77}) {
		t.Errorf("sent %+v, want the ACK of probe 77", a.Frame)
	}
	n.Receive(n.now, one, frame.ProbeRequest{Number: 3, Target: id(0), Incarnation: 7})
	n.expect("send 1 PROBE-RESULT")
	n.Receive(n.now, one, frame.ProbeRequest{Number: 4, Target: id(9), Incarnation: 7})
	n.expect("send 1 PROBE-RESULT")
	n.now = n.now.Add(50 * time.Millisecond)
	n.Receive(n.now, one, frame.ProbeRequest{Number: 5, Target: id(2), Incarnation: 6})
	n.expect("send 2 PROBE")
	n.Heard(n.now, two, n.now)
	n.expect("send 1 PROBE-RESULT")
	n.Receive(n.now, one, frame.Digest{Hash: 1})
	n.expect("send 1 DIGEST")
	n.Receive(n.now, one, frame.Suspect{Target: id(0), Incarnation: 7})
	n.expect("send 1 RECORDS×1", "send 2 RECORDS×1", "view of 3")
	if n.Self().Version < 2 {
		t.Errorf("version %d after a suspicion, want it raised", n.Self().Version)
	}
	n.Receive(n.now, one, frame.Hello{})
	n.expect("close 1 protocol")
	n.Receive(n.now, 99, frame.Probe{})
	n.expect()
}

func TestRoundTripIsMeasured(t *testing.T) {
	n := newNode(t)
	l := n.link(1, 5)
	n.Learn(n.now, l, []frame.Record{record(1, 5)})
	if rtt := n.RTT(id(1)); rtt != 0 {
		t.Errorf("round trip %v before the first ACK, want 0", rtt)
	}
	for _, a := range n.Take() {
		if s, ok := a.(core.Send); ok && s.Frame.Type() == frame.TypeProbe {
			p, _ := s.Frame.(frame.Probe)
			n.now = n.now.Add(3 * time.Millisecond)
			n.Receive(n.now, l, frame.Ack(p))
		}
	}
	if rtt := n.RTT(id(1)); rtt != 3*time.Millisecond {
		t.Errorf("round trip %v, want 3ms", rtt)
	}
}

// TestALiarChangesNothing is case A31.
func TestALiarChangesNothing(t *testing.T) {
	n := newNode(t)
	liar, c := n.join(1, 5), n.join(2, 6)
	for range 60 {
		n.Receive(n.now, liar, frame.Suspect{Target: id(2), Incarnation: 6, Refused: true})
		if got := n.pass(time.Second, liar, c); len(got) != 0 {
			t.Fatalf("decided %q on the word of one member", got)
		}
	}
}

func TestWhatOthersTellIsDialledAndNotShown(t *testing.T) {
	n := newNode(t)
	l := n.join(1, 5)
	n.Learn(n.now, l, []frame.Record{record(2, 6)})
	got := append(n.take(), n.pass(100*time.Millisecond, l)...)
	if want := []string{"dial 192.0.2.2:27272 peer"}; !slices.Equal(got, want) {
		t.Errorf("decided %q, want %q: who was not admitted is not shown", got, want)
	}
	m := n.link(2, 6)
	n.Learn(n.now, m, []frame.Record{record(2, 6)})
	n.take()
	for _, a := range n.acts {
		if c, ok := a.(core.Change); ok && c.Kind == core.AddedNode && c.Member.Source != "peer" {
			t.Errorf("found by %q, want peer, who named it first", c.Member.Source)
		}
	}
}

func TestAJoinNumberChangesTheView(t *testing.T) {
	n := newNode(t)
	l := n.join(1, 5)
	n.Learn(n.now, l, []frame.Record{record(1, 5, func(r *frame.Record) { r.Version, r.Join = 2, 9 })})
	n.expect("view of 2")
	v, _ := n.acts[0].(core.View)
	if m := v.Members[1]; m.Record.Join != 9 || !v.Members[0].Self {
		t.Errorf("view %+v, want this node with its lower number first, then 9", v.Members)
	}
	n.Learn(n.now, l, []frame.Record{record(1, 5, func(r *frame.Record) {
		r.Version, r.Join, r.Meta = 3, 9, map[string]string{"a": "b"}
	})})
	n.expect("updated_node n1", "view of 2")
}

func TestOwnMetadataIsToldToAll(t *testing.T) {
	n := newNode(t)
	n.join(1, 5)
	n.join(2, 6)
	if err := n.SetMeta(n.now, map[string]string{"role": "db"}); err != nil {
		t.Fatal(err)
	}
	n.expect("send 1 RECORDS×1", "send 2 RECORDS×1", "view of 3")
	big := map[string]string{"k": string(make([]byte, frame.MetaMax))}
	if err := n.SetMeta(n.now, big); err == nil {
		t.Error("metadata above its limit was taken")
	}
	n.expect()
}

func TestARejectionIsReportedOnceAMinute(t *testing.T) {
	n := newNode(t)
	n.take()
	r := core.Rejection{Peer: id(1), Name: "n1", By: core.ByPeer, Code: frame.CodeFilter, Addr: addr(1)}
	reported := 0
	for range 150 {
		n.Rejected(n.now, r)
		reported += len(n.take())
		n.now = n.now.Add(time.Second)
	}
	if reported != 3 {
		t.Errorf("%d reports in 150 s, want 3", reported)
	}
	r.Code = frame.CodeDuplicate
	n.now = n.now.Add(time.Hour)
	n.Rejected(n.now, r)
	if got := n.take(); slices.Contains(got, "node_rejected n1") {
		t.Errorf("decided %q for a duplicate", got)
	}
}

func TestHeardCostsNothing(t *testing.T) {
	n := newNode(t)
	for peer := range 20 {
		n.join(peer+1, 5)
	}
	if got := testing.AllocsPerRun(1000, func() {
		n.now = n.now.Add(time.Microsecond)
		n.Heard(n.now, 7, n.now)
	}); got != 0 {
		t.Errorf("Heard allocates %v times, want 0", got)
	}
}

// TestRandomInputs: whatever comes, links are closed once, nothing is sent to a link that
// is not up, and the changes of each incarnation nest.
func TestRandomInputs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := few(t, rapid.SampledFrom([]int{0, 2, 3}).Draw(rt, "links"))
		up, closed := map[core.LinkID]bool{}, map[core.LinkID]bool{}
		listed, linked := map[string]bool{}, map[string]bool{}
		var dials []uint64
		verify := func() {
			for _, a := range n.Take() {
				switch a := a.(type) {
				case core.Send:
					if !up[a.Link] || closed[a.Link] {
						rt.Fatalf("%s: link is up %t, closed %t", say(a), up[a.Link], closed[a.Link])
					}
				case core.CloseLink:
					if !up[a.Link] || closed[a.Link] {
						rt.Fatalf("%s: link is up %t, closed %t", say(a), up[a.Link], closed[a.Link])
					}
					closed[a.Link] = true
				case core.Dial:
					dials = append(dials, a.Number)
				case core.Change:
					k := fmt.Sprint(a.Member.Record.ID.Short(), a.Member.Record.Incarnation)
					nest(rt, a, k, listed, linked)
				case core.View:
					if len(a.Members) != 1+len(listed) {
						rt.Fatalf("view of %d, listed are %d and this node", len(a.Members), len(listed))
					}
				}
			}
		}
		peer, inc := rapid.IntRange(1, 6), rapid.Uint64Range(5, 7)
		someLink := func() core.LinkID { return core.LinkID(rapid.Uint64Range(1, uint64(n.links)+1).Draw(rt, "link")) }
		rt.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { verify() },
			"up": func(rt *rapid.T) {
				up[n.links+1] = true
				n.link(peer.Draw(rt, "peer"), ident.Incarnation(inc.Draw(rt, "inc")))
			},
			"down": func(rt *rapid.T) {
				l := someLink()
				delete(up, l)
				n.LinkDown(n.now, l, core.Closed{
					By: core.By(rapid.IntRange(0, 2).Draw(rt, "by")), Code: rapid.SampledFrom([]frame.Code{"", "leave", "idle", "full"}).Draw(rt, "code"),
				})
			},
			"learn": func(rt *rapid.T) {
				n.Learn(n.now, someLink(), []frame.Record{record(peer.Draw(rt, "peer"), ident.Incarnation(inc.Draw(rt, "inc")),
					func(r *frame.Record) {
						r.Version = rapid.Uint64Range(1, 3).Draw(rt, "version")
						r.State = frame.State(rapid.IntRange(0, 4).Draw(rt, "state") / 4)
					})})
			},
			"heard": func(*rapid.T) { n.Heard(n.now, someLink(), n.now) },
			"suspect": func(rt *rapid.T) {
				n.Receive(n.now, someLink(), frame.Suspect{
					Target: id(peer.Draw(rt, "peer")), Incarnation: ident.Incarnation(inc.Draw(rt, "inc")),
					Refused: rapid.Bool().Draw(rt, "refused"),
				})
			},
			"suspicion": func(rt *rapid.T) {
				n.Receive(n.now, someLink(), frame.Suspicion{
					Target: id(rapid.IntRange(0, 6).Draw(rt, "target")), By: id(peer.Draw(rt, "peer")),
					Incarnation: ident.Incarnation(inc.Draw(rt, "inc")), Version: rapid.Uint64Range(1, 3).Draw(rt, "version"),
					Refused: rapid.Bool().Draw(rt, "refused"),
				})
			},
			"rejected": func(rt *rapid.T) {
				n.Rejected(n.now, core.Rejection{
					Peer: id(peer.Draw(rt, "peer")), Incarnation: ident.Incarnation(inc.Draw(rt, "inc")),
					By:   core.By(rapid.IntRange(1, 2).Draw(rt, "by")),
					Code: rapid.SampledFrom([]frame.Code{"filter", "full", "duplicate"}).Draw(rt, "code"),
				})
			},
			"arbitrate": func(rt *rapid.T) {
				n.Arbitrate(n.now, core.Offer{Peer: id(peer.Draw(rt, "peer")), Incarnation: 5, HelloAt: n.now})
			},
			"dialled": func(rt *rapid.T) {
				if len(dials) > 0 {
					n.DialDone(n.now, dials[0], dial.Outcome{Kind: dial.Kind(rapid.IntRange(2, 10).Draw(rt, "kind"))})
					dials = dials[1:]
				}
			},
			"time": func(rt *rapid.T) {
				n.now = n.now.Add(time.Duration(rapid.IntRange(0, 1000).Draw(rt, "ms")) * time.Millisecond)
				n.Tick(n.now)
			},
		})
	})
}

// nest checks one change against those before it.
func nest(rt *rapid.T, c core.Change, k string, listed, linked map[string]bool) {
	wrong := false
	switch c.Kind {
	case core.AddedNode:
		wrong = listed[k]
		listed[k] = true
	case core.RemovedNode:
		wrong = !listed[k] || linked[k]
		delete(listed, k)
	case core.PeerAdded:
		wrong = !listed[k] || linked[k]
		linked[k] = true
	case core.PeerRemoved:
		wrong = !linked[k]
		delete(linked, k)
	case core.UpdatedNode, core.SuspectedNode:
		wrong = !listed[k]
	default:
	}
	if wrong {
		rt.Fatalf("%s while listed %t, linked %t", say(c), listed[k], linked[k])
	}
}
