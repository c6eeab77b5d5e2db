package espial_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/ident"
)

// infiltrate makes an attacker a member at each of the nodes.
func (c *cluster) infiltrate(a *attacker, nodes ...*espial.Node) []*insider {
	c.Helper()
	var all []*insider
	for _, n := range nodes {
		in := a.join(n)
		if !slices.Contains(names(n), "mallory") {
			c.Fatalf("%s lists %v: the attacker is not in", n.Name(), names(n))
		}
		all = append(all, in)
	}
	return all
}

// A31: a member who says every second that another one is dead, silent or refused,
// removes nobody, and the victim is never long under suspicion.
func TestLyingMemberRemovesNobody(t *testing.T) {
	inCluster(t, 5, func(c *cluster) {
		victim := c.nodes[4]
		all := c.watchAll()
		liars := c.infiltrate(c.attacker(9), c.nodes[:4]...)
		inc := ident.Incarnation(victim.Self().Incarnation)
		for range 30 {
			for _, l := range liars {
				for _, refused := range []bool{true, false} {
					l.say(frame.Suspect{Target: ident.NodeID(victim.ID()), Incarnation: inc, Refused: refused})
				}
				l.say(frame.ProbeResult{Number: 1}, frame.ProbeResult{Number: 2})
			}
			time.Sleep(time.Second)
		}
		c.quiet(all, espial.RemovedNode)
		for i, l := range liars {
			if bye, closed := l.closed(); closed {
				c.Errorf("node %d closed the liar's link: %+v; the lies were not heard", i, bye)
			}
		}
		for _, n := range c.nodes {
			if n == victim {
				continue
			}
			if !slices.Contains(names(n), victim.Name()) {
				c.Errorf("%s lists %v, want the victim too", n.Name(), names(n))
			}
		}
	})
}

// forged returns what a member may try to make of another one's record, and numbers of
// its own that no honest node uses.
func forged(a *attacker, victim espial.Member, public []byte) map[string]frame.Frame {
	inc := ident.Incarnation(victim.Incarnation)
	of := func(change func(r *frame.Record)) frame.Records {
		r := frame.Record{Public: public, Incarnation: inc, Version: 1 << 40, Name: victim.Name, Join: 1}
		change(&r)
		if err := r.Sign(a.key.Sign); err != nil { // with the forger's key: it has no other
			a.Fatal(err)
		}
		return frame.Records{List: [][]byte{r.Raw}}
	}
	return map[string]frame.Frame{
		"a goodbye in the victim's name": of(func(r *frame.Record) { r.State = frame.Left }),
		"an address in the victim's name": of(func(r *frame.Record) {
			r.Addrs = []frame.Addr{{Scheme: "tcp", Addr: "10.0.0.99:1"}}
		}),
		"metadata in the victim's name":       of(func(r *frame.Record) { r.Meta = map[string]string{"role": "evil"} }),
		"a record of the highest incarnation": a.highest(),
		"a suspicion of the highest incarnation": frame.Suspect{
			Target: ident.NodeID(victim.ID), Incarnation: math.MaxUint64, Refused: true,
		},
	}
}

// highest is a record of the attacker's own with the highest incarnation, signed as it
// should be; [frame.Record.Sign] would not.
func (a *attacker) highest() frame.Records {
	a.Helper()
	const sigLen = 64 // Ed25519
	raw := a.record().Raw
	body := slices.Clone(raw[:len(raw)-1-sigLen])
	binary.BigEndian.PutUint64(body[2+len(a.key.Public()):], math.MaxUint64)
	sig, err := a.key.Sign(append([]byte("espial record v1\x00"), body...))
	if err != nil || len(sig) != sigLen {
		a.Fatalf("signature of %d bytes: %v", len(sig), err)
	}
	return frame.Records{List: [][]byte{append(append(body, sigLen), sig...)}}
}

