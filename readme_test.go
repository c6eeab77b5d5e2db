//go:build unix

package espial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// readmeTestCommand is the README's test command, which cannot run itself.
const readmeTestCommand = "make check"

// block is one fenced block of a page.
type block struct {
	page string
	line int    // of its first line of text
	lang string // "text" is shown and not run
	text string
}

// readmeBlocks returns the fenced blocks of README.md in one language.
func readmeBlocks(t *testing.T, lang string) []block {
	t.Helper()
	return pageBlocks(t, "README.md", lang)
}

// pageBlocks returns the fenced blocks of a page in one language.
func pageBlocks(t *testing.T, page, lang string) []block {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	all, err := fenced(string(b))
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	for i := range all {
		all[i].page = page
	}
	return slices.DeleteFunc(all, func(b block) bool { return b.lang != lang })
}

// fenced returns the fenced blocks of a Markdown text.
func fenced(md string) ([]block, error) {
	var all []block
	var open *block
	line := 0
	for l := range strings.Lines(md) {
		line++
		lang, fence := strings.CutPrefix(strings.TrimRight(l, "\n"), "```")
		switch {
		case fence && open == nil:
			open = &block{line: line + 1, lang: lang}
		case fence && lang == "":
			all = append(all, *open)
			open = nil
		case fence:
			return nil, fmt.Errorf("line %d: a fence in the block of line %d", line, open.line)
		case open != nil:
			open.text += l
		}
	}
	if open != nil {
		return nil, fmt.Errorf("the block of line %d does not end", open.line)
	}
	return all, nil
}

func TestReadmeHasNoBlockThatNothingRuns(t *testing.T) {
	for _, lang := range []string{"go", "sh"} {
		if len(readmeBlocks(t, lang)) == 0 {
			t.Errorf("README.md has no block of %q; was it taken for another language?", lang)
		}
	}
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	all, err := fenced(string(b))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		if !slices.Contains([]string{"go", "sh", "text"}, b.lang) {
			t.Errorf("README.md:%d: block of %q, want go or sh, which a test runs, or text", b.line, b.lang)
		}
	}
}

// TestProgramsOfThePagesAreTheExamples: an example has tests of its own.
func TestProgramsOfThePagesAreTheExamples(t *testing.T) {
	for page, examples := range map[string][]string{
		"README.md":          {"examples/hello/main.go"},
		"docs/leadership.md": {"examples/cron/main.go"},
		"docs/events.md":     {"examples/jobs/main.go", "examples/prices/main.go"},
	} {
		all := pageBlocks(t, page, "go")
		for i, example := range examples {
			want, err := os.ReadFile(example)
			if err != nil {
				t.Fatal(err)
			}
			if i >= len(all) || all[i].text != string(want) {
				t.Errorf("program %d of the %d of %s is not %s", i+1, len(all), page, example)
			}
		}
	}
}

// TestFirstProgramIsShort counts the lines within its functions, as a reader does who asks
// what espial takes.
func TestFirstProgramIsShort(t *testing.T) {
	const linesMax = 20
	lines, within := 0, false
	for line := range strings.Lines(readmeBlocks(t, "go")[0].text) {
		switch {
		case strings.HasPrefix(line, "func "):
			within = true
		case line == "}\n":
			within = false
		case within && strings.TrimSpace(line) != "":
			lines++
		}
	}
	if lines == 0 || lines > linesMax {
		t.Errorf("the first program of README.md has %d lines in its functions, want 1 to %d", lines, linesMax)
	}
}

// TestProgramsOfTheDocs compiles each program of docs/ as it stands, in a module of its own.
func TestProgramsOfTheDocs(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	programs := 0
	for _, page := range pages {
		for _, b := range pageBlocks(t, page, "go") {
			programs++
			dir := readmeModule(t)
			write(t, filepath.Join(dir, "main.go"), b.text)
			vet := goIn(t, dir, "vet", ".")
			if out, err := vet.CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v: %v\n%s", b.page, b.line, vet.Args, err, out)
			}
		}
	}
	if programs == 0 {
		t.Error("docs/ has no block of Go; was it taken for another language?")
	}
}

// TestReadmePrograms compiles each program of the README as it stands, in a module of its
// own, and runs two copies of it at once, which must greet each other and end well.
func TestReadmePrograms(t *testing.T) {
	t.Parallel()
	loopback := loopbackName(t)
	for i, b := range readmeBlocks(t, "go") {
		dir := readmeModule(t)
		source := filepath.Join(dir, "main.go")
		write(t, source, b.text)
		vet := goIn(t, dir, "vet", ".")
		if out, err := vet.CombinedOutput(); err != nil {
			t.Errorf("README.md:%d: %v: %v\n%s", b.line, vet.Args, err, out)
			continue
		}
		write(t, source, confined(t, b, loopback, groupPort(t)))
		program := filepath.Join(dir, fmt.Sprintf("program%d", i))
		build := goIn(t, dir, "build", "-o", program, ".")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("README.md:%d: %v: %v\n%s", b.line, build.Args, err, out)
		}
		runTwice(t, b, program)
	}
}

