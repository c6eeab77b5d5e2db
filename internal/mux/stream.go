package mux

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-yamux/v5"
)

// lingerMax is how long a stream that was closed here may stay open at the other end, which
// has not closed it and sends nothing. Then it is reset.
const lingerMax = 30 * time.Second

// Stream is one end of a stream: a [net.Conn] with CloseWrite. Its errors are those of a
// TCP connection, dressed as [net.OpError]: io.EOF, [net.ErrClosed],
// [os.ErrDeadlineExceeded], EPIPE after CloseWrite, and a [ResetError].
//
// yamux is not asked for two things that it does not do safely. Its Write must not be
// called by two goroutines, which would exceed the window and end the whole session: a
// token serves them in turn. And its Read loses what it owes the window if a deadline
// passes while it says so: data is therefore taken without a deadline, after a Read of no
// bytes has waited for it with one.
type Stream struct {
	session       *Session
	ys            *yamux.Stream
	local, remote Addr
	opens         bool // this end opened it

	reading chan struct{} // holds a token while a Read is under way
	writing chan struct{} // and while a Write is
	closed  chan struct{} // closed by Close and Reset
	fin     chan struct{} // closed when the end of the data is on its way, after Close

	mu     sync.Mutex // guards what follows
	readBy time.Time  // zero for never
	taking bool       // a Read takes data, for which yamux must have no deadline
	ended  bool       // CloseWrite was called
	harsh  bool       // Close is a reset, by SetLinger
}

func newStream(s *Session, ys *yamux.Stream, local, remote Addr) *Stream {
	return &Stream{
		session: s, ys: ys, local: local, remote: remote,
		reading: make(chan struct{}, 1), writing: make(chan struct{}, 1),
		closed: make(chan struct{}), fin: make(chan struct{}),
	}
}

// LocalAddr returns an [Addr]: this node, with the service if this end accepted the stream.
func (st *Stream) LocalAddr() net.Addr { return st.local }

// RemoteAddr returns an [Addr]: the other node, whose ID is verified, with the service if
// this end opened the stream.
func (st *Stream) RemoteAddr() net.Addr { return st.remote }

// Service returns what the stream was opened for.
func (st *Stream) Service() string {
	if st.opens {
		return st.remote.Service
	}
	return st.local.Service
}

// Dialed reports whether this end opened the stream.
func (st *Stream) Dialed() bool { return st.opens }

// Done returns a channel that is closed by Close and Reset of this end.
func (st *Stream) Done() <-chan struct{} { return st.closed }

// Lost returns a channel that is closed when the session has ended, and the stream with it.
func (st *Stream) Lost() <-chan struct{} { return st.session.y.CloseChan() }

// Read returns bytes that have arrived, or waits for some.
func (st *Stream) Read(b []byte) (n int, err error) {
	if err = st.begin(st.reading); err == nil {
		n, err = st.read(b)
		<-st.reading
	}
	return n, opError("read", st.local, st.remote, err)
}

// begin waits for a token; there is none once the stream is closed.
func (st *Stream) begin(token chan<- struct{}) error {
	select {
	case token <- struct{}{}:
		return nil
	case <-st.closed:
		return net.ErrClosed
	}
}

func (st *Stream) read(b []byte) (int, error) {
	for {
		if err := st.readable(); err != nil || len(b) == 0 {
			return 0, err
		}
		_, err := st.ys.Read(nil) // waits for data, and takes none
		if errors.Is(err, yamux.ErrTimeout) {
			if err := st.readable(); err != nil {
				return 0, err
			}
			continue // the deadline moved
		}
		n := 0
		if err == nil {
			n, err = st.take(b)
		}
		if n > 0 || err != nil {
			return n, st.blame(err)
		}
	}
}

// readable returns why nothing may be read now, nil if it may.
func (st *Stream) readable() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.isClosed():
		return net.ErrClosed
	case !st.readBy.IsZero() && !st.readBy.After(time.Now()):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// take reads data that is there.
func (st *Stream) take(b []byte) (int, error) {
	st.mu.Lock()
	st.taking = true
	st.setReadBy(time.Time{})
	st.mu.Unlock()
	n, err := st.ys.Read(b)
	st.mu.Lock()
	st.taking = false
	st.setReadBy(st.readBy)
	st.mu.Unlock()
	if n > 0 {
		return n, nil // what happened besides, the next Read will see
	}
	return 0, err
}

// setReadBy hands a deadline to yamux, if there is one. The caller holds mu.
func (st *Stream) setReadBy(t time.Time) {
	if !st.readBy.IsZero() {
		_ = st.ys.SetReadDeadline(t) // never fails
	}
}

// blame returns the error of a Read or a Write that yamux failed with err.
func (st *Stream) blame(err error) error {
	if err != nil && st.isClosed() {
		return net.ErrClosed
	}
	return cause(err)
}

// Write waits until all of b is on its way to the other end, as its window allows.
func (st *Stream) Write(b []byte) (n int, err error) {
	if err = st.begin(st.writing); err == nil {
		n, err = st.write(b)
		<-st.writing
	}
	return n, opError("write", st.local, st.remote, err)
}

func (st *Stream) write(b []byte) (int, error) {
	if err := st.writable(); err != nil {
		return 0, err
	}
	n, err := st.ys.Write(b)
	if err != nil {
		if over := st.writable(); over != nil {
			return n, over // it was woken by the end of writing
		}
	}
	return n, cause(err)
}

