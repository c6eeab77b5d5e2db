//go:build linux

package ns_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/netns"
)

// spinMax is for how long a program spins that nobody ends.
const spinMax = 15 * time.Minute

// spin computes all the time.
func spin() {
	var sum [sha256.Size]byte
	for end := time.Now().Add(spinMax); time.Now().Before(end); {
		sum = sha256.Sum256(sum[:])
	}
}

// starve leaves each of the nodes a share of a core, in percent, for some time, together with
// a program that computes all the time, as the node's own might.
func starve(t *testing.T, s *netns.Segment, percent int, d time.Duration, nodes ...*netns.Node) {
	t.Helper()
	quotas := map[*netns.Node]*netns.Quota{}
	used := map[*netns.Node]time.Duration{}
	for _, n := range nodes {
		quotas[n], used[n] = s.Starve(percent, n, n.Host.Start(program("spin")...)), n.CPU()
	}
	s.Hold(d)
	for _, n := range nodes {
		throttled := quotas[n].Throttled()
		t.Logf("%s got %v of a core and had to wait in %.0f %% of the periods", n.Name, n.CPU()-used[n], 100*throttled)
		if throttled < chaos(0.9, 0.1) { // it never waits for the share that the machine has not got
			t.Skipf("this machine has too much else to do: it gives %s less than its share", n.Name)
		}
	}
}

// TestAStarvedNodeRemovesNobody: one of eight gets a twentieth of a core (A07). It may be taken
// for dead itself, but not again and again.
func TestAStarvedNodeRemovesNobody(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 8)
	nodes := upAll(t, s, "--cluster", "c")
	slow := nodes[3]
	markAll(nodes)
	starve(t, s, 5, chaos(15*second, 10*time.Minute), slow)
	for _, n := range nodes {
		for _, o := range without(nodes, slow) {
			never(t, n, removed(o))
		}
		changes := n.Count(removed(slow)) + n.Count(netns.Match{Kind: "added_node", ID: slow.ID})
		if changes > chaos(1, 10) {
			t.Errorf("%s removed or added the slow node %d times\n%s", n.Name, changes, n.Report())
		}
	}
}

// TestStarvedNodesRemoveNobody: all get a tenth of a core (A08).
func TestStarvedNodesRemoveNobody(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 8)
	nodes := upAll(t, s, "--cluster", "c")
	markAll(nodes)
	starve(t, s, 10, chaos(15*second, 2*time.Minute), nodes...)
	for _, n := range nodes {
		never(t, n, netns.Match{Kind: "removed_node"})
	}
}
