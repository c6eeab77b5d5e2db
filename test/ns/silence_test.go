//go:build linux

package ns_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/netns"
)

// within fails the test if a change came later than is promised.
func within(t *testing.T, n *netns.Node, c netns.Change, begin time.Time, promised time.Duration) {
	t.Helper()
	limit := patient(promised)
	if took := c.Time.Sub(begin); took > limit {
		t.Errorf("%s printed %s after %v, want %v at most\n%s", n.Name, c.Kind, took, limit, n.Report())
	}
}

// TestANodeThatLeavesIsSeenToLeave (A02).
func TestANodeThatLeavesIsSeenToLeave(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 5)
	nodes := upAll(t, s, "--cluster", "c")
	leaver := nodes[2]
	begin := leaver.Leave()
	for _, n := range without(nodes, leaver) {
		within(t, n, n.Wait(2*patient(leftMax), left(leaver)), begin, leftMax)
		never(t, n, suspected(leaver))
		if got := n.Count(removed(leaver)); got != 1 {
			t.Errorf("%s removed the leaver %d times", n.Name, got)
		}
	}
}

// TestAKilledProcessIsMissedAtOnce: its links close and nobody answers a redial (A03).
func TestAKilledProcessIsMissedAtOnce(t *testing.T) {
	s := netns.New(t, command, 5)
	nodes := upAll(t, s, "--cluster", "c")
	var suspicions, removals []time.Duration
	for round := range chaos(10, 50) {
		i := round % len(nodes)
		victim := nodes[i]
		s.Hold(second) // dials have a rate, and the last round took its share
		markAll(nodes)
		begin := victim.Kill()
		for _, n := range without(nodes, victim) {
			gone := n.Wait(2*patient(silentMax), failed(victim))
			took := gone.Time.Sub(begin)
			removals = append(removals, took)
			if took > patient(killedMax) {
				t.Logf("round %d: removed after %v\n%s", round, took, n.Report())
			}
			if n.Count(suspected(victim)) == 0 {
				t.Errorf("%s removed a node without suspecting it first\n%s", n.Name, n.Report())
				continue
			}
			suspicions = append(suspicions, n.Wait(0, suspected(victim)).Time.Sub(begin))
		}
		nodes[i] = s.Host(i+1).Up("--cluster", "c")
		netns.Whole(startMax, nodes...)
		for _, n := range without(nodes, nodes[i]) {
			if got := n.Count(netns.Match{Kind: "removed_node"}); got != 1 {
				t.Errorf("%s removed %d nodes where one was killed\n%s", n.Name, got, n.Report())
			}
		}
	}
	for _, n := range nodes {
		// Those who look for the killed ones find others at their addresses.
		if strings.Contains(n.Messages(), "admission failed") {
			t.Errorf("%s warns of its own cluster\n%s", n.Name, n.Report())
		}
	}
	slices.Sort(suspicions)
	slices.Sort(removals)
	t.Logf("suspected after %v, %v at most; removed after %v, %v at most (%d times)",
		percentile(suspicions, 50), percentile(suspicions, 100),
		percentile(removals, 50), percentile(removals, 100), len(removals))
	if got := percentile(suspicions, 99); got > patient(killHintMax) {
		t.Errorf("99 of 100 suspicions came within %v, want %v: %v", got, patient(killHintMax), suspicions)
	}
	if got := percentile(removals, 99); got > patient(killedMax) {
		t.Errorf("99 of 100 removals came within %v, want %v: %v", got, patient(killedMax), removals)
	}
}

// percentile returns the duration that p percent of the sorted ones do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}

// TestASilentNodeIsRemovedAndRemovesAll (A04).
func TestASilentNodeIsRemovedAndRemovesAll(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 5)
	nodes := upAll(t, s, "--cluster", "c")
	silent := nodes[3]
	rest := without(nodes, silent)
	markAll(nodes)
	begin := time.Now()
	s.Cut(silent.Host)
	for _, n := range rest {
		within(t, n, n.Wait(2*patient(silentMax), failed(silent)), begin, silentMax)
	}
	for _, n := range rest {
		within(t, silent, silent.Wait(2*patient(silentMax), failed(n)), begin, 4*second)
	}
	within(t, silent, silent.Wait(2*patient(silentMax), netns.Match{Kind: "disconnected"}), begin, 4*second)
	s.Hold(second) // for a false removal to show
	netns.Whole(0, rest...)
	for _, n := range rest {
		if got := n.Count(netns.Match{Kind: "removed_node"}); got != 1 {
			t.Errorf("%s removed %d nodes where one was cut off\n%s", n.Name, got, n.Report())
		}
	}
}

// TestListsAreWholeSoonAfterSilenceEnds: for life, without a restart.
func TestListsAreWholeSoonAfterSilenceEnds(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 2)
	nodes := upAll(t, s, "--cluster", "c")
	a, b := nodes[0], nodes[1]
	s.Cut(b.Host)
	s.Hold(chaos(8*second, 90*second))
	a.Wait(patient(silentMax), failed(b))
	b.Wait(patient(silentMax), failed(a))
	begin := time.Now()
	s.Heal()
	netns.Whole(patient(healMax), a, b)
	t.Logf("whole again %v after packets flow", time.Since(begin))
}

