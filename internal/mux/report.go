package mux

import (
	"errors"
	"io"
	"os"

	"github.com/libp2p/go-yamux/v5"
)

// Report says what became of a stream.
type Report struct {
	Event   Event
	Service string // what it was opened for
	Dialed  bool   // this end opened it
	Code    Code   // why it ended before its time; CodeNone for an end as it should be
}

// Event is one step in the life of a stream: it is opened, and then closed or timed out, or it
// times out before.
type Event uint8

// The events.
const (
	Opened   Event = iota // a listener has it, or is about to
	Closed                // both ends closed it, or it was reset
	TimedOut              // the other end did not answer in time, or did not close after this one had
)

// report tells what became of a stream.
func (s *Session) report(e Event, st *Stream, c Code) {
	if s.cfg.Report != nil {
		s.cfg.Report(Report{Event: e, Service: st.Service(), Dialed: st.opens, Code: c})
	}
}

// unanswered reports a stream that was not opened, if the other end took too long.
func (s *Session) unanswered(service string, err error) {
	if s.cfg.Report != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		s.cfg.Report(Report{Event: TimedOut, Service: service, Dialed: true, Code: CodeTimeout})
	}
}

// bury forgets the streams that nobody has closed yet: their session is over, and they with it.
func (s *Session) bury() {
	s.mu.Lock()
	left := make([]*Stream, 0, len(s.streams))
	for st := range s.streams {
		left = append(left, st)
	}
	s.mu.Unlock()
	for _, st := range left {
		s.remove(st, Closed, st.fate())
	}
}

// fate returns why a stream ended whose session is over.
func (st *Stream) fate() Code {
	written := st.ys.CloseWrite()
	_, read := st.ys.Read(nil) // does not wait: yamux is closed
	for _, err := range []error{written, read} {
		if err != nil && err != io.EOF { //nolint:errorlint // an EOF of the connection is wrapped, and no end
			return codeOf(err, CodeLost)
		}
	}
	return CodeNone
}

// codeOf returns the code of a reset, and or for whatever else err is.
func codeOf(err error, or Code) Code {
	if e, ok := errors.AsType[*yamux.StreamError](err); ok {
		return Code(e.ErrorCode)
	}
	return or
}
