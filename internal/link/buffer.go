package link

import (
	"bufio"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
)

// bufferSize is the size of the buffers between TLS and the socket, in bytes. Measured:
// 64 KiB carries a third more than 16 KiB, the size of a TLS record.
const bufferSize = 64 << 10

// collectMax is how much is collected before it is written, in bytes: 64 KiB of frames in four
// records, with what TLS adds to each, and one more of what a stream adds.
const collectMax = bufferSize + 4<<10

// buffer is the socket as TLS sees it. crypto/tls writes each record on its own; from
// hold on they are collected until flush, so that a batch costs one system call.
type buffer struct {
	net.Conn
	r     *bufio.Reader
	left  int    // bytes of the record that TLS is reading, which it has not yet
	taken uint64 // records that TLS began to read

	records atomic.Uint64 // written; TLS calls Write once for each

	// mu guards what follows. It is held while the socket takes the bytes: the reader
	// writes too, when TLS sends an alert or answers a key update, and TLS itself
	// makes it wait for a write in progress.
	mu   sync.Mutex
	w    []byte
	held bool
}

func newBuffer(nc net.Conn) *buffer {
	return &buffer{Conn: nc, r: bufio.NewReaderSize(nc, bufferSize)}
}

// recordHeader is the length of what a record of TLS begins with: its type, a version, and
// how long the rest is. recordMajor is the first byte of every version.
const (
	recordHeader = 5
	recordMajor  = 3
)

// Read reads through the buffer, a record at a time: so TLS has opened every record that it
// has taken, and those without data can be counted.
func (b *buffer) Read(p []byte) (int, error) {
	if b.left == 0 {
		header, err := b.r.Peek(recordHeader)
		if err != nil {
			return 0, err
		}
		b.left = recordHeader + int(binary.BigEndian.Uint16(header[3:]))
		b.taken++
		// TLS allocates whenever it reads, so it gets the record in one go. One that does
		// not fit is above its limit, and for TLS to refuse; so is what is no record at all,
		// of which nothing more may come.
		if header[1] == recordMajor {
			_, _ = b.r.Peek(min(b.left, bufferSize))
		}
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// Write writes at once, or collects p if the buffer holds.
func (b *buffer) Write(p []byte) (int, error) {
	b.records.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.held {
		return b.Conn.Write(p)
	}
	b.w = append(b.w, p...)
	if len(b.w) < collectMax {
		return len(p), nil
	}
	return len(p), b.flushLocked()
}

// hold makes Write collect from now on.
func (b *buffer) hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = true
}

// flush writes what was collected.
func (b *buffer) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flushLocked()
}

func (b *buffer) flushLocked() error {
	if len(b.w) == 0 {
		return nil
	}
	_, err := b.Conn.Write(b.w)
	b.w = b.w[:0]
	return err
}
