package multicast_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/multicast"
)

// nodeEnv makes the test binary a node: its name, and perhaps " quiet".
const nodeEnv = "ESPIAL_MULTICAST_NODE"

// TestMain lets the test binary play a node in another network namespace.
func TestMain(m *testing.M) {
	if name := os.Getenv(nodeEnv); name != "" {
		if err := playNode(name, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// playNode says hello ten times a second until in ends, asks everybody whom it hears a
// question, answers questions, and prints each thing that it hears once.
func playNode(name string, in io.Reader, out io.Writer) error {
	name, quiet := strings.CutSuffix(name, " quiet")
	c, err := multicast.Open(multicast.Config{Rescan: 50 * time.Millisecond, NoLoopback: quiet})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	seen := map[string]bool{}
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		if line := fmt.Sprintf(format, args...); !seen[line] {
			seen[line] = true
			fmt.Fprintln(out, line)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = c.Run(ctx, func(b []byte, from netip.AddrPort, inSubnet bool) {
			text := string(b)
			say("%s from %s inside %v", text, from.Addr(), inSubnet)
			switch {
			case strings.HasPrefix(text, "hello ") && text != "hello "+name:
				c.Reply([]byte("question of "+name), from)
			case strings.HasPrefix(text, "question of "):
				c.Reply([]byte("answer of "+name), from)
			}
		}, func() { say("moved to %v", c.Interfaces()) })
	})
	wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			c.Send([]byte("hello " + name))
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	_, err = io.Copy(io.Discard, in)
	cancel()
	wg.Wait()
	return err
}

// ip runs the ip command.
func ip(t *testing.T, args string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}

// segment is a network segment: a bridge in a namespace of its own.
type segment struct {
	t      *testing.T
	prefix string
	cables int
}

// newSegment skips the test where namespaces cannot be made.
func newSegment(t *testing.T) *segment {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("network namespaces need the ip command")
	}
	g := &segment{t: t, prefix: fmt.Sprintf("esp%d", os.Getpid())}
	if out, err := exec.Command("ip", "netns", "add", g.prefix+"br").CombinedOutput(); err != nil {
		t.Skipf("this host makes no network namespaces: %v: %s", err, out)
	}
	g.cleanup("br")
	ip(t, "-n "+g.prefix+"br link add br0 type bridge mcast_snooping 0")
	ip(t, "-n "+g.prefix+"br link set br0 up")
	return g
}

// cleanup removes a namespace when the test ends, and with it what it holds.
func (g *segment) cleanup(name string) {
	g.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", g.prefix+name).CombinedOutput(); err != nil {
			g.t.Errorf("remove namespace %s%s: %v: %s", g.prefix, name, err, out)
		}
	})
}

// host adds a namespace.
func (g *segment) host(name string) {
	ip(g.t, "netns add "+g.prefix+name)
	g.cleanup(name)
	ip(g.t, "-n "+g.prefix+name+" link set lo up")
}

// plug connects a host to the bridge by a new interface with an address.
func (g *segment) plug(host, ifname, addr string) {
	g.cables++
	port := fmt.Sprintf("port%d", g.cables)
	in := "-n " + g.prefix
	ip(g.t, fmt.Sprintf("%sbr link add %s type veth peer name %s netns %s%s", in, port, ifname, g.prefix, host))
	ip(g.t, fmt.Sprintf("%sbr link set %s master br0 up", in, port))
	ip(g.t, fmt.Sprintf("%s%s addr add %s dev %s", in, host, addr, ifname))
	ip(g.t, fmt.Sprintf("%s%s link set %s up", in, host, ifname))
}

// program is a node that runs in a host.
type program struct {
	t     *testing.T
	name  string
	lines chan string
	past  []string
}

// start runs a node in a host to the end of the test.
func (g *segment) start(host, name string) *program {
	g.t.Helper()
	self, err := os.Executable()
	if err != nil {
		g.t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", g.prefix+host, self)
	cmd.Env = append(os.Environ(), nodeEnv+"="+name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	p := &program{t: g.t, name: name, lines: make(chan string, 1000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	})
	g.t.Cleanup(func() {
		in.Close()
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		wg.Wait()
		if err := cmd.Wait(); err != nil {
			g.t.Errorf("node %s: %v", name, err)
		}
	})
	return p
}

// await waits until the node has printed all of the lines.
func (p *program) await(lines ...string) {
	p.t.Helper()
	late := time.After(patience) // IPv6 addresses take 2 s to be usable
	for _, want := range lines {
		for !p.printed(want) {
			select {
			case line := <-p.lines:
				p.past = append(p.past, line)
			case <-late:
				p.t.Fatalf("node %s did not print %q; it printed:\n%s", p.name, want, strings.Join(p.past, "\n"))
			}
		}
	}
}

// printed reports whether a line that begins with want was printed until now.
func (p *program) printed(want string) bool {
	for len(p.lines) > 0 {
		p.past = append(p.past, <-p.lines)
	}
	for _, line := range p.past {
		if strings.HasPrefix(line, want) {
			return true
		}
	}
	return false
}

// TestNamespaces runs nodes on hosts of their own, on one segment.
func TestNamespaces(t *testing.T) {
	g := newSegment(t)
	for _, h := range []string{"a", "b", "c"} {
		g.host(h)
	}
	g.plug("a", "eth0", "10.9.0.1/24")
	g.plug("b", "eth0", "10.9.0.2/24")
	g.plug("c", "eth0", "10.8.0.3/24")
	a, b, c := g.start("a", "a"), g.start("b", "b"), g.start("c", "c quiet")

	// Both families, from both sides, and back.
	a.await("hello b from 10.9.0.2 inside true", "answer of b from 10.9.0.2 inside true", "answer of b from fe80:")
	b.await("hello a from 10.9.0.1 inside true", "answer of a from 10.9.0.1 inside true", "answer of a from fe80:")
	// The same segment, but another subnet: heard and told apart.
	a.await("hello c from 10.8.0.3 inside false")

	// NoLoopback hides c from its own host and from nobody else.
	d := g.start("c", "d")
	d.await("hello d from 10.8.0.3 inside true", "hello a from 10.9.0.1 inside false")
	c.await("answer of d from 10.8.0.3 inside true")

	// A second interface in the same subnet: joined at the next scan, and a question to
	// its address is answered from there and not from the first one's.
	g.plug("a", "eth1", "10.9.0.11/24")
	a.await("moved to [lo eth0 eth1]")
	b.await("hello a from 10.9.0.11 inside true", "answer of a from 10.9.0.11 inside true")

	// An interface that gets an address in another subnet believes its sources.
	ip(t, "-n "+g.prefix+"a addr add 10.8.0.1/24 dev eth1")
	a.await("hello c from 10.8.0.3 inside true", "answer of c from 10.8.0.3 inside true")

	// An interface that goes leaves the others alone.
	ip(t, "-n "+g.prefix+"a link del eth0")
	a.await("moved to [lo eth1]")
	e := g.start("b", "e")
	e.await("answer of a from 10.9.0.11 inside true")

	if d.printed("hello c ") {
		t.Error("d heard the node on its own host that has NoLoopback set")
	}
}
