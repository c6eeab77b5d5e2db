package control

import (
	"errors"
	"io/fs"
	"syscall"
)

// Windows Sockets error codes (winsock2.h), which package syscall does not name.
const (
	wsaConnAborted = syscall.Errno(10053)
	wsaConnReset   = syscall.Errno(10054)
	wsaConnRefused = syscall.Errno(10061)
)

// private is always true: the folder for temporary files belongs to one user, and its
// access list, not mode bits, keeps others out.
func private(fs.FileInfo) bool { return true }

// owned is always true, for the same reason.
func owned(fs.FileInfo) bool { return true }

// refused reports whether a socket exists on which nobody listens.
func refused(err error) bool { return errors.Is(err, wsaConnRefused) }

// reset reports whether the other end went away while there was something to send or receive.
func reset(err error) bool { return errors.Is(err, wsaConnReset) || errors.Is(err, wsaConnAborted) }
