package gauge

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// bareBuffer is the size of the buffers of a bare link, in bytes. 64 KiB carry a third more
// than 16 KiB do.
const bareBuffer = 64 << 10

// TLS returns the TLS that everything speaks that is measured, at either end: 1.3, with a
// certificate of the moment that nobody checks.
func TLS() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	return &tls.Config{
		Certificates:                []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		InsecureSkipVerify:          true, //nolint:gosec // a benchmark of its own children on loopback
		MinVersion:                  tls.VersionTLS13,
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
	}, err
}

// Bare is the sending end of the limit that carriers are held against: TLS over TCP, messages
// with their length before them, one writer that gathers what is ready, a buffered reader. It
// has no numbers, no acknowledgements, no topics and no subscriptions.
type Bare struct{ links []*bareLink }

// ReceiveBare listens on loopback once for each tally, which counts what one sender sends
// there, and returns the addresses in their order. What it starts belongs to g; a listener
// that nobody came to ends with ctx, and a connection when its sender closes it.
func ReceiveBare(ctx context.Context, g *errgroup.Group, tallies []*Tally) (addrs []string, err error) {
	config, err := TLS()
	if err != nil {
		return nil, err
	}
	for _, t := range tallies {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, ln.Addr().String())
		stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
		g.Go(func() error {
			c, err := ln.Accept()
			stop()
			_ = ln.Close()
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			return readBare(tls.Server(c, config), t)
		})
	}
	return addrs, nil
}

// readBare counts messages until the connection ends.
func readBare(c net.Conn, t *Tally) error {
	r := bufio.NewReaderSize(c, bareBuffer)
	var buf []byte
	for {
		var err error
		if buf, err = readMessage(r, buf); err != nil {
			return unlessEOF(err)
		}
		t.Add(buf)
	}
}

// readMessage reads a message with its length before it into buf, or a longer one. At the end of
// the messages it returns [io.EOF].
func readMessage(r *bufio.Reader, buf []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return buf, err
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	if _, err = io.ReadFull(r, buf[:n]); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return buf[:n], err
}

// appendMessage appends a message with its length before it.
func appendMessage(b, payload []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(payload))), payload...)
}

// unlessEOF returns err, or nil at the end of the messages.
func unlessEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// DialBare connects to each address that [ReceiveBare] returned. What it starts belongs to g,
// and ends with Close or when it cannot send.
func DialBare(ctx context.Context, g *errgroup.Group, addrs []string) (*Bare, error) {
	config, err := TLS()
	if err != nil {
		return nil, err
	}
	b := &Bare{}
	for _, a := range addrs {
		c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", a)
		if err != nil {
			b.Close()
			return nil, err
		}
		l := &bareLink{c: c}
		l.work.L, l.room.L = &l.mu, &l.mu
		b.links = append(b.links, l)
		g.Go(l.write)
	}
	return b, nil
}

// Send is a [Sender].
func (b *Bare) Send(payload []byte) error {
	for _, l := range b.links {
		if err := l.send(payload); err != nil {
			return err
		}
	}
	return nil
}

// Close lets what is queued go out and then ends the connections. It does not wait for that.
func (b *Bare) Close() {
	for _, l := range b.links {
		l.mu.Lock()
		l.done = true
		l.work.Signal()
		l.mu.Unlock()
	}
}

// bareLink is one connection of a [Bare].
type bareLink struct {
	c net.Conn

	mu    sync.Mutex // guards what follows
	work  sync.Cond  // there is something in the queue, or will not be
	room  sync.Cond  // the queue was taken, or will not be
	queue []byte
	done  bool
	err   error
}

// send queues one message. It waits while too much is queued.
func (l *bareLink) send(payload []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 4*bareBuffer && l.err == nil {
		l.room.Wait()
	}
	l.queue = appendMessage(l.queue, payload)
	l.work.Signal()
	return l.err
}

// write sends what is queued until that is all, or fails.
func (l *bareLink) write() error {
	var out []byte
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.done {
			l.work.Wait()
		}
		out, l.queue = l.queue, out[:0]
		l.room.Broadcast()
		l.mu.Unlock()
		if len(out) == 0 {
			return l.c.Close()
		}
		if _, err := l.c.Write(out); err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.err = err
			l.room.Broadcast()
			return errors.Join(err, l.c.Close())
		}
		runtime.Gosched() // lets those who are about to send join the next batch
	}
}
