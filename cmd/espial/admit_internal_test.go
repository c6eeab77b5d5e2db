package main

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/espial-go/espial"
)

// shell skips a test where --admit has no shell to run.
func shell(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh")
	}
}

func TestAdmit(t *testing.T) {
	shell(t)
	for _, c := range []struct{ name, command, want string }{
		{"exit 0 admits", "true", ""},
		{"what it says then does not matter", "echo no", ""},
		{"input that is not read does not matter", "exec <&-; exit 0", ""},
		{"a child that stays behind does not matter", "sleep 5 & exit 0", ""},
		{"another exit refuses", "exit 3", "the admission command says no"},
		{"the last line is the reason", "echo one; echo two; false", "two"},
		{"blank lines at the end are none", "printf ' why \\r\\n\\n \\n'; false", "why"},
		{"standard error counts as well", "echo why >&2; false", "why"},
		{"a long reason is cut", "printf '%0300d' 7; false", strings.Repeat("0", reasonMax)},
		{"a lot of output costs no memory", "head -c 3000000 /dev/zero; echo; echo why; false", "why"},
		{"bytes that are no text are left out", "printf 'a\\377b\\n'; false", "ab"},
		{"a command that does not exist refuses", "no-such-command-here 2>/dev/null", "the admission command says no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := newGatekeeper(c.command).admit(t.Context(), espial.Verified{}, espial.Claimed{})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%q says %q, want %q", c.command, got, c.want)
			}
		})
	}
}

func TestAdmitTellsTheCommandWhoAsks(t *testing.T) {
	shell(t)
	file := filepath.Join(t.TempDir(), "asked")
	v := espial.Verified{ID: espial.NodeID{1}, Addr: netip.MustParseAddrPort("[2001:db8::1]:7"), Names: []string{"x"}}
	c := espial.Claimed{Name: "web", Host: "h\n", Metadata: map[string]string{"k": "<v>"}}
	if err := newGatekeeper("cat >"+file).admit(t.Context(), v, c); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"verified":{"id":%q,"addr":"[2001:db8::1]:7","names":["x"]},`+
		`"claimed":{"name":"web","host":"h\n","meta":{"k":"\u003cv\u003e"}}}`+"\n", v.ID)
	if string(got) != want {
		t.Errorf("the command read\n%swant\n%s", got, want)
	}
}

func TestAdmitEndsWithItsDeadlineAndAllThatItStarted(t *testing.T) {
	shell(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := exec.Command("mkfifo", pipe).Run(); err != nil {
		t.Skipf("no mkfifo: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	// The grandchild holds the pipe open, so that its end is seen as the end of the pipe.
	go func() {
		done <- newGatekeeper("(exec >"+pipe+"; echo on; sleep 60) & sleep 60").
			admit(ctx, espial.Verified{}, espial.Claimed{})
	}()
	r, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err == nil || err.Error() != "the admission command took too long" {
		t.Errorf("it ended with %v, want that it took too long", err)
	}
	ended := make(chan struct{})
	go func() {
		_, _ = r.Read(make([]byte, 8))
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("what the command started still runs")
	}
}

// Six commands say in and out, one after the other, through a pipe, and each waits in between
// until it may go on.
func TestAdmitRunsFourAtOnce(t *testing.T) {
	shell(t)
	said, may := fifo(t, "said"), fifo(t, "may")
	if err := said.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	g := newGatekeeper(fmt.Sprintf("echo in >%s; read go <%s; echo out >%s", said.Name(), may.Name(), said.Name()))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if err := g.admit(ctx, espial.Verified{}, espial.Claimed{}); err != nil {
				t.Error(err)
			}
		})
	}
	lines := bufio.NewScanner(said)
	running, most := 0, 0
	for n := 0; n < 12 && lines.Scan(); n++ {
		if lines.Text() == "out" {
			running--
			continue
		}
		if running++; running == 4 && most < 4 {
			late, cancel := context.WithCancel(t.Context())
			cancel()
			if err := g.admit(late, espial.Verified{}, espial.Claimed{}); err == nil {
				t.Error("a newcomer beyond the limit was admitted at its deadline")
			}
			_, _ = may.WriteString(strings.Repeat("go\n", 6))
		}
		most = max(most, running)
	}
	if err := lines.Err(); err != nil || most != 4 || running != 0 {
		t.Errorf("%d commands ran at once, want 4; %d still run: %v", most, running, err)
		cancel()
	}
	wg.Wait()
}

// fifo makes a named pipe that is open to read and to write, so that nobody waits for the
// other end.
func fifo(t *testing.T, name string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := exec.Command("mkfifo", path).Run(); err != nil {
		t.Skipf("no mkfifo: %v", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}
