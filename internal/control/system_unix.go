//go:build unix

package control

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// private reports whether only the owner has any right.
func private(info fs.FileInfo) bool { return info.Mode().Perm() == folderMode }

// owned reports whether the file belongs to the user of this process.
func owned(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// refused reports whether a socket exists on which nobody listens.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// reset reports whether the other end went away while there was something to send or receive.
func reset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
