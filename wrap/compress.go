package wrap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/espial-go/espial"
)

// Sizes of compression, in bytes.
const (
	// chunkMax is how much is compressed at once, and waits for nothing that follows.
	chunkMax = 32 << 10

	// chunkLimit bounds what a chunk of the other end may say of itself, once compressed and
	// once not: later versions may have larger ones.
	chunkLimit = 64 << 10

	// readMin is how much room a read of the connection has at least.
	readMin = 16 << 10

	// window is how far back repetitions are found. It bounds the memory that the other end
	// can make this one use.
	window = 128 << 10
)

// magic begins each direction of a stream, so that an end that does not compress is found
// out: a name, and the version of the form.
const magic = "ezst\x01"

var (
	errPlain  = errors.New("wrap: the other end does not compress; Config.Wrap must be alike at both")
	errBroken = errors.New("wrap: the other end sent what is not compressed as by Compress")
)

// Compress compresses what is written, by zstd, and needs the same at the other end, in the
// same place among the wrappers. Each Write leaves at once, so that requests and answers work
// as without; repetitions are found across writes, 128 KiB back. It is for streams over slow
// networks: a stream that is used needs about a megabyte, and what is compressed already
// takes CPU time for nothing.
//
// A Write that fails counts what of it is compressed as written; the next one sends the rest.
// What the other end sends is bounded before it is decompressed. A Read of what it did not
// compress, or broke, fails for good.
func Compress() Func {
	return func(nc net.Conn, _ espial.StreamInfo) (net.Conn, error) {
		return &compressed{conn: conn{nc}, writeBy: newWait()}, nil
	}
}

// compressed is a connection whose bytes are compressed.
type compressed struct {
	conn
	writeBy wait // for its deadline: what is compressed has to leave some day

	writing sync.Mutex // guards what follows
	enc     *zstd.Encoder
	out     buffer // what the encoder wrote
	head    []byte // the chunk on its way
	unsent  []byte // of head

	reading sync.Mutex // guards what follows
	dec     *zstd.Decoder
	src     buffer // what the decoder reads
	met     bool   // the magic was there
	buf     []byte // room for what arrives
	in      []byte // of buf: what arrived and is not decompressed
	plain   []byte // room for a chunk
	left    []byte // of plain, not read yet
	broken  error  // why nothing more can be read
}

// buffer is bytes that are written at one end and read at the other.
type buffer []byte

// Write implements [io.Writer].
func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// Read implements [io.Reader]. The end of what is there is no end that a decoder may meet.
func (b *buffer) Read(p []byte) (int, error) {
	if len(*b) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, *b)
	*b = (*b)[n:]
	return n, nil
}

// Write implements [net.Conn].
func (c *compressed) Write(b []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.send(); err != nil { // of a Write that failed
		return 0, err
	}
	if len(b) == 0 {
		return c.Conn.Write(b)
	}
	for n < len(b) {
		if _, _, err := c.writeBy.state(); err != nil {
			return n, c.opError("write", err)
		}
		chunk := b[n:min(n+chunkMax, len(b))]
		if err := c.deflate(chunk); err != nil {
			return n, c.opError("write", err)
		}
		n += len(chunk)
		if err := c.send(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// deflate makes the next chunk.
func (c *compressed) deflate(chunk []byte) (err error) {
	c.head, c.out = c.head[:0], c.out[:0]
	if c.enc == nil {
		c.head = append(c.head, magic...)
		c.enc, err = zstd.NewWriter(&c.out,
			zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
		if err != nil {
			return err
		}
	}
	if _, err := c.enc.Write(chunk); err != nil {
		return err
	}
	if err := c.enc.Flush(); err != nil {
		return err
	}
	c.head = binary.AppendUvarint(c.head, uint64(len(chunk)))
	c.head = binary.AppendUvarint(c.head, uint64(len(c.out)))
	c.head = append(c.head, c.out...)
	c.unsent = c.head
	return nil
}

// send writes what is left of the chunk on its way.
func (c *compressed) send() error {
	if len(c.unsent) == 0 {
		return nil
	}
	n, err := c.Conn.Write(c.unsent)
	c.unsent = c.unsent[n:]
	return err
}

// SetDeadline implements [net.Conn].
func (c *compressed) SetDeadline(t time.Time) error {
	_ = c.writeBy.until(t) // says what the connection says
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline implements [net.Conn].
func (c *compressed) SetWriteDeadline(t time.Time) error {
	_ = c.writeBy.until(t) // says what the connection says
	return c.Conn.SetWriteDeadline(t)
}

// Close implements [net.Conn].
func (c *compressed) Close() error {
	c.writeBy.end()
	return c.Conn.Close()
}

// Read implements [net.Conn].
func (c *compressed) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for len(c.left) == 0 {
		if c.broken != nil {
			return 0, c.opError("read", c.broken)
		}
		if len(b) == 0 {
			return c.Conn.Read(b)
		}
		whole, err := c.inflate()
		if err != nil {
			c.broken = err
			continue
		}
		if whole {
			continue
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.left)
	c.left = c.left[n:]
	return n, nil
}

// fill reads more of the next chunk. An error of the connection is no end of the stream: it
// may be a deadline.
func (c *compressed) fill() error {
	if cap(c.in)-len(c.in) < readMin {
		if room := 2*len(c.in) + readMin; cap(c.buf) < room {
			c.buf = make([]byte, 0, room)
		}
		c.in = append(c.buf[:0], c.in...)
	}
	n, err := c.Conn.Read(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	if n > 0 {
		return nil // what happened besides, the next Read will see
	}
	if err == io.EOF && len(c.in) > 0 { //nolint:errorlint // an end is never wrapped
		c.broken = io.ErrUnexpectedEOF
		return nil
	}
	return err
}

// inflate takes the next chunk out of what arrived. It returns false if there is more to
// come.
func (c *compressed) inflate() (whole bool, err error) {
	in := c.in
	if !c.met {
		if n := min(len(in), len(magic)); string(in[:n]) != magic[:n] {
			return false, errPlain
		}
		if len(in) < len(magic) {
			return false, nil
		}
		in = in[len(magic):]
	}
	size, n := binary.Uvarint(in)
	packed, m := binary.Uvarint(in[max(n, 0):])
	switch {
	case n < 0, n > 0 && (size == 0 || size > chunkLimit),
		m < 0, m > 0 && (packed == 0 || packed > chunkLimit):
		return false, errBroken
	case n == 0, m == 0, uint64(len(in)-n-m) < packed:
		return false, nil
	}
	c.src = buffer(in[n+m : n+m+int(packed)])
	if err := c.decode(int(size)); err != nil {
		return false, err
	}
	c.met, c.in = true, in[n+m+int(packed):]
	return true, nil
}

// decode decompresses a chunk that is to have so many bytes.
func (c *compressed) decode(size int) (err error) {
	if c.dec == nil {
		c.dec, err = zstd.NewReader(&c.src, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window), zstd.IgnoreChecksum(true))
		if err != nil {
			return err
		}
	}
	if cap(c.plain) < size {
		c.plain = make([]byte, size)
	}
	c.left = c.plain[:size]
	_, err = io.ReadFull(c.dec, c.left)
	if err == nil && len(c.src) > 0 {
		err = fmt.Errorf("%d bytes too many", len(c.src))
	}
	if err != nil {
		c.left = nil
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return nil
}
