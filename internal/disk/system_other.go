//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// shared is always false: what the bits of a mode mean here is not known.
func shared(fs.FileMode) bool { return false }

// lock makes a file that must not exist. One that a killed process left must be removed by
// hand.
func lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s: %w, and remove this file if no node runs", path, ErrLocked)
	}
	if err != nil {
		return nil, err
	}
	return mark{f}, nil
}

// mark is a file whose presence is the lock.
type mark struct{ *os.File }

func (m mark) Close() error { return errors.Join(m.File.Close(), os.Remove(m.Name())) }

// replace gives the file from the name to.
func replace(_, from, to string) error { return os.Rename(from, to) }