// confined returns the program of b with settings that keep its packets on this host.
// Nothing else of it changes.
func confined(t *testing.T, b block, loopback string, port int) string {
	t.Helper()
	const config = "espial.Config{"
	if strings.Count(b.text, config) != 1 {
		t.Fatalf("README.md:%d: the program has not exactly one %q, by which the test keeps it on this host",
			b.line, config)
	}
	settings := fmt.Sprintf(`Listen: "127.0.0.1:0", Multicast: espial.Multicast{Interface: %q, Group: "%s"}, `,
		loopback, group(port))
	return strings.Replace(b.text, config, config+settings, 1)
}

// runTwice runs two copies of a program, which find each other.
func runTwice(t *testing.T, b block, program string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var copies sync.WaitGroup
	for range 2 {
		copies.Go(func() {
			out, err := exec.CommandContext(ctx, program).CombinedOutput()
			t.Logf("README.md:%d prints:\n%s", b.line, out)
			if greetings := strings.Count(string(out), " says: hello from "); err != nil || greetings != 1 {
				t.Errorf("README.md:%d: %v and %d greetings, want one; it printed:\n%s", b.line, err, greetings, out)
			}
		})
	}
	copies.Wait()
}

// readmeModule returns the folder of a new module that requires this checkout of espial and
// what it requires, so that the module cache of the checkout suffices.
func readmeModule(t *testing.T) string {
	t.Helper()
	dir, checkout := t.TempDir(), workingDir(t)
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(mod), "module "+module+"\n")
	if !ok {
		t.Fatalf("go.mod does not begin with module %s", module)
	}
	write(t, filepath.Join(dir, "go.mod"), fmt.Sprintf(
		"module example.com/readme\n%s\nrequire %s v0.0.0\n\nreplace %s => %s\n", rest, module, module, checkout))
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "go.sum"), string(sum))
	return dir
}

// goIn returns a go command that works in dir and downloads nothing.
func goIn(t *testing.T, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	return cmd
}

// TestReadmeCommands runs each shell block of the README as one script that stops at the
// first command that fails. The command espial is on the path; its nodes stay on loopback,
// in a multicast group of their own.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	bin := t.TempDir()
	build := goIn(t, workingDir(t), "build", "-o", bin, "./cmd/espial")
	build.Env = os.Environ()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}
	path := bin + string(os.PathListSeparator) + os.Getenv("PATH")
	found := false
	for _, b := range readmeBlocks(t, "sh") {
		if strings.TrimSpace(b.text) == readmeTestCommand {
			found = true
			continue
		}
		t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) {
			t.Parallel()
			runScript(t, b, path)
		})
	}
	if !found {
		t.Errorf("README.md has no block that is %q", readmeTestCommand)
	}
}

// runScript runs a block and ends every process that it leaves behind.
func runScript(t *testing.T, b block, path string) {
	t.Helper()
	runtime, err := os.MkdirTemp("", "espial") //nolint:usetesting // the path of a Unix socket must be short
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(runtime) }()
	out, err := os.Create(filepath.Join(runtime, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-eu", "-o", "pipefail", "-c", b.text)
	cmd.Dir, cmd.Stdout, cmd.Stderr = workingDir(t), out, out
	cmd.Env = append(os.Environ(),
		"PATH="+path, "XDG_RUNTIME_DIR="+runtime, "ESPIAL_LISTEN=127.0.0.1:0",
		"ESPIAL_MULTICAST_INTERFACE="+loopbackName(t), "ESPIAL_MULTICAST_GROUP="+group(groupPort(t)),
	)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	if cmd.Process != nil {
		// What the block left in the background.
		if kerr := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); kerr != nil && !errors.Is(kerr, syscall.ESRCH) {
			t.Errorf("README.md:%d: end its processes: %v", b.line, kerr)
		}
	}
	printed := readFrom(t, out)
	t.Logf("README.md:%d prints:\n%s", b.line, printed)
	if err != nil || ctx.Err() != nil {
		t.Errorf("README.md:%d: %v %v\n%s\nprinted:\n%s", b.line, err, ctx.Err(), b.text, printed)
	}
}

func readFrom(t *testing.T, f *os.File) []byte {
	t.Helper()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// loopbackName returns the name of the loopback interface.
func loopbackName(t *testing.T) string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(i net.Interface) bool {
		return i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0
	})
	if i < 0 {
		t.Skip("no loopback interface that is up")
	}
	return all[i].Name
}

// groupPort returns a port on which no other test's multicast group is.
func groupPort(t *testing.T) int {
	t.Helper()
	pc, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	return pc.LocalAddr().(*net.UDPAddr).Port
}

// group returns the default multicast group with another port.
func group(port int) string { return fmt.Sprintf("239.255.77.82:%d", port) }

func workingDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
