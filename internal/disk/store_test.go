package disk_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/disk"
	"github.com/espial-go/espial/internal/ident"
)

// open opens a store that must open.
func open(t *testing.T, folder string) *disk.Store {
	t.Helper()
	s, err := disk.Open(folder, "shop")
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// wants fails unless s has these marks.
func wants(t *testing.T, s *disk.Store, marks map[string]council.Mark) {
	t.Helper()
	if diff := cmp.Diff(marks, s.Marks()); diff != "" {
		t.Errorf("marks (-want +got)\n%s", diff)
	}
}

func TestWhatIsKeptIsThereAgain(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "var", "shop")
	s := open(t, folder)
	wants(t, s, map[string]council.Mark{})
	for _, m := range []map[string]council.Mark{
		{"": {Term: 7, Leader: 1}, "billing": {Term: 1000}},
		{"": {Term: 42, Leader: 0x5f2c9a0b1c2d3e4f}},
		{"": {Term: 8, Leader: 2}, "billing": {Term: 1795180914000}}, // one of them is late
	} {
		if err := s.Keep(m); err != nil {
			t.Fatalf("Keep(%v): %v", m, err)
		}
	}
	wants(t, s, some)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wants(t, open(t, folder), some)
	if b, err := os.ReadFile(filepath.Join(folder, "terms")); string(b) != string(sealed(text)) {
		t.Errorf("the file is %q, %v", b, err)
	}
	if runtime.GOOS == "windows" {
		return // access lists keep others out
	}
	for path, want := range map[string]os.FileMode{"": 0o700, "terms": 0o600, "lock": 0o600} {
		info, err := os.Stat(filepath.Join(folder, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v; want mode %v", path, info.Mode(), err, want)
		}
	}
}

// One node has a folder, and the next one may have it when that is gone.
func TestAFolderIsOfOneNode(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	if _, err := disk.Open(folder, "shop"); !errors.Is(err, disk.ErrLocked) || !strings.Contains(err.Error(), folder) {
		t.Errorf("Open of an open store: %v, want %v of %s", err, disk.ErrLocked, folder)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	open(t, folder)
}

// B27: what cannot be read or written is an error that names it, and is left alone.
func TestOpenRefuses(t *testing.T) {
	damage := func(content string) func(t *testing.T, folder string) {
		return func(t *testing.T, folder string) { put(t, filepath.Join(folder, "terms"), content) }
	}
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, folder string)
		want    error // nil for one of the system
		names   string
	}{
		{"a file that is empty", damage(""), disk.ErrDamaged, "terms"},
		{"a file that is cut short", damage(text), disk.ErrDamaged, "terms"},
		{"a file of another cluster", damage(string(disk.Encode("store", some))), disk.ErrCluster, "terms"},
		{"a file of a later version", damage(string(sealed("espial terms 2\n"))), disk.ErrVersion, "terms"},
		{"a file that never ends", damage(strings.Repeat("x", 1<<20)), disk.ErrDamaged, "terms"},
		{"a folder in its place", func(t *testing.T, folder string) { mkdir(t, filepath.Join(folder, "terms")) }, nil, "terms"},
		{"a folder in the place of the new file", func(t *testing.T, folder string) {
			mkdir(t, filepath.Join(folder, "terms.new"))
		}, nil, "terms.new"},
		{"a folder in the place of the lock", func(t *testing.T, folder string) { mkdir(t, filepath.Join(folder, "lock")) }, nil, "lock"},
		{"a file in the place of the folder", func(t *testing.T, folder string) {
			if err := os.Remove(folder); err != nil {
				t.Fatal(err)
			}
			put(t, folder, "")
		}, nil, "state"},
		{"a folder that others may write to", func(t *testing.T, folder string) {
			if runtime.GOOS == "windows" {
				t.Skip("mode bits keep nobody out here")
			}
			if err := os.Chmod(folder, 0o770); err != nil {
				t.Fatal(err)
			}
		}, disk.ErrFolder, "state"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "state")
			mkdir(t, folder)
			tt.prepare(t, folder)
			before, _ := os.ReadFile(filepath.Join(folder, "terms"))
			for range 2 { // the first leaves no lock behind
				_, err := disk.Open(folder, "shop")
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) || errors.Is(err, disk.ErrLocked) ||
					!strings.Contains(err.Error(), tt.names) {
					t.Errorf("Open: %v; want %v about %s", err, tt.want, tt.names)
				}
			}
			if after, _ := os.ReadFile(filepath.Join(folder, "terms")); string(after) != string(before) {
				t.Errorf("the file was %q and is %q", before, after)
			}
		})
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

// B27: a disk that is full changes nothing of what is there, and does not matter when it
// has room again.
func TestKeepOnADiskThatIsFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skipf("this system has no file that is always full: %v", err)
	}
	folder := t.TempDir()
	s := open(t, folder)
	if err := s.Keep(some); err != nil {
		t.Fatal(err)
	}
	full := filepath.Join(folder, "terms.new")
	if err := os.Symlink("/dev/full", full); err != nil {
		t.Fatal(err)
	}
	more := map[string]council.Mark{"": {Term: 43, Leader: 1}}
	for range 2 {
		if err := s.Keep(more); err == nil || !strings.Contains(err.Error(), full) {
			t.Errorf("Keep: %v, want an error about %s", err, full)
		}
	}
	wants(t, s, some)
	if err := s.Keep(some); err != nil {
		t.Errorf("Keep of what is there: %v", err)
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(more); err != nil {
		t.Errorf("Keep when there is room: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wants(t, open(t, folder), map[string]council.Mark{"": more[""], "billing": some["billing"]})
}

// What a file has room for is bounded, and all of it can be read again.
func TestElectionsAreBounded(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	marks := map[string]council.Mark{}
	for i := range 1024 {
		name := fmt.Sprintf("%063d", i) // the longest there is
		marks[name] = council.Mark{Term: 1 << 53, Leader: 1 << 63}
	}
	if err := s.Keep(marks); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(map[string]council.Mark{"more": {Term: 1}}); !errors.Is(err, disk.ErrElections) {
		t.Errorf("Keep of one more: %v, want %v", err, disk.ErrElections)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wants(t, open(t, folder), marks)
}

// BenchmarkKeep is what a disk takes for one term.
func BenchmarkKeep(b *testing.B) {
	s, err := disk.Open(b.TempDir(), "shop")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	term := ident.Term(0)
	for b.Loop() {
		term++
		if err := s.Keep(map[string]council.Mark{"": {Term: term, Leader: 1}}); err != nil {
			b.Fatal(err)
		}
	}
}
