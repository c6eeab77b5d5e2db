//go:build linux

// Package ns_test runs the espial command in network namespaces: one host each, on a bridge,
// with faults between them. The letters and numbers in the comments are those of the fault
// catalogue. ESPIAL_CHAOS=1, which make chaos sets, runs it longer and harder.
package ns_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/netns"
)

// Times that docs/guarantees.md names, for a machine that does nothing else; see patient.
const (
	second      = time.Second
	meetMax     = time.Second            // two nodes that start, until each lists the other
	leftMax     = time.Second            // a goodbye, until all have seen it
	silentMax   = 3 * time.Second        // a cut, until the survivors have removed the node
	healMax     = 2 * time.Second        // the end of a cut, until the lists are whole
	killedMax   = 500 * time.Millisecond // a SIGKILL, until a survivor has removed the node (99 of 100)
	killHintMax = 100 * time.Millisecond // a SIGKILL, until a survivor suspects it
)

// command is the path of the espial command under test.
var command string

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

// run builds the binary and runs the tests.
func run(m *testing.M) int {
	if os.Geteuid() != 0 {
		return m.Run() // every test will skip
	}
	// The tests in parallel wait more than they compute.
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := netns.Folder()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	command = filepath.Join(dir, "espial")
	build := exec.Command("go", "build", "-o", command, "github.com/espial-go/espial/cmd/espial")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %v\n%s", build.Args, err, out)
		return 1
	}
	return m.Run()
}

// chaos returns the second value if the long run was asked for, else the first.
func chaos[V any](short, long V) V {
	if os.Getenv("ESPIAL_CHAOS") != "" {
		return long
	}
	return short
}

// subscribe starts espial sub at a node and waits until it prints what that node publishes, since
// it does not say when it is subscribed.
func subscribe(t *testing.T, n *netns.Node, topic string) *netns.Node {
	t.Helper()
	sub := n.Host.Start(command, "sub", topic, "--json", "--node", n.ID)
	for end := time.Now().Add(startMax); len(sub.Changes()) == 0; {
		publish(t, n, topic, `"ready"`)
		if time.Now().After(end) {
			t.Fatalf("sub prints nothing\n%s", sub.Report())
		}
	}
	publish(t, n, topic, `"steady"`)
	for line := ""; !strings.Contains(line, `"steady"`); {
		line = sub.Next(startMax).Line
	}
	return sub
}

// publish lets a node publish.
func publish(t *testing.T, n *netns.Node, topic, data string) {
	t.Helper()
	if r := n.Host.Run("pub", topic, data, "--node", n.ID); r.Code != 0 {
		t.Errorf("pub: exit code %d: %s%s", r.Code, r.Out, r.Err)
	}
}

// upAll starts a node in every host and waits until all list all.
func upAll(t *testing.T, s *netns.Segment, flags ...string) []*netns.Node {
	t.Helper()
	var nodes []*netns.Node
	for _, h := range s.Hosts() {
		nodes = append(nodes, h.Up(flags...))
	}
	netns.Whole(startMax, nodes...)
	return nodes
}

// startMax is what the tests give to what takes a second or two and is not what they measure.
const startMax = 30 * second

// patient returns how long a promised time may take: that time in the long run, which has the
// machine to itself, and else ten times as much, because other tests run beside this one.
func patient(promised time.Duration) time.Duration { return chaos(10*promised, promised) }

// without returns the nodes but one.
func without(nodes []*netns.Node, out *netns.Node) []*netns.Node {
	var rest []*netns.Node
	for _, n := range nodes {
		if n != out {
			rest = append(rest, n)
		}
	}
	return rest
}

// markAll lets every node forget what it has seen.
func markAll(nodes []*netns.Node) {
	for _, n := range nodes {
		n.Mark()
	}
}

// never fails the test for each change since the mark that is meant.
func never(t *testing.T, n *netns.Node, m netns.Match) {
	t.Helper()
	if count := n.Count(m); count > 0 {
		t.Errorf("%s printed %d times what must not come: %v\n%s", n.Name, count, m, n.Report())
	}
}

// undisturbed fails the test for each node that has lost or suspected another since the mark.
func undisturbed(t *testing.T, nodes ...*netns.Node) {
	t.Helper()
	for _, n := range nodes {
		for _, c := range notable(n) {
			switch c.Kind {
			case "peer_removed", "removed_node", "suspected_node":
				t.Errorf("%s printed what must not come: %s\n%s", n.Name, c.Line, n.Report())
			}
		}
	}
}

// notable returns the changes since the mark. Suspicions are among them in the long run only:
// on a machine that has much else to do, a node that waits for its turn is suspected for a
// moment, and rightly.
func notable(n *netns.Node) []netns.Change {
	return slices.DeleteFunc(n.Changes(), func(c netns.Change) bool {
		return chaos(c.Kind == "suspected_node", false)
	})
}

func removed(n *netns.Node) netns.Match { return netns.Match{Kind: "removed_node", ID: n.ID} }

func left(n *netns.Node) netns.Match {
	return netns.Match{Kind: "removed_node", ID: n.ID, Cause: "left"}
}

func failed(n *netns.Node) netns.Match {
	return netns.Match{Kind: "removed_node", ID: n.ID, Cause: "failed"}
}

func suspected(n *netns.Node) netns.Match {
	return netns.Match{Kind: "suspected_node", ID: n.ID}
}
