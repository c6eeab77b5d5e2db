//go:build linux

package ns_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/netns"
	"github.com/espial-go/espial/internal/packet"
)

// port of the nodes in these tests, each alone in its host.
const port = ":27272"

// TestAHandshakeInDripsIsCutOff (D01).
func TestAHandshakeInDripsIsCutOff(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 2)
	s.Host(1).Up("--cluster", "c")
	stranger := s.Host(2).Start(program("drip", s.Host(1).Addr.String()+port)...)
	took := time.Duration(stranger.Wait(startMax, netns.Match{Kind: "closed"}).Count) * time.Millisecond
	if took < 4*second || took > chaos(25*second, 6*second) {
		t.Errorf("closed after %v, want 5s", took)
	}
}

// TestIdleConnectionsKeepNobodyOut: they cost no memory, break no link, and a newcomer joins
// (D02).
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 5)
	nodes := []*netns.Node{
		s.Host(1).Up("--cluster", "c"), s.Host(2).Up("--cluster", "c"), s.Host(3).Up("--cluster", "c"),
	}
	netns.Whole(startMax, nodes...)
	settle(t, nodes)
	victim := nodes[0]
	before := victim.Resident()
	stranger := s.Host(4).Start(program("idle", s.Host(1).Addr.String()+port, strconv.Itoa(chaos(1000, 10_000)))...)
	stranger.Wait(startMax, netns.Match{Kind: "begun"})
	begin := time.Now()
	guest := s.Host(5).Up("--cluster", "c", "--discover", "none", "--join", s.Host(1).Addr.String()+port)
	netns.Whole(startMax, append(nodes, guest)...)
	joined := time.Since(begin)
	grown := victim.Resident() - before
	if grown > 64<<20 {
		t.Errorf("the node grew by %d MiB", grown>>20)
	}
	result := stranger.Wait(startMax, netns.Match{Kind: "idle"})
	t.Logf("%d connections, %s; joined in %v; the node grew by %d KiB", result.Count, result.Reason, joined, grown>>10)
	if result.Count < idleMin {
		t.Errorf("only %d connections were opened", result.Count)
	}
	undisturbed(t, nodes...)
}

// TestGarbageOnTheGroupCostsLittle, and who comes meanwhile is found by multicast (D15).
func TestGarbageOnTheGroupCostsLittle(t *testing.T) {
	s := netns.New(t, command, 4)
	nodes := []*netns.Node{s.Host(1).Up("--cluster", "c"), s.Host(2).Up("--cluster", "c")}
	netns.Whole(startMax, nodes...)
	settle(t, nodes)
	begin, before, memory := time.Now(), nodes[0].CPU(), nodes[0].Resident()
	stranger := s.Host(3).Start(program("garbage", "c", strconv.Itoa(chaos(20_000, 100_000)))...)
	stranger.Wait(startMax, netns.Match{Kind: "begun"})
	guest := s.Host(4).Up("--cluster", "c")
	netns.Whole(patient(2*second), append(nodes, guest)...)
	sent := stranger.Wait(startMax, netns.Match{Kind: "garbage"}).Count
	took := time.Since(begin)
	share := float64(nodes[0].CPU()-before) / float64(took)
	grown := nodes[0].Resident() - memory
	t.Logf("%d datagrams in %v: %.1f %% of a core, %d KiB", sent, took, 100*share, grown>>10)
	if share > 0.2 {
		t.Errorf("%d datagrams in %v cost %.0f %% of a core, want 20 %% at most", sent, took, 100*share)
	}
	if grown > 8<<20 {
		t.Errorf("the node grew by %d KiB", grown>>10)
	}
	undisturbed(t, nodes...)
	for _, n := range nodes {
		if lines := strings.Count(n.Messages(), "\n"); lines > 20 {
			t.Errorf("%s wrote %d lines about it", n.Name, lines)
		}
	}
}

