package mux

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Limits of wrappers.
const (
	// wrapWithin is how long the wrappers of a stream may take.
	wrapWithin = 5 * time.Second

	// lateMax bounds the wrappers of a node that took longer and are not back yet: those that
	// hang cannot pile up goroutines.
	lateMax = 128
)

// Errors of [Stream.Wrap] besides those of the wrappers.
var (
	errLate = fmt.Errorf("the functions of Config.Wrap took more than %v: %w",
		wrapWithin, os.ErrDeadlineExceeded)
	errExited   = errors.New("a function of Config.Wrap called runtime.Goexit")
	errManyLate = fmt.Errorf("%d calls of the functions of Config.Wrap hang", lateMax)
)

// Wrap gives the stream to the wrappers of [Config.Wrap] and returns what they make of it,
// which is the stream itself if there are none. It takes 5 s at most, and less if ctx or the
// session ends. If it fails, the stream is reset, with [CodeCanceled] if ctx ended it and
// with [CodeWrap] otherwise.
func (st *Stream) Wrap(ctx context.Context) (net.Conn, error) {
	if st.session.cfg.Wrap == nil {
		return st, nil
	}
	nc, err := st.wrap(ctx)
	if err == nil {
		return nc, nil
	}
	defer closeWrapped(nc) // over a stream that was reset
	switch {
	case ctx.Err() != nil:
		st.Reset(CodeCanceled)
		return nil, context.Cause(ctx)
	case st.session.y.IsClosed():
		st.Reset(CodeLost)
		return nil, &ResetError{Code: CodeLost}
	}
	st.Reset(CodeWrap)
	if st.session.cfg.Unwrapped != nil {
		st.session.cfg.Unwrapped(st, err)
	}
	return nil, err
}

// wrap is Wrap for a stream that has wrappers. They run on a goroutine of their own, for
// which nobody waits once they are late: what they return then is closed.
func (st *Stream) wrap(ctx context.Context) (net.Conn, error) {
	s := st.session
	late := &s.cfg.Services.late
	if late.Load() >= lateMax {
		return nil, errManyLate
	}
	type outcome struct {
		nc  net.Conn
		err error
	}
	done := make(chan outcome)
	given := make(chan struct{}) // closed when nobody waits any more
	defer close(given)
	var wrappers sync.WaitGroup
	wrappers.Go(func() {
		o := outcome{err: errExited}
		defer func() { // also where a wrapper ends its goroutine
			select {
			case done <- o:
			case <-given:
				late.Add(-1)
				closeWrapped(o.nc)
			}
		}()
		o.nc, o.err = s.cfg.Wrap(st)
	})
	timer := time.NewTimer(wrapWithin)
	defer timer.Stop()
	select {
	case o := <-done:
		return o.nc, o.err
	case <-timer.C:
	case <-ctx.Done():
	case <-s.y.CloseChan():
	}
	late.Add(1)
	return nil, errLate
}

// closeWrapped closes what wrappers made of a stream that nobody gets.
func closeWrapped(nc net.Conn) {
	if nc != nil {
		_ = nc.Close() // the stream below was reset
	}
}