// writable returns why nothing may be written any more, nil if it may.
func (st *Stream) writable() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.isClosed():
		return net.ErrClosed
	case st.ended:
		return syscall.EPIPE
	}
	return nil
}

// CloseWrite tells the other end that no more bytes follow. Reading goes on. A Write that
// is under way fails.
func (st *Stream) CloseWrite() error {
	st.mu.Lock()
	st.ended = true
	_ = st.ys.SetWriteDeadline(past()) // never fails
	st.mu.Unlock()
	err := st.begin(st.writing)
	if err == nil {
		err = st.blame(st.ys.CloseWrite())
		<-st.writing
	}
	return opError("close", st.local, st.remote, err)
}

// Close ends both directions. What was written is still delivered; what arrived and was not
// read is lost, and the other end gets a reset with [CodeClosed] if it writes more. Close
// does not wait.
func (st *Stream) Close() error {
	st.mu.Lock()
	harsh := st.harsh && !st.isClosed()
	st.mu.Unlock()
	if harsh {
		st.Reset(CodeAborted)
		return nil
	}
	if !st.shut() {
		return opError("close", st.local, st.remote, net.ErrClosed)
	}
	if !st.session.start(st.finish) {
		st.session.remove(st, Closed, CodeLost) // the session ended, and the stream with it
	}
	return nil
}

// shut marks the stream as closed and wakes whoever uses it. It reports whether it was
// open.
func (st *Stream) shut() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.isClosed() {
		return false
	}
	close(st.closed)
	st.readBy = past()
	if !st.taking {
		st.setReadBy(st.readBy)
	}
	_ = st.ys.SetWriteDeadline(st.readBy) // never fails
	return true
}

// finish says goodbye for a closed stream. yamux would forget it then, and never open the
// window again for an end that goes on writing: so it is kept until that end closes too,
// and is reset at the first byte that nobody will read.
func (st *Stream) finish() {
	e, c := Closed, CodeNone
	defer func() { st.session.remove(st, e, c) }()
	st.writing <- struct{}{} // nobody gets the tokens back
	err := st.ys.CloseWrite()
	close(st.fin)
	if err != nil {
		c = codeOf(err, CodeLost)
		_ = st.ys.CloseRead() // never fails
		return
	}
	st.reading <- struct{}{}
	_, err = st.ys.Read(nil) // the deadline has passed, so this tells what there is
	if errors.Is(err, yamux.ErrTimeout) {
		_ = st.ys.SetReadDeadline(time.Now().Add(lingerMax)) // never fails
		_, err = st.ys.Read(nil)
	}
	switch {
	case err == nil:
		c = CodeClosed
		_ = st.ys.ResetWithError(uint32(CodeClosed)) // never fails
	case errors.Is(err, yamux.ErrTimeout):
		e, c = TimedOut, CodeTimeout
		_ = st.ys.ResetWithError(uint32(CodeTimeout)) // never fails
	default: // it closed as well, or was reset
		if err != io.EOF { //nolint:errorlint // an EOF of the connection is wrapped, and no end
			c = codeOf(err, CodeLost)
		}
		_ = st.ys.CloseRead() // never fails
	}
}

// Reset ends the stream at once. The other end gets a [ResetError] with that code; what is
// on its way is lost.
func (st *Stream) Reset(c Code) {
	first := st.shut()
	_ = st.ys.ResetWithError(uint32(c)) // never fails
	if first {
		st.session.remove(st, Closed, c)
	}
}

// Watch waits until the stream is closed at this end, or lost with its session, which it returns as
// a [ResetError]. It is for who has read the last byte and has nothing to write yet.
func (st *Stream) Watch() error {
	select {
	case <-st.closed:
		return nil
	case <-st.session.y.CloseChan():
		return &ResetError{Code: CodeLost}
	}
}

// SetLinger says what Close does, as that of a [net.TCPConn]: with 0 it resets the stream, and the
// other end knows that what it read is not all; with any other number it closes as usual.
func (st *Stream) SetLinger(seconds int) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.harsh = seconds == 0
	return nil
}

// isClosed reports whether Close or Reset was called.
func (st *Stream) isClosed() bool {
	select {
	case <-st.closed:
		return true
	default:
		return false
	}
}

// SetDeadline sets both deadlines.
func (st *Stream) SetDeadline(t time.Time) error {
	return errors.Join(st.SetReadDeadline(t), st.SetWriteDeadline(t))
}

// SetReadDeadline sets when Read gives up; the zero time is never.
func (st *Stream) SetReadDeadline(t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.isClosed() {
		return opError("set", st.local, st.remote, net.ErrClosed)
	}
	st.readBy = t
	if !st.taking {
		_ = st.ys.SetReadDeadline(t) // never fails
	}
	return nil
}

// SetWriteDeadline sets when Write gives up; the zero time is never.
func (st *Stream) SetWriteDeadline(t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.isClosed():
		return opError("set", st.local, st.remote, net.ErrClosed)
	case st.ended:
		return nil // nothing is written any more
	}
	return opError("set", st.local, st.remote, st.ys.SetWriteDeadline(t))
}

// past returns a deadline that passed. The zero time would be none.
func past() time.Time { return time.Time{}.Add(time.Second) }
