package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/espial-go/espial/internal/frame"
)

// Limits of a running link.
const (
	// controlMax bounds the control frames that wait for the writer, in bytes. A peer
	// that does not take them is as good as dead.
	controlMax = 1 << 20

	// fillMax is how much data the writer asks for at once, in bytes: little enough
	// that a control frame never waits long.
	fillMax = 64 << 10

	// readSize is the first size of a reader's buffer, in bytes: two TLS records.
	readSize = 32 << 10

	// directMin is the size from which a frame goes to TLS on its own; smaller ones
	// are gathered first, because each write makes a record.
	directMin = 4 << 10
)

// ErrOverflow reports a link whose peer does not take control frames.
var ErrOverflow = errors.New("link: control queue full")

// ByeError reports that the peer closed the link and why.
type ByeError struct{ Bye frame.Bye }

func (e *ByeError) Error() string {
	return fmt.Sprintf("link: closed by peer: %s (%q)", e.Bye.Code, e.Bye.Reason)
}

// Handler is what a link moves bytes for.
type Handler interface {
	// Receive takes all frames of one read, in order; their payloads are valid until
	// it returns. It is called by the reader and must not wait. An error closes the
	// link, with code protocol.
	Receive(frames []frame.Raw) error

	// Fill appends frames to send to dst, about bytesMax bytes of them; none ends the
	// batch, until Wake. The writer calls it; the frames must stay as they are until
	// its next call.
	Fill(dst [][]byte, bytesMax int) [][]byte
}

// Run moves frames until the link ends, and closes it. It returns nil if this end
// closed it, a [ByeError] if the peer did, the cause of ctx if that ended, and otherwise
// what broke the link: [ErrOverflow], the error of [Handler.Receive], a breach of the
// protocol, or the connection's error. It is called once.
func (c *Conn) Run(ctx context.Context, h Handler) error {
	err := c.raw.SetDeadline(time.Time{})
	if err = c.begin(err); err == nil {
		err = c.move(ctx, h)
	}
	c.decide(frame.Bye{}, err) // for Send, where nobody decided before
	if err = errors.Join(c.broken(nil), ignoreClosed(c.raw.Close())); errors.Is(err, errClosed) {
		return nil
	}
	return err
}

// begin marks the link as running unless it was closed before, or cannot begin because
// of err.
func (c *Conn) begin(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil && err == nil {
		c.stage = running
		return nil
	}
	return cmp.Or(c.cause, err)
}

// move runs reader and writer until both ended.
func (c *Conn) move(ctx context.Context, h Handler) error {
	c.raw.hold()
	g, gctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(gctx, func() {
		if err := context.Cause(ctx); err != nil {
			c.abort(err)
			return
		}
		_ = c.raw.Close() // wakes reader or writer; the other one's error counts
	})
	defer stop()
	g.Go(func() error { return c.receive(h) })
	var broken error
	g.Go(func() error {
		broken = c.write(gctx, h)
		return c.grace(broken)
	})
	err := g.Wait()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return cmp.Or(broken, err) // the reader found nothing better
	}
	return err
}

// grace returns nil if the reader may still find the reason why the writer failed: the
// BYE of a peer who closed meanwhile.
func (c *Conn) grace(err error) error {
	if err == nil || c.broken(nil) != nil || c.raw.SetReadDeadline(time.Now().Add(closeTimeout)) != nil {
		return err
	}
	return nil
}

// Send queues an encoded control frame. It does not wait. If more than 1 MiB is queued,
// it ends the link and returns [ErrOverflow]; after the end of a link it returns an
// error that says why it ended.
func (c *Conn) Send(f []byte) error {
	if err := c.queue(f); err != nil {
		if errors.Is(err, ErrOverflow) {
			c.abort(err)
		}
		return err
	}
	c.Wake()
	return nil
}

// queue appends f to the control queue.
func (c *Conn) queue(f []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cause != nil:
		return c.cause
	case len(c.control)+len(f) > controlMax:
		return ErrOverflow
	}
	c.control = append(c.control, f...)
	return nil
}

// Wake makes the writer look for frames. It does not wait, and costs next to nothing
// while the writer has not looked yet.
func (c *Conn) Wake() {
	if c.signaled.Load() || c.signaled.Swap(true) {
		return
	}
	c.wake <- struct{}{}
}

