package netns

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startMax   = 30 * time.Second // until a node listens, which takes a fraction of a second
	endMax     = 30 * time.Second
	stderrMax  = 64 << 10 // bytes of a node's messages that are kept
	shownMax   = 40       // changes in the message of a failure
	shortBytes = 16       // of an ID in the name of a control socket
)

// Node is a process: espial up --json in a host.
type Node struct {
	Host *Host
	Name string
	ID   string   // its first 16 characters, enough for [Match]
	Addr []string // where it takes links

	t    T
	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone
	wg   sync.WaitGroup

	mu      sync.Mutex
	changes []Change
	mark    int           // changes before it are no longer looked at
	more    chan struct{} // closed at the next change
	stderr  []byte
}

// Up starts espial up --json in the host with the given flags and waits until it listens. Its
// name is node- and the number of the host unless a flag says otherwise.
func (h *Host) Up(flags ...string) *Node {
	h.segment.t.Helper()
	n := h.Start(append([]string{h.segment.espial, "up", "--json", "--name", h.nextName()}, flags...)...)
	n.Listening()
	return n
}

// Listening waits until the program listens, as a node with a control socket, and learns its
// ID and addresses.
func (n *Node) Listening() {
	n.t.Helper()
	c := n.Wait(startMax, Match{Kind: "listening"})
	n.Addr = c.Addrs
	n.ID = strings.TrimSuffix(filepath.Base(c.Control), ".sock")
	if len(n.ID) != shortBytes {
		n.t.Fatalf("%s listens without naming its control socket: %s", n.Name, c.Line)
	}
}

// Start starts any program in the host that prints lines as espial up --json does.
func (h *Host) Start(args ...string) *Node {
	t := h.segment.t
	t.Helper()
	n := &Node{Host: h, t: t, Name: args[0], done: make(chan struct{}), more: make(chan struct{})}
	for i, a := range args[1:] {
		if a == "--name" && i+2 < len(args) {
			n.Name = args[i+2]
		}
	}
	n.cmd = h.Command(t.Context(), args[0], args[1:]...)
	n.cmd.Stderr = (*tail)(n)
	stdout, err := n.cmd.StdoutPipe()
	if err == nil {
		err = n.cmd.Start()
	}
	if err != nil {
		t.Fatalf("start %v: %v", n.cmd.Args, err)
	}
	n.wg.Go(func() {
		n.read(stdout)
		_ = n.cmd.Wait() // how it ended is in its ProcessState
		close(n.done)
	})
	t.Cleanup(func() {
		_ = n.cmd.Process.Kill()
		n.wg.Wait()
	})
	return n
}

// read keeps the lines that the process prints, with the time of their arrival.
func (n *Node) read(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c := Change{Seen: time.Now(), Line: lines.Text()}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			c.Kind = "malformed"
		}
		n.mu.Lock()
		n.changes = append(n.changes, c)
		close(n.more)
		n.more = make(chan struct{})
		n.mu.Unlock()
	}
}

// tail keeps what a node prints as messages.
type tail Node

// Write never fails.
func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stderr = append(w.stderr, p...)
	w.stderr = w.stderr[max(0, len(w.stderr)-stderrMax):]
	return len(p), nil
}

// Messages returns the last of what the node printed on standard error.
func (n *Node) Messages() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return string(n.stderr)
}

// Mark makes Wait and Count look only at changes that come from now on.
func (n *Node) Mark() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mark = len(n.changes)
}

// Changes returns the changes since the mark, since the start if there is none.
func (n *Node) Changes() []Change {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Change(nil), n.changes[n.mark:]...)
}

// History returns all changes, whatever the mark.
func (n *Node) History() []Change {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Change(nil), n.changes...)
}

// Count returns how many changes since the mark are meant.
func (n *Node) Count(m Match) int {
	count := 0
	for _, c := range n.Changes() {
		if m.Has(c) {
			count++
		}
	}
	return count
}

// Wait returns the first change since the mark that is meant. It fails the test if none has
// come when the given time is over, or when the process has ended.
func (n *Node) Wait(within time.Duration, m Match) Change {
	n.t.Helper()
	var found Change
	n.until(within, m.String(), func(_, recent []Change) bool {
		for _, c := range recent {
			if m.Has(c) {
				found = c
				return true
			}
		}
		return false
	})
	return found
}