// A32, and forged words of others: a claim with the highest incarnation, or in another's
// name, ends the link of who makes it, and the victim stays as it was.
func TestForgedRecordsEndTheForgersLink(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		all := c.watchAll()
		victim := c.nodes[2].Self()
		public := publicOf(c, c.nodes[2])
		a := c.attacker(20)
		for name, f := range forged(a, victim, public) {
			in := c.infiltrate(a, c.nodes[0])[0]
			in.say(f)
			time.Sleep(100 * time.Millisecond)
			if bye, closed := in.closed(); !closed || bye.Code != frame.CodeProtocol {
				c.Errorf("%s: closed %t with %+v, want BYE protocol", name, closed, bye)
			}
			a.inc++ // its last one was ended by itself
		}
		time.Sleep(5 * time.Second)
		for i, h := range all {
			if n := h.about(victim.ID, espial.RemovedNode, espial.UpdatedNode, espial.SuspectedNode); n > 0 {
				c.Errorf("node %d: the victim suffered:%v", i, h)
			}
		}
		if !whole(c.nodes) {
			c.Error("the cluster is not whole")
		}
	})
}

// publicOf asks a node for its public key, as anybody can.
func publicOf(c *cluster, n *espial.Node) []byte {
	c.Helper()
	t := c.attacker(30).dial(n)
	defer t.conn.Close()
	cert := t.conn.ConnectionState().PeerCertificates[0]
	return slices.Clone(cert.RawSubjectPublicKeyInfo)
}

// B23: core names are no topics. Publishing under one is an error; what a member sends
// under one reaches nobody, is counted, and moves nothing.
func TestCoreNamesAreNoTopics(t *testing.T) {
	inCluster(t, 2, func(c *cluster) {
		n := c.nodes[0]
		forge := []string{"new_leader", "added_node", "removed_node", "promotion", "espial.quorum_lost", "espial"}
		for _, topic := range forge {
			err := n.Publish(c.Context(), topic, nil)
			if _, ok := errors.AsType[*espial.TopicError](err); !ok {
				c.Errorf("Publish under %s = %v, want a TopicError", topic, err)
			}
		}
		all := c.watchAll()
		ears := []*ear{c.listen(n, ">"), c.listen(n, "*"), c.listen(n, "*.*")}
		in := c.infiltrate(c.attacker(9), n)[0]
		next := 1
		for _, lane := range []frame.Lane{frame.Broadcast, frame.Direct} {
			for i, topic := range forge {
				_, _ = in.conn.Write(events(lane, i+1, topic, "forged"))
			}
			_, _ = in.conn.Write(events(lane, len(forge)+1, "orders.placed", fmt.Sprint("real ", next)))
			next++
		}
		time.Sleep(time.Second)
		for _, e := range ears {
			for _, got := range e.heard() {
				if !strings.HasPrefix(got, "orders.placed real") {
					c.Errorf("heard %q, want only what is real", got)
				}
			}
		}
		if got := ears[0].heard(); len(got) != 2 {
			c.Errorf("heard %q behind the forged events, want the two that are real", got)
		}
		if got := n.Status().Dropped["topics"]; got != uint64(2*len(forge)) {
			c.Errorf("%d forged events were counted, want %d", got, 2*len(forge))
		}
		c.quiet(all, espial.RemovedNode, espial.SuspectedNode)
	})
}

// E21: a member who floods events, within its window and beyond it, costs bounded memory
// and delays nobody else.
func TestFloodingMemberIsHeldOff(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		n := c.nodes[0]
		all := c.watchAll()
		c.listen(n, "flood.*", espial.WithPolicy(espial.Block), espial.QueueMax(1))
		stuck := n.Subscribe(c.Context(), "flood.*", espial.WithPolicy(espial.Block), espial.QueueMax(1))
		e := c.listen(n, "orders.*")
		in := c.infiltrate(c.attacker(9), n)[0]
		synctest.Wait()
		before := heapInUse()
		go func() {
			payload := strings.Repeat("x", 32<<10)
			for i := range 2000 { // 64 MiB where 4 MiB are granted
				if _, err := in.conn.Write(events(frame.Direct, i+1, "flood.high", payload)); err != nil {
					return
				}
			}
		}()
		var want []string
		for i := range 500 {
			if err := c.nodes[1].Publish(c.Context(), "orders.placed", fmt.Append(nil, i)); err != nil {
				c.Fatal(err)
			}
			want = append(want, fmt.Sprint("orders.placed ", i))
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		if got := e.heard(); !slices.Equal(got, want) {
			c.Errorf("a third party got %d of 500 events through", len(got))
		}
		if bye, closed := in.closed(); !closed || bye.Code != frame.CodeProtocol {
			c.Errorf("the flood ended: %t, %+v; want BYE protocol", closed, bye)
		}
		if grown := heapInUse() - before; grown > 16<<20 {
			c.Errorf("the flood cost %d bytes, want at most 16 MiB", grown)
		}
		for i, h := range all {
			for _, ch := range h.of(espial.RemovedNode, espial.SuspectedNode) {
				if ch.Member.Name != "mallory" {
					c.Errorf("node %d: %s of %s", i, ch.Kind, ch.Member.Name)
				}
			}
		}
		for range stuck {
			break
		}
	})
}

