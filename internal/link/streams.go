package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/espial-go/espial/internal/admission"
	"github.com/espial-go/espial/internal/frame"
)

// AskStreams tells the other end between which incarnations the streams are to be, and
// waits for its answer. A [RefusedError] is its refusal. After an error the connection is
// closed; otherwise [Conn.Carry] is next.
func (c *Conn) AskStreams(ctx context.Context, s frame.Streams) error {
	return c.settle(ctx, func() error {
		if _, err := c.tls.Write(s.Append(nil)); err != nil {
			return err
		}
		f, err := c.short()
		if err != nil {
			return err
		}
		switch f := f.(type) {
		case frame.Accept:
			return nil
		case frame.Reject:
			return refusal(admission.Peer, f)
		default:
			return fmt.Errorf("%w: %v in answer to STREAMS", admission.ErrBreach, f.Type())
		}
	})
}

// AnswerStreams reads what the dialer asks for and answers as judge says, which returns nil
// to accept. A [RefusedError] is this end's refusal. After an error the connection is
// closed; otherwise [Conn.Carry] is next.
func (c *Conn) AnswerStreams(ctx context.Context, judge func(frame.Streams) *frame.Reject) error {
	return c.settle(ctx, func() error {
		f, err := c.short()
		if err != nil {
			return err
		}
		asked, ok := f.(frame.Streams)
		if !ok {
			return fmt.Errorf("%w: %v in place of STREAMS", admission.ErrBreach, f.Type())
		}
		if no := judge(asked); no != nil {
			if _, err := c.tls.Write(no.Append(nil)); err != nil {
				return err
			}
			c.linger()
			return refusal(admission.Self, *no)
		}
		_, err = c.tls.Write(frame.Accept{}.Append(nil))
		return err
	})
}

// refusal is the error for a REJECT.
func refusal(by admission.Side, no frame.Reject) error {
	return &RefusedError{Refusal: admission.Refuse{By: by, Code: no.Code, Reason: no.Reason}}
}

// settle runs f, which the end of ctx interrupts, and closes the connection if it fails.
func (c *Conn) settle(ctx context.Context, f func() error) error {
	stop := context.AfterFunc(ctx, func() {
		_ = c.raw.Close() // wakes f
	})
	err := f()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("link: streams: %w", err), ignoreClosed(c.raw.Close()))
}

// short reads one frame of a connection for streams.
func (c *Conn) short() (frame.Frame, error) {
	for {
		raw, n, err := frame.Next(c.in)
		switch {
		case err == nil && n <= frame.HeaderSize+frame.StreamFrameMax:
			c.in = c.in[n:]
			f, err := frame.Decode(raw)
			if err == nil && f == nil {
				err = frame.ErrUnknown
			}
			return f, err
		case err == nil, len(c.in) >= frame.HeaderSize+frame.StreamFrameMax:
			return nil, frame.ErrTooLarge
		case !errors.Is(err, frame.ErrShort):
			return nil, err
		}
		c.in = slices.Grow(c.in, 1<<10)
		n, err = c.read(c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+n]
		if err != nil && n == 0 {
			return nil, err
		}
	}
}

// What a carrier gathers. A write makes a record of TLS and a system call, and streams that
// begin and end have short frames: gathered, they cost half of the CPU.
const (
	gatherMax = 16 << 10 // bytes of one record of TLS
	smallMax  = 4 << 10  // bytes of a write that is gathered
)

// Carrier is a connection for streams as package mux sees it: bytes both ways.
type Carrier struct {
	net.Conn // the socket, for its addresses and deadlines

	c *Conn

	small   chan struct{} // holds a token when gathered has something
	closed  chan struct{} // closed by Close
	once    sync.Once
	flusher sync.WaitGroup

	writing  chan struct{} // holds a token while TLS writes; guards what follows
	gathered []byte
	err      error // why nothing can be written any more
}

// Carry returns the connection as bytes. Nothing else may be done with c then but to ask it
// what it knows.
func (c *Conn) Carry() (*Carrier, error) {
	c.raw.hold()
	k := &Carrier{
		Conn: c.raw, c: c, small: make(chan struct{}, 1), closed: make(chan struct{}),
		writing: make(chan struct{}, 1),
	}
	k.flusher.Go(k.flush)
	return k, c.raw.SetDeadline(time.Time{})
}

// Read reads bytes of one record. One goroutine may read.
func (k *Carrier) Read(b []byte) (int, error) {
	if len(k.c.in) > 0 { // it came with the answer
		n := copy(b, k.c.in)
		k.c.in = k.c.in[n:]
		return n, nil
	}
	n, err := k.c.read(b)
	k.c.received.Add(uint64(n))
	return n, err
}

// Write writes b, in as few system calls as there is room for. What is short leaves a little
// later, with what follows; an error of it is the one of the next Write.
func (k *Carrier) Write(b []byte) (int, error) {
	k.writing <- struct{}{}
	defer func() { <-k.writing }()
	if k.err != nil {
		return 0, k.err
	}
	if len(b) <= smallMax && len(k.gathered)+len(b) <= gatherMax {
		k.gathered = append(k.gathered, b...)
		select {
		case k.small <- struct{}{}:
		default:
		}
		return len(b), nil
	}
	if err := k.push(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// push writes what was gathered, and b. The caller holds the token of writing.
func (k *Carrier) push(b []byte) error {
	for _, p := range [][]byte{k.gathered, b} {
		if len(p) > 0 && k.err == nil {
			_, k.err = k.c.tls.Write(p)
			k.c.sent.Add(uint64(len(p)))
		}
	}
	k.gathered = k.gathered[:0]
	if k.err == nil {
		k.err = k.c.raw.flush()
	}
	return k.err
}

// flush writes what was gathered when nobody added to it for a moment.
func (k *Carrier) flush() {
	for {
		select {
		case <-k.small:
		case <-k.closed:
			return
		}
		runtime.Gosched() // lets those who are about to write join
		k.writing <- struct{}{}
		if len(k.gathered) > 0 && k.err == nil {
			_ = k.push(nil) // the next Write returns it
		}
		<-k.writing
	}
}

// Close closes the connection. What is gathered may be lost.
func (k *Carrier) Close() error {
	k.once.Do(func() { close(k.closed) })
	err := k.Conn.Close()
	k.flusher.Wait()
	return err
}

// Records returns how many TLS records went the busier way, the handshake's included.
func (k *Carrier) Records() uint64 { return k.c.Records() }
