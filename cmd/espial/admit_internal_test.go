package main

import (
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
	case <-time.After(5 * time.Second):
		t.Error("what the command started still runs")
	}
}

func TestAdmitRunsFourAtOnce(t *testing.T) {
	shell(t)
	dir := t.TempDir()
	// Each command says that it is there and waits until it may go.
	g := newGatekeeper("mktemp -p " + dir + " in.XXXXXX >/dev/null; until test -e " + dir + "/go; do sleep 0.01; done")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if err := g.admit(t.Context(), espial.Verified{}, espial.Claimed{}); err != nil {
				t.Error(err)
			}
		})
	}
	running := func() int {
		names, err := filepath.Glob(filepath.Join(dir, "in.*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	for limit := time.Now().Add(5 * time.Second); running() < 4 && time.Now().Before(limit); {
		time.Sleep(5 * time.Millisecond) // other processes do not tell when they are there
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.admit(late, espial.Verified{}, espial.Claimed{}); err == nil {
		t.Error("a newcomer beyond the limit was admitted at its deadline")
	}
	if n := running(); n != 4 {
		t.Errorf("%d commands run at once, want 4", n)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if n := running(); n != 6 {
		t.Errorf("%d commands ran, want 6", n)
	}
}
