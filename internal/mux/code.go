package mux

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/libp2p/go-yamux/v5"
)

// Code says why a stream was refused or reset. It travels.
type Code uint32

// The codes. A number that is not here is a later version's.
const (
	CodeNone      Code = iota // no reason was given
	CodeNoService             // nobody listens on the service
	CodeBacklog               // the listener has too many streams that nobody accepted
	CodeFull                  // too many streams are open
	CodeClosed                // the end that would read it was closed
	CodeProtocol              // the other end broke the protocol
	CodeTimeout               // the other end took too long
	CodeCanceled              // who opened the stream gave up
	CodeLeave                 // the node leaves, or its session ended
	CodeWrap                  // a wrapper failed
	CodeAborted               // the program at the other end broke it off

	// CodeLost says that the connection broke. It is never sent.
	CodeLost Code = 1<<32 - 1
)

// String returns what c says, for people.
func (c Code) String() string {
	switch c {
	case CodeNone:
		return "no reason given"
	case CodeNoService:
		return "no such service"
	case CodeBacklog:
		return "backlog full"
	case CodeFull:
		return "too many streams"
	case CodeClosed:
		return "closed by its reader"
	case CodeProtocol:
		return "protocol breach"
	case CodeTimeout:
		return "took too long"
	case CodeCanceled:
		return "given up"
	case CodeLeave:
		return "the node left"
	case CodeWrap:
		return "a wrapper failed"
	case CodeAborted:
		return "broken off"
	case CodeLost:
		return "connection lost"
	default:
		return fmt.Sprintf("code %d", uint32(c))
	}
}

// ResetError reports a stream that ended before its time. It satisfies errors.Is(err,
// [syscall.ECONNRESET]).
type ResetError struct {
	Code   Code
	Remote bool // the other end did it
}

// Error says who reset the stream, and why.
func (e *ResetError) Error() string {
	if e.Remote {
		return "stream reset by peer: " + e.Code.String()
	}
	return "stream reset: " + e.Code.String()
}

// Is reports whether target is ECONNRESET.
func (e *ResetError) Is(target error) bool { return target == syscall.ECONNRESET }

// Errors of [Session.Open].
var (
	// ErrEnded reports a session that takes no new streams. Nothing of the stream was
	// accepted, so that another session may be tried.
	ErrEnded = errors.New("mux: session ended")

	// ErrFull reports too many streams that this end opened.
	ErrFull = errors.New("mux: too many streams")
)

// cause translates an error of yamux.
func cause(err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // an EOF of the connection is wrapped, and no end
		return err
	}
	if e, ok := errors.AsType[*yamux.StreamError](err); ok {
		return &ResetError{Code: Code(e.ErrorCode), Remote: e.Remote}
	}
	switch {
	case errors.Is(err, yamux.ErrTimeout):
		return os.ErrDeadlineExceeded
	case errors.Is(err, yamux.ErrStreamClosed):
		return syscall.EPIPE
	default: // the connection broke, or yamux refused what came over it
		return &ResetError{Code: CodeLost}
	}
}

// Addr is one end of a stream.
type Addr struct {
	Node    string // the node's ID
	Service string // empty at the end that opened the stream
}

// Network returns "espial".
func (a Addr) Network() string { return "espial" }

// String returns the address as one dials it, service.node, or the node alone.
func (a Addr) String() string {
	if a.Service == "" {
		return a.Node
	}
	return a.Service + "." + a.Node
}

// opError dresses err as the net package does. io.EOF stays as it is.
func opError(op string, local, remote net.Addr, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // never wrapped here, and must not be
		return err
	}
	return &net.OpError{Op: op, Net: "espial", Source: local, Addr: remote, Err: err}
}
