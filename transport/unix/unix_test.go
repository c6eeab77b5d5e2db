//go:build unix

package unix_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/espial-go/espial/transport/unix"
)

// listen listens until the test ends.
func listen(t *testing.T, tr unix.Transport, addr string) net.Listener {
	t.Helper()
	ln, err := tr.Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func TestListen(t *testing.T) {
	for _, tt := range []struct {
		mode, want fs.FileMode
	}{{0, 0o600}, {0o660, 0o660}} {
		path := filepath.Join(t.TempDir(), "a.sock")
		ln := listen(t, unix.Transport{Mode: tt.mode}, "unix://"+path)
		if got := ln.Addr().String(); got != "unix://"+path {
			t.Errorf("Addr = %q, want unix://%s", got, path)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != tt.want {
			t.Errorf("mode %v: the socket has %v, %v; want %v", tt.mode, info.Mode(), err, tt.want)
		}
		nc, err := unix.Transport{}.Dial(t.Context(), "unix://"+path)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := ln.Accept(); err != nil {
			t.Error(err)
		}
		_ = ln.Close()
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is there after Close: %v", err)
		}
	}
}

// A socket that a killed process left is replaced; nothing else is.
func TestListenWhereSomethingIs(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "left.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: left})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	_ = ln.Close()
	if _, err := (unix.Transport{}).Dial(t.Context(), "unix://"+left); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a dial of what a killed process left: %v, want ECONNREFUSED", err)
	}
	listen(t, unix.Transport{}, "unix://"+left)
	if _, err := (unix.Transport{}).Listen(t.Context(), "unix://"+left); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen where somebody listens = %v, want EADDRINUSE", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (unix.Transport{}).Listen(t.Context(), "unix://"+file); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen at a file = %v, want EADDRINUSE", err)
	}
	if b, err := os.ReadFile(file); string(b) != "keep" {
		t.Errorf("the file has %q, %v", b, err)
	}
}

func TestBadAddresses(t *testing.T) {
	for _, tt := range []struct{ addr, says string }{
		{"/run/a.sock", "not unix:///absolute/path"},
		{"10.0.0.1:1", "not unix:///absolute/path"},
		{"unix://a.sock", "not unix:///absolute/path"},
		{"unix://", "not unix:///absolute/path"},
		{"unix:///" + strings.Repeat("x", 103), "path of 104 bytes, at most 103"},
	} {
		_, lerr := unix.Transport{}.Listen(t.Context(), tt.addr)
		_, derr := unix.Transport{}.Dial(t.Context(), tt.addr)
		for _, err := range []error{lerr, derr} {
			if !errors.Is(err, unix.ErrAddr) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q: %v, want ErrAddr that says %q", tt.addr, err, tt.says)
			}
		}
	}
	if _, err := (unix.Transport{}).Listen(t.Context(), "unix:///no/such/folder/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is missing: %v", err)
	}
}
