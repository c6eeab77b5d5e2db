package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait of a script. On a machine that does nothing else the longest one
// takes three seconds.
const patience = time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"espial": main})
}

// TestScripts runs the command as its users do. Each script has a cluster, a multicast group and
// a folder for control sockets of its own, on the loopback interface. Besides the commands
// of testscript there are
//
//	code N ARGS…             runs espial in the foreground; it must end with exit code N
//	start NAME ARGS…         runs espial in the background
//	up NAME ARGS…            the same for espial up --name NAME, and waits until it listens
//	see NAME REGEXP          waits until a line that NAME printed matches; with ! none may have
//	end NAME SIGNAL N        sends TERM, INT, KILL or nothing (-); NAME must end with exit code N
//	halt NAME                freezes NAME, which keeps its sockets and answers no more
//	eventually REGEXP ARGS…  runs espial until what it prints matches
//	becomes N ARGS…          runs espial in the foreground until it ends with exit code N
//	while NAME REGEXP ARGS…  runs espial until a line that NAME printed matches
//
// Arguments of start and up are Go strings without their quotes: \x1b is the escape character.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": runCode, "start": start, "up": startUp, "see": see, "end": end, "halt": halt,
			"eventually": eventually, "becomes": becomes, "while": while,
		},
	})
}

// setUp gives a script surroundings of its own.
func setUp(e *testscript.Env) error {
	dir, err := os.MkdirTemp("", "esp") // not below WORK: the path of a socket must be short
	if err != nil {
		return err
	}
	e.Defer(func() { _ = os.RemoveAll(dir) })
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	group := fmt.Sprintf("239.255.77.82:%d", pc.LocalAddr().(*net.UDPAddr).Port)
	pc.Close()
	e.Setenv("GORACE", "atexit_sleep_ms=0") // else each process takes a second to end
	e.Setenv("XDG_RUNTIME_DIR", dir)
	e.Setenv("ESPIAL_LISTEN", "127.0.0.1:0")
	e.Setenv("ESPIAL_MULTICAST_GROUP", group)
	e.Setenv("ESPIAL_MULTICAST_INTERFACE", loopback())
	e.Setenv("CLUSTER", "test-"+filepath.Base(dir)[3:])
	as := &agents{byName: map[string]*agent{}}
	e.Values[agentsKey{}] = as
	e.Defer(as.killAll)
	return nil
}

type agentsKey struct{}

// agents are the background processes of one script.
type agents struct{ byName map[string]*agent }

func (as *agents) killAll() {
	for _, a := range as.byName {
		_ = a.cmd.Process.Kill()
		<-a.ended
	}
}

// agent is a background process and what it printed.
type agent struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it ended; then err is why
	err   error

	mu    sync.Mutex // guards what follows
	lines []string
	more  chan struct{} // closed at the next line
}

func agentsOf(ts *testscript.TestScript) *agents { return ts.Value(agentsKey{}).(*agents) }

func agentOf(ts *testscript.TestScript, name string) *agent {
	a := agentsOf(ts).byName[name]
	if a == nil {
		ts.Fatalf("nothing was started under the name %q", name)
	}
	return a
}

// launch starts espial in the background.
func launch(ts *testscript.TestScript, name string, args []string) *agent {
	path, err := exec.LookPath("espial") // what testscript.Main put on the path
	ts.Check(err)
	args = slices.Clone(args)
	for i, arg := range args {
		if s, err := strconv.Unquote(`"` + arg + `"`); err == nil { // not with quotes in it
			args[i] = s
		}
	}
	a := &agent{cmd: exec.Command(path, args...), ended: make(chan struct{}), more: make(chan struct{})}
	a.cmd.Dir = ts.MkAbs(".")
	for _, k := range []string{
		"PATH", "TMPDIR", "GORACE", "XDG_RUNTIME_DIR", "WORK", "ESPIAL_LISTEN", "ESPIAL_MULTICAST_GROUP",
		"ESPIAL_MULTICAST_INTERFACE", "ESPIAL_CLUSTER", "ESPIAL_META", "ESPIAL_STATE_DIR",
	} {
		a.cmd.Env = append(a.cmd.Env, k+"="+ts.Getenv(k))
	}
	r, w, err := os.Pipe()
	ts.Check(err)
	a.cmd.Stdout, a.cmd.Stderr = w, w
	ts.Check(a.cmd.Start())
	w.Close()
	go func() {
		for s := bufio.NewScanner(r); s.Scan(); {
			a.mu.Lock()
			a.lines = append(a.lines, s.Text())
			close(a.more)
			a.more = make(chan struct{})
			a.mu.Unlock()
		}
		r.Close()
		a.err = a.cmd.Wait()
		close(a.ended)
	}()
	agentsOf(ts).byName[name] = a
	return a
}

