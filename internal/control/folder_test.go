package control_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/espial-go/espial/internal/control"
)

// leave puts a socket at path on which nobody listens, made the given number of minutes
// from now.
func leave(t *testing.T, path string, minutes int) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	at := time.Now().Add(time.Duration(minutes) * time.Minute)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func unixOnly(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no mode bits")
	}
}

func TestSocketIsForTheUserOnly(t *testing.T) {
	unixOnly(t)
	dir := home(t)
	s, _ := serve(t, "abc", greeter("ann"))
	if want := filepath.Join(dir, "espial", "abc.sock"); s.Path() != want {
		t.Errorf("the socket is %s, want %s", s.Path(), want)
	}
	for path, want := range map[string]fs.FileMode{
		s.Path():               0o600 | fs.ModeSocket,
		filepath.Dir(s.Path()): 0o700 | fs.ModeDir,
	} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
}

func TestUnsafeFoldersAreRefusedByBothEnds(t *testing.T) {
	unixOnly(t)
	for _, c := range []struct {
		name string
		make func(folder string) error
		want string
	}{
		{"others may look", func(f string) error { return mkdir(f, 0o755) }, "mode 0755"},
		{"the group may write", func(f string) error { return mkdir(f, 0o770) }, "mode 0770"},
		{"a file", func(f string) error { return os.WriteFile(f, nil, 0o600) }, "not a folder"},
		{"a link to a folder that would do", func(f string) error {
			return errors.Join(mkdir(f+"-real", 0o700), os.Symlink(f+"-real", f))
		}, "not a folder"},
		{"another user's", func(f string) error {
			return errors.Join(mkdir(f, 0o700), os.Chown(f, 65534, 65534))
		}, "another user's"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := home(t)
			t.Setenv("TMPDIR", filepath.Join(dir, "missing"))
			folder := filepath.Join(dir, "espial")
			if err := c.make(folder); errors.Is(err, fs.ErrPermission) {
				t.Skipf("needs root: %v", err)
			} else if err != nil {
				t.Fatal(err)
			}
			_, err := control.Listen(t.Context(), control.Folders(), "a")
			if !errors.Is(err, control.ErrFolder) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Listen returned %v, want ErrFolder and %q", err, c.want)
			}
			_, err = control.Nodes(t.Context())
			if !errors.Is(err, control.ErrFolder) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Nodes returned %v, want ErrFolder and %q", err, c.want)
			}
		})
	}
}

// mkdir makes a folder with exactly the given mode.
func mkdir(path string, mode fs.FileMode) error {
	return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode))
}

func TestFolders(t *testing.T) {
	unixOnly(t)
	t.Setenv("TMPDIR", "/var/tmp")
	for _, c := range []struct{ name, xdg, want string }{
		{"the run-time folder comes first", "/run/user/7", "/run/user/7/espial"},
		{"a relative run-time folder is ignored", "run", ""},
		{"without one the temporary folder remains", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("XDG_RUNTIME_DIR", c.xdg)
			got := control.Folders()
			if c.want != "" {
				if got[0] != c.want {
					t.Errorf("the first folder is %q, want %q", got[0], c.want)
				}
				got = got[1:]
			}
			if len(got) != 1 || !strings.HasPrefix(got[0], "/var/tmp/espial-") {
				t.Errorf("the last folders are %q, want one in /var/tmp", got)
			}
		})
	}
}

func TestListenGoesOnToTheNextFolder(t *testing.T) {
	dir := home(t)
	second := filepath.Join(dir, "second")
	for _, first := range []string{
		filepath.Join(dir, "no", "parent"),
		filepath.Join(dir, strings.Repeat("long", 25)),
	} {
		s, err := control.Listen(t.Context(), []string{first, second}, "a")
		if err != nil {
			t.Fatalf("after %s: %v", first, err)
		}
		if filepath.Dir(s.Path()) != second {
			t.Errorf("after %s the socket is %s, want it in %s", first, s.Path(), second)
		}
		s.Close()
	}
}

func TestListenReplacesWhatIsStaleOnly(t *testing.T) {
	dir := home(t)
	folder := filepath.Join(dir, "espial")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	leave(t, filepath.Join(folder, "a.sock"), 0)
	s, stop := serve(t, "a", greeter("ann"))
	if _, err := control.Listen(t.Context(), control.Folders(), "a"); !errors.Is(err, control.ErrTaken) {
		t.Errorf("a second Listen returned %v, want ErrTaken", err)
	}
	if err := (control.Node{Path: s.Path()}).Call(t.Context(), "hello", nil, ignore); err != nil {
		t.Errorf("after the second Listen the first server answers %v", err)
	}
	stop()
	again, err := control.Listen(t.Context(), control.Folders(), "a")
	if err != nil {
		t.Fatalf("after the end of the first: %v", err)
	}
	again.Close()
	if err := again.Serve(context.Background(), nil); err != nil {
		t.Errorf("Serve of a closed server returned %v, want nil", err)
	}
}
