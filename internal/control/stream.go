package control

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	chunkMax  = 64 << 10 // bytes in one chunk of a stream
	reasonMax = 1 << 10  // bytes of the text why a stream broke off
	header    = 4        // bytes before each chunk

	// broken marks the length of that text.
	broken = 1 << 31
)

// ErrBroken reports a stream whose other end broke it off, or went without ending it: what was
// read is not all.
var ErrBroken = errors.New("the stream broke off")

// Stream is a connection to the control socket that has become a flow of bytes in both
// directions, each with an end of its own. [Request.Take] and [Node.Open] make one. One goroutine
// at a time may read; the other methods may be called at any time.
//
// A Unix socket cannot say that a stream was cut short: its end looks the same when a process is
// killed. So each direction is a sequence of chunks, a length of 4 bytes, big-endian, and so many
// bytes, at most 64 KiB. The length 0 is the end of the direction. A length with the highest bit set
// is that of a text, at most 1 KiB, that says why the stream broke off; nothing follows. One that
// ends with neither broke off as well.
type Stream struct {
	conn net.Conn
	in   *bufio.Reader
	left int   // bytes of the chunk that is being read
	over error // what Read returns from now on

	mu     sync.Mutex // held while a chunk is written
	ended  bool       // nothing more can be written
	failed error      // why not, unless this end ended it
}

// Read returns bytes as they come, io.EOF after the last one, and an error that wraps [ErrBroken]
// and may say why if the stream broke off.
func (s *Stream) Read(b []byte) (int, error) {
	for s.left == 0 && s.over == nil {
		s.left, s.over = s.next()
	}
	if s.over != nil {
		return 0, s.over
	}
	n, err := s.in.Read(b[:min(len(b), s.left)])
	s.left -= n
	if err != nil {
		s.over = cutOff(err)
	}
	if n > 0 {
		return n, nil // the next Read has the error
	}
	return 0, s.over
}

// next reads the length of the next chunk.
func (s *Stream) next() (int, error) {
	var h [header]byte
	if _, err := io.ReadFull(s.in, h[:]); err != nil {
		return 0, cutOff(err)
	}
	switch n := binary.BigEndian.Uint32(h[:]); {
	case n == 0:
		return 0, io.EOF
	case n <= chunkMax:
		return int(n), nil
	case n&broken == 0 || n&^broken > reasonMax:
		return 0, fmt.Errorf("%w: a chunk of length %#x", ErrBroken, n)
	default:
		text := make([]byte, n&^broken)
		if _, err := io.ReadFull(s.in, text); err != nil {
			return 0, cutOff(err)
		}
		return 0, fmt.Errorf("%w: %s", ErrBroken, text)
	}
}

// cutOff returns the error for a connection that ended before its stream.
func cutOff(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err // this end did it
	}
	return ErrBroken
}

// Watch waits, after the last byte was read, until the other end has gone. It returns an error that
// wraps [ErrBroken] if this end has not ended its direction before: nobody reads that.
func (s *Stream) Watch() error {
	_, err := s.next()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	return err
}

// Write waits until the socket has all of b.
func (s *Stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for len(b) > 0 && !s.ended {
		chunk := b[:min(len(b), chunkMax)]
		var h [header]byte
		binary.BigEndian.PutUint32(h[:], uint32(len(chunk)))
		n, err := (&net.Buffers{h[:], chunk}).WriteTo(s.conn)
		written += max(int(n)-header, 0)
		b = b[len(chunk):]
		if err != nil {
			s.ended, s.failed = true, cutOff(err)
		}
	}
	if len(b) > 0 && s.failed == nil {
		return written, net.ErrClosed
	}
	return written, s.failed
}

// CloseWrite ends the direction of this end. Reading goes on.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(0, "")
}

// end writes the last chunk of this direction. The caller holds mu.
func (s *Stream) end(length uint32, text string) error {
	if !s.ended {
		s.ended = true
		_, s.failed = s.conn.Write(append(binary.BigEndian.AppendUint32(nil, length), text...))
	}
	return s.failed
}

// Close ends both directions. It waits no longer than 100 ms for the other end.
func (s *Stream) Close() error { return s.shut(0, "") }

// Abort breaks the stream off: the other end is told why. It waits no longer than 100 ms for it.
// After Close or Abort it does nothing.
func (s *Stream) Abort(err error) {
	text := err.Error()
	text = text[:min(len(text), reasonMax)]
	_ = s.shut(broken|uint32(len(text)), text) // an error says that nobody is there
}

func (s *Stream) shut(length uint32, text string) error {
	// Ends a Write that waits, after which nothing can be said any more.
	_ = s.conn.SetWriteDeadline(time.Now().Add(farewellWait))
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.end(length, text)
	return errors.Join(err, s.conn.Close())
}

// Take ends the answer with facts as its last piece, and makes a stream of the connection; send must
// not be called any more. The context of the request then ends with the server only: who reads the
// stream sees the client go. The caller closes the stream. Without room for another one, of at
// most 1,024, Take returns an [*Error] with [CodeBusy].
func (r Request) Take(facts any) (*Stream, error) { return r.take(facts) }

// take is Take for a connection whose client is ctx.
func (c *conn) take(ctx context.Context, facts any) (*Stream, error) {
	b, err := encode(facts)
	if err != nil {
		return nil, err
	}
	if !c.place.move() {
		return nil, &Error{Code: CodeBusy, Text: fmt.Sprintf(
			"the node already has %d streams at its control socket", streamsMax)}
	}
	// The reader that looks for the client's end is woken, and must not take it for that.
	c.taken.Store(true)
	_ = c.SetReadDeadline(time.Now())
	c.watch.Wait()
	_ = c.SetReadDeadline(time.Time{})
	if err := c.write(ctx, answer{Data: b, Stream: true}); err != nil {
		return nil, err
	}
	_ = c.SetWriteDeadline(time.Time{})
	if ctx.Err() != nil { // its deadlines may have been overwritten
		return nil, context.Cause(ctx)
	}
	return &Stream{conn: c.Conn, in: c.in}, nil
}

// Open asks the node for a stream, and puts the facts that come with it into facts unless that is
// nil. ctx is for asking only. Open returns what [Node.Call] does.
func (n Node) Open(ctx context.Context, verb string, args, facts any) (*Stream, error) {
	r, err := newRequest(verb, args)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, n.Path)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	s, err := open(c, r, facts)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return s, nil
}

// open sends the request and reads the answer up to the stream.
func open(c net.Conn, r Request, facts any) (*Stream, error) {
	_ = json.NewEncoder(c).Encode(r) // as in ask
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil, lost(err)
		}
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, lost(err)
		}
		switch {
		case a.Error != nil:
			return nil, a.Error
		case a.Done:
			return nil, fmt.Errorf("control: the answer to %s has no stream", r.Verb)
		case a.Stream && facts == nil:
			return &Stream{conn: c, in: in}, nil
		case a.Stream:
			return &Stream{conn: c, in: in}, json.Unmarshal(a.Data, facts)
		}
	}
}