// E21, in control frames: a member who asks without end and never reads loses its link,
// and the node goes on.
func TestMemberWhoFloodsProbesLosesItsLink(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		all := c.watchAll()
		n := c.nodes[0]
		a := c.attacker(9)
		t := a.admitted(n)
		t.say(frame.Records{List: [][]byte{a.record().Raw}}, opening())
		var probes []byte
		for i := range 1000 {
			probes = frame.Probe{Number: uint64(i)}.Append(probes)
		}
		began := time.Now()
		var err error
		for err == nil && time.Since(began) < 30*time.Second {
			_, err = t.conn.Write(probes)
			time.Sleep(time.Millisecond)
		}
		if err == nil {
			c.Error("the link is up after 30 s of probes whose answers nobody reads")
		}
		_ = t.conn.Close()
		time.Sleep(5 * time.Second)
		for i, h := range all {
			for _, ch := range h.of(espial.RemovedNode, espial.SuspectedNode) {
				if ch.Member.Name != "mallory" {
					c.Errorf("node %d: %s of %s", i, ch.Kind, ch.Member.Name)
				}
			}
		}
		if !whole(c.nodes) {
			c.Error("the cluster is not whole")
		}
	})
}

// E23: what a later protocol adds and marks as optional is ignored; what it marks as
// critical ends the link, or is refused with code version before it is up.
func TestLaterProtocols(t *testing.T) {
	frames := []struct {
		name string
		send []byte
		open bool
	}{
		{"an optional frame", []byte{200, 0, 0, 3, 1, 2, 3}, true},
		{"an optional field of EVENTS", withField(2), true},
		{"a critical frame", []byte{99, 0, 0, 0}, false},
		{"a critical field of EVENTS", withField(3), false},
	}
	inCluster(t, 2, func(c *cluster) {
		n := c.nodes[0]
		for i, tt := range frames {
			e := c.listen(n, "later.*")
			in := c.infiltrate(c.attacker(20+i), n)[0]
			_, _ = in.conn.Write(tt.send)
			time.Sleep(100 * time.Millisecond)
			bye, closed := in.closed()
			if closed == tt.open || closed && bye.Code != frame.CodeProtocol {
				c.Errorf("%s: closed %t with %+v, want %t", tt.name, closed, bye, !tt.open)
			}
			if got := len(e.heard()); tt.open && tt.send[0] == byte(frame.TypeEvents) && got != 1 {
				c.Errorf("%s: %d events, want the one around it", tt.name, got)
			}
			in.conn.Close()
		}
		a := c.attacker(30)
		newer := a.hello()
		newer.Proto++
		critical := frame.AppendField(a.hello().Append(nil), 1, nil)
		frame.Seal(critical)
		for name, b := range map[string][]byte{"a newer protocol": newer.Append(nil), "a critical field": critical} {
			t := a.dial(n)
			_, _ = t.conn.Write(b)
			_, last := t.rest()
			if r, ok := last.(frame.Reject); !ok || r.Code != frame.CodeVersion {
				c.Errorf("%s in HELLO: the node said %+v, want REJECT version", name, last)
			}
		}
	})
}

// withField returns a frame of EVENTS with one field that nobody knows.
func withField(tag uint64) []byte {
	b := frame.BeginEvents(nil, frame.Events{
		First: 1, Message: 1, Topic: []byte("later.one"), Fields: frame.AppendField(nil, tag, []byte("new")),
	})
	b = frame.AppendPayload(b, []byte("hi"))
	frame.Seal(b)
	return b
}
