//go:build linux

package ns_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/netns"
)

// TestTwoNodesMeetByMulticast is the first minute of every user, seen from the wire: nothing
// that a user named can be read there (S3).
func TestTwoNodesMeetByMulticast(t *testing.T) {
	const (
		cluster = "cluster-in-plain-sight"
		topic   = "topic.in.plain.sight"
		payload = `{"canary":"payload-in-plain-sight"}`
		name    = "name-in-plain-sight"
		meta    = "meta-in-plain-sight"
	)
	s := netns.New(t, command, 2)
	capture := s.Capture()
	begin := time.Now()
	a := s.Host(1).Up("--cluster", cluster, "--name", name, "--meta", "role="+meta)
	b := s.Host(2).Up("--cluster", cluster)
	var met time.Time
	for _, c := range []netns.Change{
		a.Wait(patient(meetMax), netns.Match{Kind: "added_node", ID: b.ID, Source: "multicast"}),
		b.Wait(patient(meetMax), netns.Match{Kind: "added_node", ID: a.ID}),
	} {
		if c.Time.After(met) {
			met = c.Time
		}
	}
	t.Logf("both list each other %v after the first was started", met.Sub(begin))

	sub := subscribe(t, b, topic)
	publish(t, a, topic, payload)
	line := sub.Next(startMax).Line
	if !strings.Contains(line, payload) || !strings.Contains(line, topic) {
		t.Errorf("sub printed %s, want topic %s and data %s", line, topic, payload)
	}

	wire := capture.Stop()
	packets, err := netns.ParsePackets(wire)
	if err != nil || len(packets) < 20 {
		t.Fatalf("the capture has %d packets: %v", len(packets), err)
	}
	for _, word := range []string{cluster, topic, "payload-in-plain-sight", name, meta, b.Name} {
		if bytes.Contains(wire, []byte(word)) {
			t.Errorf("the capture of %d bytes contains %q", len(wire), word)
		}
	}
	if !bytes.Contains(wire, []byte("ESPL")) { // what begins each beacon
		t.Errorf("the capture of %d bytes does not contain what is in the clear", len(wire))
	}
	for _, n := range []*netns.Node{a, b} {
		if strings.Contains(n.Report(), "payload-in-plain-sight") {
			t.Errorf("a node printed what was published\n%s", n.Report())
		}
	}
}

// TestTwoClustersNeverMeet: the same group, the same port, not one attempt to connect (A28).
func TestTwoClustersNeverMeet(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 4)
	red := []*netns.Node{s.Host(1).Up("--cluster", "red"), s.Host(2).Up("--cluster", "red")}
	blue := []*netns.Node{s.Host(3).Up("--cluster", "blue"), s.Host(4).Up("--cluster", "blue")}
	netns.Whole(startMax, red...)
	netns.Whole(startMax, blue...)
	capture := s.Capture("tcp")
	s.Hold(3 * second) // a few beacons
	netns.Whole(0, red...)
	netns.Whole(0, blue...)
	for _, n := range append(red, blue...) {
		never(t, n, netns.Match{Kind: "node_accepted", ID: otherSide(n, red, blue)})
		never(t, n, netns.Match{Kind: "node_rejected"})
	}
	for _, p := range capture.Packets() {
		if (netns.HostOf(p.Src.Addr()) <= 2) != (netns.HostOf(p.Dst.Addr()) <= 2) {
			t.Errorf("a packet crosses from one cluster to the other: %v to %v", p.Src, p.Dst)
		}
	}
}

// otherSide returns the ID of a node of the cluster that n is not in.
func otherSide(n *netns.Node, red, blue []*netns.Node) string {
	if slices.Contains(red, n) {
		return blue[0].ID
	}
	return red[0].ID
}

// TestARefusedNodeIsToldAndListedNowhere (E01), and nothing that is published reaches it (D14).
func TestARefusedNodeIsToldAndListedNowhere(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 2)
	capture := s.Capture("tcp")
	a := s.Host(1).Up("--cluster", "c", "--admit", "echo no beards; false")
	b := s.Host(2).Start(command, "up", "--json", "--cluster", "c", "--name", "joiner")
	refusal := netns.Match{Kind: "node_rejected", Code: "filter", Reason: "no beards"}
	byPeer, bySelf := refusal, refusal
	byPeer.By, bySelf.By = "peer", "self"
	b.Wait(startMax, byPeer)
	a.Wait(startMax, bySelf)
	payload := strings.Repeat("x", 100<<10)
	for range 3 {
		if r := s.Host(1).Run("pub", "some.topic", payload); r.Code != 0 {
			t.Errorf("pub with nobody there: exit code %d: %s", r.Code, r.Err)
		}
	}
	if code := b.Ended(); code != 4 {
		t.Errorf("the refused node ended with exit code %d, want 4\n%s", code, b.Report())
	}
	for _, n := range []*netns.Node{a, b} {
		never(t, n, netns.Match{Kind: "added_node"})
		never(t, n, netns.Match{Kind: "peer_added"})
		never(t, n, netns.Match{Kind: "node_accepted"})
	}
	sent := 0
	for _, p := range capture.Packets() {
		sent += len(p.Payload)
	}
	// Two handshakes and hellos take some 10 KB; one event would be 100 KB more.
	if sent == 0 || sent > 50<<10 {
		t.Errorf("%d bytes crossed between a node and one that it refused", sent)
	}
}

// TestIPv6LinkLocalIsEnough, whatever a node listens on (A26). An address without its zone is
// of no use to a third node, so they all need multicast, or to be named with it.
func TestIPv6LinkLocalIsEnough(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 4)
	for _, h := range s.Hosts() {
		h.DropIPv4()
	}
	seed := "[" + s.Host(1).Addr6.String() + "%eth0]:27272"
	nodes := []*netns.Node{
		s.Host(1).Up("--cluster", "c", "--listen", "[::]:27272"),
		s.Host(2).Up("--cluster", "c"),
		s.Host(3).Up("--cluster", "c", "--join", seed),
		s.Host(4).Up("--cluster", "c", "--listen", "["+s.Host(4).Addr6.String()+"%eth0]:0"),
	}
	netns.Whole(startMax, nodes...)
}

// TestBothFamiliesAreOneNode: a node that has two addresses is met once, and the filter sees
// IPv4 as IPv4 even where the socket is of both families (A26).
func TestBothFamiliesAreOneNode(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 3)
	four := s.Host(1).Addr.String()
	admit := `grep -E '"addr":"(10\.77\.1\.[23]|\[fe80::[23]%eth0\]):'`
	nodes := []*netns.Node{
		s.Host(1).Up("--cluster", "c", "--listen", "[::]:27272", "--admit", admit),
		s.Host(2).Up("--cluster", "c", "--discover", "none", "--join", four+port),
		s.Host(3).Up("--cluster", "c"),
	}
	netns.Whole(startMax, nodes...)
	s.Hold(2 * second)
	for _, n := range nodes {
		never(t, n, netns.Match{Kind: "node_rejected"})
		never(t, n, netns.Match{Kind: "removed_node"})
		if got := n.Count(netns.Match{Kind: "added_node"}); got != 2 {
			t.Errorf("%s added %d nodes, want 2\n%s", n.Name, got, n.Report())
		}
	}
}