// TestAPauseRemovesNobody (A05).
func TestAPauseRemovesNobody(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 5)
	nodes := upAll(t, s, "--cluster", "c")
	for run := range chaos(3, 20) {
		paused := nodes[run%len(nodes)]
		paused.Signal(syscall.SIGSTOP)
		s.Hold(1500 * time.Millisecond)
		paused.Signal(syscall.SIGCONT)
		s.Hold(1500 * time.Millisecond) // for a late verdict
	}
	for _, n := range nodes {
		never(t, n, netns.Match{Kind: "removed_node"})
	}
	netns.Whole(0, nodes...)
}

// TestLostPacketsRemoveNobody: one of ten is lost on each way (A09). A probe over TCP then waits
// for seconds now and then, which indirect probes make up for.
func TestLostPacketsRemoveNobody(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, chaos(5, 16))
	nodes := upAll(t, s, "--cluster", "c")
	for _, h := range s.Hosts() {
		s.Loss(h, 5) // at both ends of each way
	}
	s.Hold(chaos(8*second, 10*60*second))
	for _, n := range nodes {
		never(t, n, netns.Match{Kind: "removed_node"})
	}
}

// TestANodeThatHearsLittleIsOut: four of five packets to it are lost (A11). All others come to the
// same verdict, and none takes it back when one of its dials succeeds by luck.
func TestANodeThatHearsLittleIsOut(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 16)
	nodes := upAll(t, s, "--cluster", "c")
	ill := nodes[5]
	rest := without(nodes, ill)
	markAll(nodes)
	begin := time.Now()
	s.LossTo(ill.Host, 80)
	for _, n := range rest {
		within(t, n, n.Wait(startMax, failed(ill)), begin, 30*second)
	}
	verdict := time.Since(begin)
	s.Hold(chaos(10*second, 5*time.Minute))
	for _, n := range rest {
		if got := n.Count(removed(ill)); got != 1 {
			t.Errorf("%s removed the node %d times\n%s", n.Name, got, n.Report())
		}
		for _, o := range without(rest, n) {
			never(t, n, removed(o))
		}
	}
	t.Logf("removed by all others within %v", verdict)
	s.Heal()
	netns.Whole(patient(healMax), nodes...)
}

// TestACutInOneDirectionRemovesNobody (A12), and what is published meanwhile arrives in order
// by way of others.
func TestACutInOneDirectionRemovesNobody(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 5)
	nodes := upAll(t, s, "--cluster", "c")
	a, b := nodes[0], nodes[1]
	sub := subscribe(t, b, "news")
	s.CutOneWay(a.Host, b.Host)
	const news = 4
	for i := range news {
		s.Hold(chaos(2*second, 5*second))
		publish(t, a, "news", strconv.Itoa(i))
	}
	for i := range news {
		if got := sub.Next(startMax); !strings.Contains(got.Line, fmt.Sprintf(`"data":%d`, i)) {
			t.Errorf("event %d is %s", i, got.Line)
		}
	}
	s.Heal()
	netns.Whole(patient(healMax), nodes...)
	for _, n := range nodes {
		never(t, n, netns.Match{Kind: "removed_node"})
	}
}

// TestWithoutUDPAClusterLivesAndGrowsBySeeds (A15).
func TestWithoutUDPAClusterLivesAndGrowsBySeeds(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, chaos(5, 10))
	hosts := s.Hosts()
	lonely, seeded := hosts[len(hosts)-2], hosts[len(hosts)-1]
	var nodes []*netns.Node
	for _, h := range hosts[:len(hosts)-2] {
		nodes = append(nodes, h.Up("--cluster", "c"))
	}
	netns.Whole(startMax, nodes...)
	settle(t, nodes)
	for _, h := range hosts {
		s.DropUDP(h)
	}
	deaf := lonely.Up("--cluster", "c")
	s.Hold(chaos(5*second, 60*second))
	for _, n := range nodes {
		if got := notable(n); len(got) > 0 {
			t.Errorf("%s printed %d changes when UDP was dropped\n%s", n.Name, len(got), n.Report())
		}
	}
	never(t, deaf, netns.Match{Kind: "added_node"})
	guest := seeded.Up("--cluster", "c", "--join", hosts[0].Addr.String()+":27272")
	netns.Whole(startMax, append(nodes, guest)...)
}

// TestANodeWhoseInterfaceGoesDownIsAlone, and comes back with it (A17).
func TestANodeWhoseInterfaceGoesDownIsAlone(t *testing.T) {
	t.Parallel()
	s := netns.New(t, command, 3)
	nodes := upAll(t, s, "--cluster", "c")
	alone := nodes[2]
	begin := time.Now()
	alone.Host.LinkDown()
	for _, n := range nodes[:2] {
		within(t, alone, alone.Wait(2*patient(silentMax), failed(n)), begin, 4*second)
		within(t, n, n.Wait(2*patient(silentMax), failed(alone)), begin, silentMax)
	}
	alone.Host.LinkUp()
	netns.Whole(startMax, nodes...)
}
