//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// shared reports whether others than the owner may write to a folder of this mode.
func shared(mode fs.FileMode) bool { return mode&0o022 != 0 }

// lock takes a file for this process, which loses it when it ends, however that happens.
func lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode) //nolint:gosec // in our folder
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f, nil
}

// replace gives the file from the name to, and syncs their folder, in which the names are.
func replace(folder, from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	f, err := os.Open(folder) //nolint:gosec // the user named it
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
