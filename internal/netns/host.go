package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// eth is the interface of each host.
const eth = "eth0"

// Host is a machine on the segment: a namespace with an interface eth0.
type Host struct {
	Addr  netip.Addr // IPv4, of 10.77.1.0/24
	Addr6 netip.Addr // IPv6, link-local, without a zone

	segment *Segment
	name    string // of the namespace
	port    string // its interface at the bridge
	runtime string // its XDG_RUNTIME_DIR
	index   int
	nodes   int // started so far
}

// mkdir makes a folder that lives as long as the test.
func (h *Host) mkdir() string {
	h.segment.t.Helper()
	dir, err := Folder()
	if err != nil {
		h.segment.t.Fatalf("make a folder: %v", err)
	}
	h.segment.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Folder makes a temporary folder that the caller removes, or the next run if this one is
// killed. Unlike that of a test its path is short enough for a Unix socket.
func Folder() (string, error) {
	return os.MkdirTemp("", fmt.Sprintf("%s%d-", prefix, os.Getpid()))
}

// Command returns a command that will run in the host, with an environment of its own. It
// is killed when ctx ends; the ID of its process is that of the program itself.
func (h *Host) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	args = append([]string{"netns", "exec", h.name, program}, args...)
	cmd := exec.CommandContext(ctx, "ip", args...) //nolint:gosec // words of the test
	// Nodes leave their sockets in one of these folders.
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+h.runtime, "TMPDIR="+h.runtime, "HOME="+h.runtime)
	cmd.WaitDelay = time.Second
	return cmd
}

// Result is what a command left behind.
type Result struct {
	Out, Err string
	Code     int // exit code, −1 if a signal ended it
	Took     time.Duration
}

// Run runs the espial command in the host until it ends, 20 s at most.
func (h *Host) Run(args ...string) Result {
	h.segment.t.Helper()
	ctx, cancel := context.WithTimeout(h.segment.t.Context(), commandMax)
	defer cancel()
	cmd := h.Command(ctx, h.segment.espial, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		h.segment.t.Fatalf("%v: %v", cmd.Args, err)
	}
	return Result{out.String(), errs.String(), cmd.ProcessState.ExitCode(), time.Since(begin)}
}

// LinkDown takes the interface of the host down, as pulling the cable and more: its
// addresses and routes go as well.
func (h *Host) LinkDown() {
	h.segment.t.Helper()
	h.segment.ip(h.name, "link set "+eth+" down")
}

// LinkUp brings the interface back with both addresses.
func (h *Host) LinkUp() {
	h.segment.t.Helper()
	// Taking an interface down removes its IPv6 addresses, not the others. Without nodad the
	// address could not be used for its first second or two.
	h.segment.ip(h.name, "link set "+eth+" up", "addr replace "+h.Addr6.String()+"/64 dev "+eth+" nodad")
}

// DropIPv4 removes the IPv4 address, so that only IPv6 is left.
func (h *Host) DropIPv4() {
	h.segment.t.Helper()
	h.segment.ip(h.name, "addr flush dev "+eth+" scope global")
}

// nextName returns a name for the next node of the host: node-2, then node-2-2.
func (h *Host) nextName() string {
	h.nodes++
	name := "node-" + strconv.Itoa(h.index)
	if h.nodes > 1 {
		name += "-" + strconv.Itoa(h.nodes)
	}
	return name
}