// find returns whether a line matches, and a channel that is closed at the next line.
func (a *agent) find(re *regexp.Regexp) (bool, chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.lines, re.MatchString), a.more
}

func (a *agent) printed() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.lines, "\n")
}

// await waits until a line matches and reports whether one did.
func (a *agent) await(re *regexp.Regexp, limit time.Duration) bool {
	late := time.After(limit)
	for {
		found, more := a.find(re)
		if found {
			return true
		}
		select {
		case <-more:
		case <-a.ended:
			found, _ = a.find(re)
			return found
		case <-late:
			return false
		}
	}
}

func wantArgs(ts *testscript.TestScript, neg bool, args []string, least int) {
	if neg || len(args) < least {
		ts.Fatalf("usage: see TestScripts")
	}
}

func pattern(ts *testscript.TestScript, text string) *regexp.Regexp {
	re, err := regexp.Compile(text)
	ts.Check(err)
	return re
}

func startUp(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, 1)
	a := launch(ts, args[0], append([]string{"up", "--name", args[0]}, args[1:]...))
	if !a.await(regexp.MustCompile(`listening`), patience) {
		ts.Fatalf("%s does not listen; it printed:\n%s", args[0], a.printed())
	}
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, 1)
	launch(ts, args[0], args[1:])
}

func see(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, false, args, 2)
	a := agentOf(ts, args[0])
	if neg {
		if found, _ := a.find(pattern(ts, args[1])); found {
			ts.Fatalf("%s printed a line that matches %#q:\n%s", args[0], args[1], a.printed())
		}
		return
	}
	if !a.await(pattern(ts, args[1]), patience) {
		ts.Fatalf("%s printed no line that matches %#q, only:\n%s", args[0], args[1], a.printed())
	}
}

func end(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, 3)
	a := agentOf(ts, args[0])
	switch args[1] {
	case "TERM":
		ts.Check(a.cmd.Process.Signal(syscall.SIGTERM))
	case "INT":
		ts.Check(a.cmd.Process.Signal(os.Interrupt))
	case "KILL":
		ts.Check(a.cmd.Process.Kill())
	}
	select {
	case <-a.ended:
	case <-time.After(patience):
		ts.Fatalf("%s does not end; it printed:\n%s", args[0], a.printed())
	}
	ts.Logf("%s printed:\n%s", args[0], a.printed())
	if got := exitCode(a.err); args[2] != strconv.Itoa(got) {
		ts.Fatalf("%s ended with exit code %d, want %s", args[0], got, args[2])
	}
}

func halt(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, 1)
	ts.Check(freeze(agentOf(ts, args[0]).cmd.Process))
}

func exitCode(err error) int {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return e.ExitCode()
	}
	return 0
}

func runCode(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, 1)
	if got := exitCode(ts.Exec("espial", args[1:]...)); args[0] != strconv.Itoa(got) {
		ts.Fatalf("espial %q ended with exit code %d, want %s", args[1:], got, args[0])
	}
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, 2)
	re, late := pattern(ts, args[0]), time.Now().Add(patience)
	for {
		_ = ts.Exec("espial", args[1:]...)
		out := ts.ReadFile("stdout")
		if re.MatchString(out) {
			return
		}
		if time.Now().After(late) {
			ts.Fatalf("espial %q never printed what matches %#q, but:\n%s", args[1:], args[0], out)
		}
	}
}

func becomes(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, 2)
	for late := time.Now().Add(patience); ; {
		got := exitCode(ts.Exec("espial", args[1:]...))
		if args[0] == strconv.Itoa(got) {
			return
		}
		if time.Now().After(late) {
			ts.Fatalf("espial %q ended with exit code %d, never with %s", args[1:], got, args[0])
		}
	}
}

func while(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, 3)
	a, re, late := agentOf(ts, args[0]), pattern(ts, args[1]), time.Now().Add(patience)
	for time.Now().Before(late) {
		ts.Check(ts.Exec("espial", args[2:]...))
		if a.await(re, 100*time.Millisecond) {
			return
		}
	}
	ts.Fatalf("%s printed no line that matches %#q, only:\n%s", args[0], args[1], a.printed())
}
