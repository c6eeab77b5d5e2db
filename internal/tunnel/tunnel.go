// Package tunnel makes one connection of two: what either of them brings goes to the other.
//
//	sent, received, err := tunnel.Join(ctx, client, server)
//
// The end of one direction is passed on, and the other direction goes on, as protocols need that say
// "that was all" by closing half of a connection. What breaks off at one end breaks off at the
// other: nobody takes a part for the whole.
package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A buffer begins small, since most connections are idle most of the time, and grows with what
// comes.
const (
	bufferMin = 2 << 10
	bufferMax = 64 << 10
)

// graceMax is how long what cannot be written waits for the reason to be read.
const graceMax = 100 * time.Millisecond

// Join passes bytes between a and b until both directions have ended, or one of them broke, or ctx
// ends, and then closes both. It returns how many bytes b took of a's, and a of b's, and why it
// broke.
//
// The end of a direction is passed on by CloseWrite; an end that has none is closed altogether. A
// broken one is passed on by Abort(error), or by SetLinger(0) before Close, which makes a reset of
// it; an end that has neither is closed. Read, Write and Close of either end may be called at the
// same time, and Close must end the other two.
//
// An end that has brought its last byte is watched by Watch() error, if it has that, which Close
// must end as well: nobody reads from it any more, and what is to be written to it may come late.
func Join(ctx context.Context, a, b io.ReadWriteCloser) (sent, received int64, err error) {
	var once sync.Once
	breakOff := func(err error) {
		once.Do(func() {
			Break(a, err)
			Break(b, err)
		})
	}
	stop := context.AfterFunc(ctx, func() { breakOff(context.Cause(ctx)) })
	defer stop()
	there, back := flow{done: make(chan struct{})}, flow{done: make(chan struct{})}
	var wg, watch sync.WaitGroup
	run := func(f, other *flow, dst, src io.ReadWriteCloser) {
		f.pass(dst, src)
		if w, ok := src.(interface{ Watch() error }); ok && f.read == nil && f.write == nil {
			watch.Go(func() {
				if f.broke = first(w.Watch()); f.broke != nil {
					breakOff(f.broke)
				}
			})
		}
		close(f.done)
		if f.write != nil { // whoever reads from there is about to learn why
			grace, cancel := context.WithTimeout(ctx, graceMax)
			defer cancel()
			select {
			case <-other.done:
			case <-grace.Done():
			}
		}
		if err := first(f.read, other.reason(), f.write); err != nil {
			breakOff(err)
		}
	}
	wg.Go(func() { run(&there, &back, b, a) })
	wg.Go(func() { run(&back, &there, a, b) })
	wg.Wait()
	_, _ = a.Close(), b.Close() // what counts has been written, or is known to be lost
	watch.Wait()
	if ctx.Err() != nil {
		return there.bytes, back.bytes, context.Cause(ctx)
	}
	err = first(there.read, back.read, there.broke, back.broke, there.write, back.write)
	return there.bytes, back.bytes, err
}

// first returns the first error that is not a consequence of another one. Those of reading come
// first: a reader is told why the other end broke, a writer only that it did.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
			return err
		}
	}
	return nil
}

// flow is one direction.
type flow struct {
	bytes       int64
	read, write error
	broke       error         // what became of src after its last byte
	done        chan struct{} // closed when the direction is over
}

// reason returns why reading ended, if it did.
func (f *flow) reason() error {
	select {
	case <-f.done:
		return f.read
	default:
		return nil
	}
}

// pass copies from src to dst up to the end, or what breaks it.
func (f *flow) pass(dst io.WriteCloser, src io.Reader) {
	b := make([]byte, bufferMin)
	for {
		n, err := src.Read(b)
		if n > 0 {
			var written int
			written, f.write = dst.Write(b[:n])
			f.bytes, f.write = f.bytes+int64(written), bare(f.write)
		}
		switch {
		case f.write != nil:
			return
		case errors.Is(err, io.EOF):
			closeWrite(dst)
			return
		case err != nil:
			f.read = bare(err)
			return
		}
		if n == len(b) && n < bufferMax {
			b = make([]byte, 2*n)
		}
	}
}

// bare returns an error without the dress of the net package: whoever reads it knows which
// connection is meant.
func bare(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err
	}
	return err
}

// closeWrite says that nothing more comes. Where it fails, who reads from there hears it as well.
func closeWrite(w io.WriteCloser) {
	if half, ok := w.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	_ = w.Close()
}

// Break breaks one connection off, as Join does. Nobody is left to hear of an error.
func Break(end io.Closer, err error) {
	switch end := end.(type) {
	case interface{ Abort(err error) }:
		end.Abort(err)
		return
	case interface{ SetLinger(seconds int) error }:
		_ = end.SetLinger(0)
	}
	_ = end.Close()
}