// TestForgedBeaconsMoveNobody: no node dials an address because of a datagram that somebody
// sent in its name (D17), and none believes what is said in the name of a member (D18).
func TestForgedBeaconsMoveNobody(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 5)
	nodes := []*netns.Node{
		s.Host(1).Up("--cluster", "c"), s.Host(2).Up("--cluster", "c"), s.Host(3).Up("--cluster", "c"),
	}
	netns.Whole(startMax, nodes...)
	settle(t, nodes)
	victim := s.Host(5)
	capture := victim.Capture()
	id := ""
	for _, m := range nodes[1].Members() {
		if strings.HasPrefix(m.ID, nodes[0].ID) {
			id = m.ID
		}
	}
	member := id + "@" + s.Host(1).Addr.String()
	stranger := s.Host(4).Start(program("forge", "c", victim.Addr.String(), member)...)
	sent := int(stranger.Wait(startMax, netns.Match{Kind: "forged"}).Count)
	s.Hold(2 * second) // for late dials
	var arrived, received int
	for _, p := range capture.Packets() {
		switch {
		case p.Proto == netns.UDP && p.Src.Addr() == victim.Addr && p.Dst.Addr() == group.Addr():
			arrived++
		case p.Dst.Addr() != victim.Addr && p.Dst.Addr() != victim.Addr6:
		case p.IsDial():
			t.Errorf("%v dials the victim at %v", p.Src, p.Dst)
		case p.Proto == netns.UDP:
			received += len(p.Payload)
		}
	}
	if arrived != 60 {
		t.Errorf("%d forged datagrams crossed the segment, want 60", arrived)
	}
	if received > sent*len(nodes) {
		t.Errorf("the victim got %d bytes from %d nodes for %d bytes in its name", received, len(nodes), sent)
	}
	for _, n := range nodes {
		if got := notable(n); len(got) > 0 {
			t.Errorf("%s printed %d changes\n%s", n.Name, len(got), n.Report())
		}
	}
	netns.Whole(0, nodes...)
}

// TestNoReplyIsLargerThanItsRequest (D23).
func TestNoReplyIsLargerThanItsRequest(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 3)
	nodes := []*netns.Node{s.Host(1).Up("--cluster", "c"), s.Host(2).Up("--cluster", "c")}
	netns.Whole(startMax, nodes...)
	asker := s.Host(3)
	capture := asker.Capture("udp")
	stranger := asker.Start(program("ask", "c")...)
	if code := stranger.Ended(); code != 0 {
		t.Fatalf("the asker ended with exit code %d\n%s", code, stranger.Report())
	}
	requests := 0            // those that may be answered
	replies := map[int]int{} // by host
	largest := 0
	for _, p := range capture.Packets() {
		switch {
		case p.Src.Addr() == asker.Addr:
			if len(p.Payload) >= packet.SizeMin {
				requests++
			}
			largest = max(largest, len(p.Payload))
		case p.Dst.Addr() == asker.Addr:
			replies[netns.HostOf(p.Src.Addr())]++
			if len(p.Payload) > packet.SizeMin {
				t.Errorf("a reply has %d bytes, more than the shortest request, %d", len(p.Payload), packet.SizeMin)
			}
			if largest < packet.SizeMin {
				t.Errorf("%v replied to a request of less than %d bytes", p.Src, packet.SizeMin)
			}
		}
	}
	hosts := []int{}
	for h, count := range replies {
		hosts = append(hosts, h)
		if count > requests {
			t.Errorf("host %d sent %d replies to %d requests", h, count, requests)
		}
	}
	slices.Sort(hosts)
	if want := []int{1, 2}; !slices.Equal(hosts, want) || requests != 120 {
		t.Errorf("%d requests, and replies of the hosts %v, want 120 and %v", requests, hosts, want)
	}
	t.Logf("%d requests, replies by host: %v", requests, replies)
}

// TestANodeWithoutDescriptorsWaitsForSome: it loses no link and spends no time on it, and takes
// connections again when there are some (A27).
func TestANodeWithoutDescriptorsWaitsForSome(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 3)
	const limit = 64
	victim := s.Host(1).Start("sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, limit),
		command, "up", "--json", "--name", "victim", "--cluster", "c")
	victim.Listening()
	nodes := []*netns.Node{victim, s.Host(2).Up("--cluster", "c")}
	netns.Whole(startMax, nodes...)
	s.Hold(second)
	markAll(nodes)
	// From the host itself: of another one only 8 would be taken.
	stranger := s.Host(1).Start(program("idle", "127.0.0.1"+port, "200")...)
	stranger.Wait(startMax, netns.Match{Kind: "begun"})
	s.Hold(second)
	begin, used := time.Now(), victim.CPU()
	if got := victim.Descriptors(); got < limit {
		t.Errorf("%d of %d descriptors are used: nothing is proved", got, limit)
	}
	stranger.Wait(startMax, netns.Match{Kind: "idle"})
	share := float64(victim.CPU()-used) / float64(time.Since(begin))
	release := time.Now()
	guest := s.Host(3).Up("--cluster", "c", "--discover", "none", "--join", s.Host(1).Addr.String()+port)
	netns.Whole(patient(2*second), append(nodes, guest)...)
	t.Logf("%.1f %% of a core without descriptors; joined %v after there were some", 100*share, time.Since(release))
	if share > 0.05 {
		t.Errorf("a node without descriptors takes %.0f %% of a core, want 5 %% at most", 100*share)
	}
	undisturbed(t, nodes...)
}