// write sends batches until the link ends.
func (c *Conn) write(ctx context.Context, h Handler) error {
	w := writer{c: c, h: h}
	for {
		select {
		case <-c.wake:
		case <-c.closing:
			return w.last()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		// One yield lets goroutines that are about to publish join the batch. Measured:
		// twice the calls per second at 64 callers, for 4 µs on a lonely one.
		runtime.Gosched()
		c.signaled.Store(false)
		if err := w.batch(); err != nil {
			return c.broken(err)
		}
	}
}

// writer is the state of the writer goroutine.
type writer struct {
	c      *Conn
	h      Handler
	frames [][]byte
	out    []byte // small frames, gathered
	spare  []byte // the other half of the control queue
}

// batch writes until there is nothing to send, and flushes. A link that is never idle
// comes to its end between two fills.
func (w *writer) batch() error {
	for !w.c.ending() {
		n, err := w.controls()
		if err != nil {
			return err
		}
		w.frames = w.h.Fill(w.frames[:0], fillMax)
		if n == 0 && len(w.frames) == 0 {
			return w.c.raw.flush()
		}
		for _, f := range w.frames {
			if err := w.add(f); err != nil {
				return err
			}
		}
		if err := w.push(); err != nil {
			return err
		}
	}
	return nil
}

// controls writes the queued control frames and returns how many bytes they had.
func (w *writer) controls() (int, error) {
	w.c.mu.Lock()
	w.spare, w.c.control = w.c.control, w.spare[:0]
	w.c.mu.Unlock()
	if len(w.spare) == 0 {
		return 0, nil
	}
	return len(w.spare), w.send(w.spare)
}

// add writes a large frame, or gathers a small one.
func (w *writer) add(f []byte) error {
	if len(f) < directMin && len(w.out)+len(f) <= fillMax {
		w.out = append(w.out, f...)
		return nil
	}
	if err := w.push(); err != nil {
		return err
	}
	return w.send(f)
}

// push writes what was gathered.
func (w *writer) push() error {
	if len(w.out) == 0 {
		return nil
	}
	err := w.send(w.out)
	w.out = w.out[:0]
	return err
}

func (w *writer) send(b []byte) error {
	w.c.sent.Add(uint64(len(b)))
	_, err := w.c.tls.Write(b)
	return err
}

// last writes what is queued for control, and the BYE. It does not end the link yet: a
// socket that is closed with bytes unread resets the connection, and the BYE might be
// lost with it. The reader takes what still comes until the peer, who has read the BYE,
// closes.
func (w *writer) last() error {
	w.c.mu.Lock()
	bye := w.c.bye
	w.c.mu.Unlock()
	_, err := w.controls()
	if err == nil {
		err = w.send(bye)
	}
	if err == nil {
		err = w.c.raw.flush()
	}
	if err == nil {
		err = w.c.raw.SetReadDeadline(time.Now().Add(closeTimeout))
	}
	half, ok := w.c.raw.Conn.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		return w.c.broken(err) // an error here changes nothing about the cause
	}
	return nil
}

// reader is the state of the reader goroutine.
type reader struct {
	c      *Conn
	h      Handler
	buf    []byte      // read and not yet handed over
	frames []frame.Raw // of one read
}

// receive hands over frames until the link ends.
func (c *Conn) receive(h Handler) error {
	r := reader{c: c, h: h, buf: append(make([]byte, 0, readSize), c.in...)}
	c.in = nil
	err := r.hand() // what came with the last frame of admission
	for err == nil {
		err = r.fill()
		if c.ending() {
			r.drain()
			break
		}
		// What came with an error came before it.
		if herr := r.hand(); herr != nil {
			err = herr
		}
	}
	return c.broken(err)
}

// fill reads once.
func (r *reader) fill() error {
	if len(r.buf) == cap(r.buf) { // a frame larger than what is there
		r.buf = slices.Grow(r.buf, frame.Max-len(r.buf))
	}
	n, err := r.c.read(r.buf[len(r.buf):cap(r.buf)])
	r.buf = r.buf[:len(r.buf)+n]
	if n > 0 {
		r.c.heard.Store(int64(time.Since(r.c.start)))
		r.c.received.Add(uint64(n))
	}
	switch {
	case errors.Is(err, ErrBlank):
		return r.breach(err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("link: read: %w", io.ErrUnexpectedEOF) // a peer that means it says BYE first
	case err != nil:
		return fmt.Errorf("link: read: %w", err)
	}
	return nil
}

// drain takes what still comes and throws it away, until the connection is closed.
func (r *reader) drain() {
	_, _ = io.Copy(io.Discard, r.c.raw) // its end is all that counts
}

// hand gives the complete frames in the buffer to the handler, up to a BYE, which ends
// the link. A breach of the protocol ends it too, and the peer is told.
func (r *reader) hand() error {
	frames, used, err := cut(r.frames[:0], r.buf)
	r.frames = frames
	bye := slices.IndexFunc(frames, func(f frame.Raw) bool { return f.Type == frame.TypeBye })
	if bye >= 0 {
		frames = frames[:bye]
	}
	if len(frames) > 0 {
		if herr := r.h.Receive(frames); herr != nil {
			return r.breach(herr)
		}
	}
	if bye >= 0 {
		return r.bye(r.frames[bye])
	}
	if err != nil {
		return r.breach(err)
	}
	r.buf = r.buf[:copy(r.buf, r.buf[used:])]
	return nil
}

// bye returns what the peer's BYE says.
func (r *reader) bye(raw frame.Raw) error {
	f, err := frame.Decode(raw)
	if err != nil {
		return r.breach(err)
	}
	bye, ok := f.(frame.Bye)
	if !ok {
		//nolint:forbidigo // broken invariant: Decode follows the type
		panic(fmt.Sprintf("link: %v decodes to %T", raw.Type, f))
	}
	return &ByeError{Bye: bye}
}

// breach tells the peer that it broke the protocol, and returns when the connection is
// closed or the writer gave up.
func (r *reader) breach(err error) error {
	r.c.shut(frame.Bye{Code: frame.CodeProtocol, Reason: err.Error()}, err)
	r.drain()
	return err
}

// cut appends all complete frames in b to dst and returns how many bytes they take.
func cut(dst []frame.Raw, b []byte) ([]frame.Raw, int, error) {
	used := 0
	for {
		f, n, err := frame.Next(b[used:])
		switch {
		case errors.Is(err, frame.ErrShort):
			return dst, used, nil
		case err != nil:
			return dst, used, err
		}
		used += n
		dst = append(dst, f)
	}
}