// Next returns the first change since the mark, waiting for it if need be, and moves the mark
// behind it.
func (n *Node) Next(within time.Duration) Change {
	n.t.Helper()
	var next Change
	n.until(within, "next line", func(_, recent []Change) bool {
		if len(recent) > 0 {
			next = recent[0]
		}
		return len(recent) > 0
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mark++
	return next
}

// Whole waits until the changes of each node add up to a list of all the others, and no more.
// It fails the test if that is not so when the given time is over.
func Whole(within time.Duration, nodes ...*Node) {
	end := time.Now().Add(within)
	for _, n := range nodes {
		n.t.Helper()
		what := fmt.Sprintf("list of the %d others", len(nodes)-1)
		n.until(time.Until(end), what, func(all, _ []Change) bool { return n.sees(view(all), nodes) })
	}
}

// sees reports whether a view holds exactly the given nodes, n itself left out.
func (n *Node) sees(view map[string]bool, nodes []*Node) bool {
	found := 0
	for id := range view {
		for _, o := range nodes {
			if o != n && strings.HasPrefix(id, o.ID) {
				found++
			}
		}
	}
	return found == len(nodes)-1 && len(view) == found
}

// until waits until ok, which is given all changes and those since the mark.
func (n *Node) until(within time.Duration, what string, ok func(all, recent []Change) bool) {
	n.t.Helper()
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for {
		n.mu.Lock()
		all, recent, more := n.changes, n.changes[n.mark:], n.more
		n.mu.Unlock()
		if ok(all, recent) {
			return
		}
		select {
		case <-more:
			continue
		case <-n.done:
			n.t.Fatalf("%s ended (%v) without %s\n%s", n.Name, n.cmd.ProcessState, what, n.Report())
		case <-timeout.C:
			n.t.Fatalf("%s: no %s within %v\n%s", n.Name, what, within, n.Report())
		}
	}
}

// Report returns the last changes and messages of the node, for the message of a failure.
func (n *Node) Report() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s, %v), what it printed:\n", n.Name, n.ID, n.Host.Addr)
	for _, c := range n.changes[max(0, len(n.changes)-shownMax):] {
		fmt.Fprintf(&b, "  %s\n", c.Line)
	}
	fmt.Fprintf(&b, "  on standard error: %s", n.stderr)
	return b.String()
}

// Kill ends the process with SIGKILL and returns the time just before.
func (n *Node) Kill() time.Time {
	n.t.Helper()
	at := time.Now()
	n.Signal(syscall.SIGKILL)
	n.await()
	return at
}

// Leave ends the node with SIGTERM, waits for it and returns the time just before. The test
// fails unless its exit code is 0.
func (n *Node) Leave() time.Time {
	n.t.Helper()
	at := time.Now()
	n.Signal(syscall.SIGTERM)
	if code := n.await(); code != 0 {
		n.t.Errorf("%s left with exit code %d\n%s", n.Name, code, n.Report())
	}
	return at
}

// Signal sends a signal to the process: SIGSTOP and SIGCONT for a pause.
func (n *Node) Signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatalf("send %v to %s: %v\n%s", s, n.Name, err, n.Report())
	}
}

// Ended waits until the process has ended by itself and returns its exit code.
func (n *Node) Ended() int {
	n.t.Helper()
	return n.await()
}

func (n *Node) await() int {
	n.t.Helper()
	select {
	case <-n.done:
	case <-time.After(endMax):
		n.t.Fatalf("%s still runs after %v\n%s", n.Name, endMax, n.Report())
	}
	return n.cmd.ProcessState.ExitCode()
}

// Members asks the node for its members by espial members.
func (n *Node) Members() []Member {
	n.t.Helper()
	r := n.Host.Run("members", "--json", "--node", n.ID)
	var members []Member
	if err := json.Unmarshal([]byte(r.Out), &members); err != nil || r.Code != 0 {
		n.t.Fatalf("members of %s: exit code %d, %v\n%s%s", n.Name, r.Code, err, r.Out, r.Err)
	}
	return members
}

// Resident returns the memory of the process that is in RAM, in bytes.
func (n *Node) Resident() int {
	n.t.Helper()
	const statmPages = 1 // see proc_pid_statm(5)
	return n.figure("statm", statmPages) * os.Getpagesize()
}

// CPU returns the processor time that the process has used.
func (n *Node) CPU() time.Duration {
	n.t.Helper()
	// Fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms, which Linux fixes for
	// programs on every architecture that Go runs on. The name of the program has no space.
	const user, system, tick = 13, 14, 10 * time.Millisecond
	return time.Duration(n.figure("stat", user)+n.figure("stat", system)) * tick
}

// Descriptors returns how many files and sockets the process has open.
func (n *Node) Descriptors() int {
	n.t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatalf("read the descriptors of %s: %v", n.Name, err)
	}
	return len(open)
}

// figure returns a word of a file that the kernel has on the process.
func (n *Node) figure(file string, word int) int {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", n.cmd.Process.Pid, file))
	if err == nil {
		var v int
		if v, err = strconv.Atoi(strings.Fields(string(b))[word]); err == nil {
			return v
		}
	}
	n.t.Fatalf("read %s of %s: %v", file, n.Name, err)
	return 0
}
