package netns

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// prefix begins the name of every namespace and folder of this package, then come the ID
	// of the process that made it and a word of its own: espns-4711-hq3kx-2.
	prefix = "espns-"

	// folder is where the ip command keeps namespaces that have a name.
	folder = "/run/netns"

	// hostsMax is what the IPv4 subnet has room for.
	hostsMax = 250

	bridge = "br0"
)

// Segment is a network segment: hosts on one bridge.
type Segment struct {
	t      T
	espial string // path of the binary
	name   string // of the namespace that holds the bridge
	hosts  []*Host

	cgroups []string // that were made; they have to be empty to be removed
}

// New makes a segment with the given number of hosts, at most 250, which run the espial
// binary at the given path. It skips the test where that cannot be done.
func New(t T, espial string, hosts int) *Segment {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("network namespaces need root")
	}
	for _, tool := range []string{"ip", "nft", "tcpdump"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("network namespaces need the command %s: %v", tool, err)
		}
	}
	if hosts > hostsMax {
		t.Fatalf("%d hosts do not fit on a segment, at most %d do", hosts, hostsMax)
	}
	sweep(t)
	s := &Segment{t: t, espial: espial, name: fmt.Sprintf("%s%d-%s", prefix, os.Getpid(), rand.Text()[:5])}
	if out, err := netns(t.Context(), "add", s.name); err != nil {
		t.Skipf("this machine makes no network namespaces: %v: %s", err, out)
	}
	t.Cleanup(func() { s.remove(s.name) })
	t.Cleanup(s.ungroup)
	s.build(hosts)
	return s
}

// build connects the hosts to a new bridge.
func (s *Segment) build(hosts int) {
	s.t.Helper()
	cables := []string{
		// Without a querier on the segment, snooping would stop multicast after minutes.
		"link add " + bridge + " type bridge mcast_snooping 0",
		"link set " + bridge + " up",
	}
	var names []string
	for i := 1; i <= hosts; i++ {
		h := &Host{
			segment: s, name: s.name + "-" + strconv.Itoa(i), port: "port" + strconv.Itoa(i),
			Addr: netip.AddrFrom4([4]byte{10, 77, 1, byte(i)}), index: i,
		}
		h.Addr6 = netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: byte(i)})
		s.hosts = append(s.hosts, h)
		names = append(names, "netns add "+h.name)
		cables = append(cables,
			"link add "+h.port+" type veth peer name "+eth+" netns "+h.name,
			"link set "+h.port+" master "+bridge+" up")
		s.t.Cleanup(func() { s.remove(h.name) })
	}
	s.ip("", names...)
	s.ip(s.name, cables...)
	for _, h := range s.hosts {
		h.runtime = h.mkdir()
		s.ip(h.name,
			"link set lo up",
			"link set "+eth+" addrgenmode none", // the only IPv6 address is ours, and there at once
			"addr add "+h.Addr.String()+"/24 dev "+eth)
		h.LinkUp()
	}
	s.nft(s.name, `table bridge fault {
		chain forward { type filter hook forward priority 0; policy accept; }
	}`)
}

// Host returns host i; the first is 1.
func (s *Segment) Host(i int) *Host { return s.hosts[i-1] }

// Hosts returns all hosts.
func (s *Segment) Hosts() []*Host { return append([]*Host(nil), s.hosts...) }

// ip runs lines of the ip command in a namespace, "" for none.
func (s *Segment) ip(ns string, lines ...string) {
	s.t.Helper()
	args := []string{"-batch", "-"}
	if ns != "" {
		args = append([]string{"-n", ns}, args...)
	}
	s.tool(strings.Join(lines, "\n")+"\n", "ip", args...)
}

// nft runs lines of nft in a namespace.
func (s *Segment) nft(ns string, lines ...string) {
	s.t.Helper()
	s.tool(strings.Join(lines, "\n")+"\n", "ip", "netns", "exec", ns, "nft", "-f", "-")
}

// tool runs a command with the given input and returns its output.
func (s *Segment) tool(in, name string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), commandMax)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // words of this package
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %s: %v: %s\nits input was: %s", name, strings.Join(args, " "), err, out, in)
	}
	return string(out)
}

// remove removes a namespace and with it the interfaces in it. The context of the test has
// ended by then.
func (s *Segment) remove(ns string) {
	if out, err := netns(context.WithoutCancel(s.t.Context()), "del", ns); err != nil {
		s.t.Errorf("remove namespace %s: %v: %s", ns, err, out)
	}
}

// ungroup removes the cgroups. Their processes have ended by then, of which the kernel may take
// note a moment later.
func (s *Segment) ungroup() {
	for _, folder := range s.cgroups {
		end, err := time.Now().Add(time.Second), os.Remove(folder)
		for err != nil && time.Now().Before(end) {
			time.Sleep(time.Millisecond)
			err = os.Remove(folder)
		}
		if err != nil {
			s.t.Errorf("remove a cgroup: %v", err)
		}
	}
}

// cgroups returns where Linux keeps the groups that limit processor time: those of version 1,
// which have a tree of their own for that, then those of version 2, alone or beside the others.
func cgroups() []string {
	return []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"}
}

// netns runs ip netns.
func netns(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandMax)
	defer cancel()
	args = append([]string{"netns"}, args...)
	return exec.CommandContext(ctx, "ip", args...).CombinedOutput() //nolint:gosec // words of this package
}

// sweep removes the namespaces and folders of test runs that did not live to do it, and ends
// the processes that are still in them. Another run may sweep at the same moment, so no error
// is one.
func sweep(t T) {
	for _, ns := range orphans(folder) {
		out, _ := netns(t.Context(), "pids", ns)
		for word := range strings.FieldsSeq(string(out)) {
			if left, err := strconv.Atoi(word); err == nil {
				_ = signal(left, os.Kill)
			}
		}
		_, _ = netns(t.Context(), "del", ns)
	}
	for _, dir := range orphans(os.TempDir()) {
		_ = os.RemoveAll(filepath.Join(os.TempDir(), dir))
	}
	for _, root := range cgroups() {
		for _, dir := range orphans(root) {
			_ = os.Remove(filepath.Join(root, dir))
		}
	}
}

// orphans returns the names in a folder that a process of this package gave, which is gone.
func orphans(folder string) []string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // nothing was ever left there
	}
	var names []string
	for _, e := range entries {
		owner, ours := strings.CutPrefix(e.Name(), prefix)
		owner, _, _ = strings.Cut(owner, "-")
		pid, err := strconv.Atoi(owner)
		if ours && err == nil && errors.Is(signal(pid, syscall.Signal(0)), os.ErrProcessDone) {
			names = append(names, e.Name())
		}
	}
	return names
}

// signal sends a signal to a process; 0 only asks whether it lives.
func signal(pid int, s os.Signal) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Signal(s)
}
