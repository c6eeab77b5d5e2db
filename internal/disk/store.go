// Package disk keeps on disk what a node must not forget when it stops: for each election
// the term that later ones must be above.
//
//	s, err := disk.Open("/var/lib/shop", "shop") // takes the folder for this process alone
//	council.Config{Kept: s.Marks()}
//	err = s.Keep(map[string]council.Mark{"billing": {Term: 7}})
//	err = s.Close()
//
// A [Store] is a folder with two files: lock, which is held as long as the store is open,
// and terms, a few lines of text that [Encode] describes. When Keep returns nil, the marks
// are there whatever happens to the machine: they are written to another file, which is
// synced, takes the place of the old one, and the folder is synced, too. So terms is always
// one that was written as a whole; one that is not is damaged, and an error.
//
// The methods of a Store may be called by several goroutines; they wait for the disk.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/espial-go/espial/internal/council"
)

const (
	folderMode = 0o700
	fileMode   = 0o600

	lockName  = "lock"
	termsName = "terms"
	freshName = "terms.new" // terms, until it is written
)

// Errors of [Open] and [Store.Keep]. Their texts name the file and say what to do.
var (
	// ErrLocked reports that another process has the store open, or that this one has.
	ErrLocked = errors.New("disk: in use by another node; give each node a folder of its own")

	// ErrFolder reports a path that is no folder, or one that others may write to.
	ErrFolder = errors.New("disk: not a folder of its own")

	// ErrDamaged reports a file that is not as it was written.
	ErrDamaged = errors.New("disk: damaged; put a copy back, or remove the file: " +
		"the terms of this node then depend on its clock and on the others")

	// ErrVersion reports a file of a later version of this package.
	ErrVersion = errors.New("disk: written by a later version of espial; use that one")

	// ErrCluster reports a file of another cluster.
	ErrCluster = errors.New("disk: of another cluster; give each cluster a folder of its own")

	// ErrElections reports marks of more than [ElectionsMax] elections.
	ErrElections = errors.New("disk: too many elections; their names must not be made up anew")
)

// Store is the open folder of one node.
type Store struct {
	folder  string
	cluster string
	lock    io.Closer

	mu    sync.Mutex // guards what follows, and the file
	marks map[string]council.Mark
}

// Open opens the store in a folder, which it creates with mode 0700 unless it exists, and
// takes it for this process. It writes the file once, so that a folder in which that is not
// possible is an error here. Errors wrap those of this package or of the system.
func Open(folder, cluster string) (*Store, error) {
	if err := makeFolder(folder); err != nil {
		return nil, err
	}
	held, err := lock(filepath.Join(folder, lockName))
	if err != nil {
		return nil, err
	}
	s := &Store{folder: folder, cluster: cluster, lock: held}
	if s.marks, err = s.read(); err == nil {
		err = s.write(s.marks)
	}
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return s, nil
}

// makeFolder creates a folder unless it exists, and checks it: who may write to it could
// put other files in the place of ours.
func makeFolder(folder string) error {
	if err := os.MkdirAll(folder, folderMode); err != nil {
		return err
	}
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); shared(mode) {
		return fmt.Errorf("%w: others may write to %s (mode %#o); run chmod go-w", ErrFolder, folder, mode)
	}
	return nil
}

// read returns the marks in the file; none if there is no file.
func (s *Store) read() (map[string]council.Mark, error) {
	path := filepath.Join(s.folder, termsName)
	f, err := os.Open(path) //nolint:gosec // the user named the folder
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]council.Mark{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w; it must be readable, or removed", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, bytesMax+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%w; it must be readable, or removed", err)
	}
	cluster, marks, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if cluster != s.cluster {
		return nil, fmt.Errorf("%s: %w: %q, not %q", path, ErrCluster, cluster, s.cluster)
	}
	return marks, nil
}

// Marks returns what is on disk, by election.
func (s *Store) Marks() map[string]council.Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.marks)
}

// Keep puts marks on disk, each in the place of the one of its election unless that has a
// higher term. After an error it is not known which of the two are there, and Marks returns
// the former ones. Errors wrap [ErrElections] or are the system's.
func (s *Store) Keep(marks map[string]council.Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(s.marks)
	for name, m := range marks {
		if m.Term >= all[name].Term {
			all[name] = m
		}
	}
	if maps.Equal(all, s.marks) {
		return nil
	}
	if err := s.write(all); err != nil {
		return err
	}
	s.marks = all
	return nil
}

// write replaces the file.
func (s *Store) write(marks map[string]council.Mark) error {
	if len(marks) > ElectionsMax {
		return fmt.Errorf("%s: %w: %d, at most %d", s.folder, ErrElections, len(marks), ElectionsMax)
	}
	fresh := filepath.Join(s.folder, freshName)
	if err := writeFile(fresh, Encode(s.cluster, marks)); err != nil {
		return err
	}
	return replace(s.folder, fresh, filepath.Join(s.folder, termsName))
}

// writeFile writes a file that outlives the machine.
func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode) //nolint:gosec // in our folder
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Close gives the folder back. It does nothing to a nil Store.
func (s *Store) Close() error {
	if s == nil {
		return nil
	}
	return s.lock.Close()
}
