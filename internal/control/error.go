package control

import (
	"errors"
	"fmt"
)

// Codes of the errors that this package itself gives as an answer. A [Handler] may use
// them and adds its own.
const (
	CodeRequest = "bad_request"  // the line, or the arguments of the verb, cannot be understood
	CodeVerb    = "unknown_verb" // the node does not know the verb
	CodeBusy    = "busy"         // the node has 32 connections to its socket already
	CodeClosed  = "closed"       // the node has ended
	CodeFailed  = "failed"       // any other error of the handler
)

// Sentinel errors.
var (
	// ErrFolder reports a folder for sockets that another user of the host could have
	// prepared or could look into.
	ErrFolder = errors.New("control: folder is not safe")

	// ErrTaken reports a socket on which another process already listens.
	ErrTaken = errors.New("control: socket is in use")

	// ErrGone reports a node that ended in the middle of an answer.
	ErrGone = errors.New("control: node ended before it answered")
)

// SilentError reports a node that takes connections to its control socket and does not
// answer, as a process does that was stopped.
type SilentError struct {
	Name string // of the socket, without its ending
	Path string
}

// Error names the socket.
func (e *SilentError) Error() string {
	return fmt.Sprintf("control: no answer within %v at %s", helloMax, e.Path)
}

// Error is an answer that says no.
type Error struct {
	Code string `json:"code"` // stable, for programs: no_member, too_large, closed, …
	Text string `json:"text"` // for people; may hold remote text, so quote it for a terminal
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%s)", e.Text, e.Code) }

// badRequest returns an error with [CodeRequest].
func badRequest(format string, args ...any) *Error {
	return &Error{Code: CodeRequest, Text: fmt.Sprintf(format, args...)}
}
