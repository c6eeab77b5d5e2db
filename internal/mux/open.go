package mux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"github.com/espial-go/espial/internal/frame"
)

// Times of the beginning of a stream.
const (
	// headerWithin is how long a stream may be open before it said which service it is for.
	headerWithin = 5 * time.Second

	// answerWithin is how long Open waits for the answer.
	answerWithin = 10 * time.Second
)

// Open opens a stream to a service of the other end. It returns when a listener's backlog
// has it, with a [ResetError] if the other end refused, [ErrFull] above 1,024 streams,
// [ErrEnded] if the session takes no stream (any more), ctx's error, or
// [os.ErrDeadlineExceeded] if no answer came within 10 s.
func (s *Session) Open(ctx context.Context, service string) (*Stream, error) {
	if err := s.enter(true); err != nil {
		return nil, err
	}
	select {
	case s.opening <- struct{}{}:
	case <-s.y.CloseChan():
		s.leave(true)
		return nil, ErrEnded
	case <-ctx.Done():
		s.leave(true)
		return nil, context.Cause(ctx)
	}
	// yamux can be told to open by a context, and loses count of streams if that ends.
	type outcome struct {
		st  *Stream
		err error
	}
	done := make(chan outcome)
	began := s.start(func() {
		st, err := s.ask(ctx, service)
		<-s.opening
		select {
		case done <- outcome{st, err}:
		case <-ctx.Done():
			if st != nil {
				st.Reset(CodeCanceled)
			}
		}
	})
	if !began {
		<-s.opening
		s.leave(true)
		return nil, ErrEnded
	}
	select {
	case o := <-done:
		return o.st, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ask opens a stream of yamux and asks for a service on it.
func (s *Session) ask(ctx context.Context, service string) (*Stream, error) {
	ys, err := s.y.OpenStream(context.WithoutCancel(ctx))
	if err != nil {
		s.leave(true)
		return nil, fmt.Errorf("%w: %w", ErrEnded, err)
	}
	// A write needs none: where nothing can be written the session ends within writeWithin.
	_ = ys.SetReadDeadline(time.Now().Add(answerWithin)) // never fails
	stop := context.AfterFunc(ctx, func() {
		_ = ys.SetDeadline(past())
	})
	_, err = ys.Write(frame.Service{Name: service}.Append(nil))
	if err == nil {
		err = answered(ys)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = ys.ResetWithError(uint32(CodeCanceled)) // never fails
		s.leave(true)
		if err = refused(err); ctx.Err() == nil {
			s.unanswered(service, err)
		}
		return nil, err
	}
	_ = ys.SetReadDeadline(time.Time{}) // never fails
	st := newStream(s, ys, Addr{Node: s.cfg.Local}, Addr{Node: s.cfg.Remote, Service: service})
	st.opens = true
	s.add(st)
	return st, nil
}

// answered waits for ACCEPT.
func answered(ys *yamux.Stream) error {
	f, err := readFrame(ys)
	if err != nil {
		return err
	}
	if _, ok := f.(frame.Accept); !ok {
		return fmt.Errorf("mux: %v in place of ACCEPT", f.Type())
	}
	return nil
}

// refused says why a stream was not opened.
func refused(err error) error {
	e, reset := errors.AsType[*yamux.StreamError](err)
	switch {
	case reset && e.Remote && Code(e.ErrorCode) != CodeNone && Code(e.ErrorCode) != CodeLeave:
		return &ResetError{Code: Code(e.ErrorCode), Remote: true}
	case errors.Is(err, yamux.ErrTimeout):
		return os.ErrDeadlineExceeded
	case errors.Is(err, yamux.ErrStreamReset):
		return fmt.Errorf("%w: %w", ErrEnded, err) // CodeNone is yamux itself
	}
	return err
}

// serve takes a stream that the other end opened.
func (s *Session) serve(ctx context.Context, ys *yamux.Stream) {
	c, ok := s.admit(ctx, ys)
	if !ok {
		_ = ys.ResetWithError(uint32(c)) // never fails
	}
}

// admit gives a stream to the listener of its service, or says why not.
func (s *Session) admit(ctx context.Context, ys *yamux.Stream) (Code, bool) {
	switch err := s.enter(false); {
	case errors.Is(err, ErrFull):
		return CodeFull, false
	case err != nil:
		return CodeLeave, false
	}
	service, c, ok := header(ys)
	if !ok {
		s.leave(false)
		return c, false
	}
	l := s.cfg.Services.find(service)
	if l == nil {
		s.leave(false)
		return CodeNoService, false
	}
	if c, ok := l.reserve(); !ok {
		s.leave(false)
		return c, false
	}
	st := newStream(s, ys, l.addr, Addr{Node: s.cfg.Remote})
	s.add(st)
	// The answer goes before the stream is somebody's, who may write at once.
	if _, err := ys.Write(frame.Accept{}.Append(nil)); err != nil {
		l.release()
		s.remove(st, Closed, CodeLost)
		return CodeLost, false
	}
	nc, err := st.Wrap(context.WithoutCancel(ctx)) // the end of the session ends it
	if err != nil {
		l.release()
		return CodeNone, true // it was reset, and the reason told
	}
	if a := (accepted{st, nc}); !l.push(a) {
		a.drop()
	}
	return CodeNone, true
}

// header reads which service a stream is for.
func header(ys *yamux.Stream) (service string, c Code, ok bool) {
	_ = ys.SetReadDeadline(time.Now().Add(headerWithin)) // never fails
	f, err := readFrame(ys)
	if errors.Is(err, yamux.ErrTimeout) {
		return "", CodeTimeout, false
	}
	asked, isService := f.(frame.Service)
	if err != nil || !isService {
		return "", CodeProtocol, false
	}
	_ = ys.SetReadDeadline(time.Time{}) // never fails
	return asked.Name, CodeNone, true
}

// readFrame reads one frame and not a byte more.
func readFrame(r io.Reader) (frame.Frame, error) {
	head := make([]byte, frame.HeaderSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := int(head[1])<<16 | int(head[2])<<8 | int(head[3])
	if size > frame.StreamFrameMax {
		return nil, fmt.Errorf("%w: frame of %d bytes on a stream", frame.ErrTooLarge, size)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, err
	}
	f, err := frame.Decode(frame.Raw{Type: frame.Type(head[0]), Payload: payload})
	if err == nil && f == nil {
		err = frame.ErrUnknown
	}
	return f, err
}
