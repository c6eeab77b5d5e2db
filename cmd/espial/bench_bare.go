package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"runtime"
	"sync"
	"time"
)

// The bare link is the limit that espial is held against: TLS 1.3 over loopback,
// length-prefixed messages, one writer that gathers what is ready, a buffered reader;
// no numbers, no acknowledgements, no topics, no subscriptions.

// bareBuffer is the size of its buffers, in bytes.
const bareBuffer = 64 << 10

// bareCertificate makes a throw-away certificate; the peer does not check it.
func bareCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// bareServe takes one connection and counts its messages until it ends.
func bareServe(ln net.Listener, got func(payload []byte)) error {
	cert, err := bareCertificate()
	if err != nil {
		return err
	}
	nc, err := ln.Accept()
	if err != nil {
		return err
	}
	c := tls.Server(nc, &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
	})
	defer c.Close() //nolint:errcheck // the process ends
	r := bufio.NewReaderSize(c, bareBuffer)
	var buf []byte
	for {
		n, err := binary.ReadUvarint(r)
		if err != nil {
			return eofIsFine(err)
		}
		if uint64(cap(buf)) < n {
			buf = make([]byte, n)
		}
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return err
		}
		got(buf[:n])
	}
}

func eofIsFine(err error) error {
	if err == io.EOF { //nolint:errorlint // ReadUvarint returns it bare
		return nil
	}
	return err
}

// bareLink is the sending end: publishers append under a lock, one writer sends.
type bareLink struct {
	c *tls.Conn

	mu   sync.Mutex // guards what follows
	room *sync.Cond
	buf  []byte
	idle bool
	done bool
	wake chan struct{}
}

func bareDial(ctx context.Context, addr string) (*bareLink, error) {
	d := tls.Dialer{Config: &tls.Config{
		InsecureSkipVerify:          true, //nolint:gosec // a benchmark of its own child on loopback
		MinVersion:                  tls.VersionTLS13,
		DynamicRecordSizingDisabled: true,
	}}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c, ok := nc.(*tls.Conn)
	if !ok {
		return nil, fmt.Errorf("bench: tls.Dialer returned %T", nc)
	}
	l := &bareLink{c: c, wake: make(chan struct{}, 1)}
	l.room = sync.NewCond(&l.mu)
	return l, nil
}

// send queues one message and waits while too much is queued.
func (l *bareLink) send(payload []byte) {
	l.mu.Lock()
	for len(l.buf) > 4*bareBuffer {
		l.room.Wait()
	}
	l.buf = binary.AppendUvarint(l.buf, uint64(len(payload)))
	l.buf = append(l.buf, payload...)
	idle := l.idle
	l.idle = false
	l.mu.Unlock()
	if idle {
		l.wake <- struct{}{}
	}
}

// write sends what is queued until close.
func (l *bareLink) write() error {
	var out []byte
	for {
		l.mu.Lock()
		out, l.buf = l.buf, out[:0]
		l.idle = len(out) == 0
		done := l.done
		l.room.Broadcast()
		l.mu.Unlock()
		switch {
		case len(out) > 0:
			if _, err := l.c.Write(out); err != nil {
				return err
			}
		case done:
			return l.c.Close()
		default:
			<-l.wake
			runtime.Gosched()
		}
	}
}

// close lets the writer finish.
func (l *bareLink) close() {
	l.mu.Lock()
	l.done = true
	idle := l.idle
	l.idle = false
	l.mu.Unlock()
	if idle {
		l.wake <- struct{}{}
	}
}
