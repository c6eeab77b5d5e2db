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
	"errors"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// bareBuffer is the size of the buffers of a bare link, in bytes. 64 KiB carry a third more
// than 16 KiB do.
const bareBuffer = 64 << 10

// encrypted returns the TLS that every contender speaks, at either end: 1.3, with a
// certificate of the moment that nobody checks.
func encrypted() (*tls.Config, error) {
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

// bare is the limit that the others are held against: TLS over TCP, messages with their length
// before them, one writer that gathers what is ready, a buffered reader. It has no numbers, no
// acknowledgements, no topics and no subscriptions.
type bare struct{}

// receive listens once for each receiver.
func (bare) receive(ctx context.Context, g *errgroup.Group, _ string, tallies []*tally) (string, error) {
	config, err := encrypted()
	if err != nil {
		return "", err
	}
	var addrs []string
	for _, t := range tallies {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		addrs = append(addrs, ln.Addr().String())
		g.Go(func() error {
			c, err := ln.Accept()
			if err != nil {
				return err
			}
			return readBare(tls.Server(c, config), t)
		})
	}
	return strings.Join(addrs, ","), nil
}

// readBare counts messages until the connection ends.
func readBare(c net.Conn, t *tally) error {
	r := bufio.NewReaderSize(c, bareBuffer)
	var buf []byte
	for {
		n, err := binary.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if uint64(cap(buf)) < n {
			buf = make([]byte, n)
		}
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return err
		}
		t.add(buf[:n])
	}
}

// dial connects to each receiver.
func (bare) dial(ctx context.Context, g *errgroup.Group, addr string, _ int) (sender, error) {
	config, err := encrypted()
	if err != nil {
		return nil, err
	}
	var links []*bareLink
	for a := range strings.SplitSeq(addr, ",") {
		c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", a)
		if err != nil {
			return nil, err
		}
		l := &bareLink{c: c}
		l.work.L, l.room.L = &l.mu, &l.mu
		links = append(links, l)
		g.Go(l.write)
	}
	return func(payload []byte) error {
		for _, l := range links {
			if err := l.send(payload); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// bareLink is the sending end of a bare link.
type bareLink struct {
	c net.Conn

	mu    sync.Mutex // guards what follows
	work  sync.Cond  // there is something in the queue
	room  sync.Cond  // the queue was taken, or will not be
	queue []byte
	err   error
}

// send queues one message. It waits while too much is queued.
func (l *bareLink) send(payload []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 4*bareBuffer && l.err == nil {
		l.room.Wait()
	}
	l.queue = binary.AppendUvarint(l.queue, uint64(len(payload)))
	l.queue = append(l.queue, payload...)
	l.work.Signal()
	return l.err
}

// write sends what is queued until that fails.
func (l *bareLink) write() error {
	var out []byte
	for {
		l.mu.Lock()
		for len(l.queue) == 0 {
			l.work.Wait()
		}
		out, l.queue = l.queue, out[:0]
		l.room.Broadcast()
		l.mu.Unlock()
		if _, err := l.c.Write(out); err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.err = err
			l.room.Broadcast()
			return err
		}
		runtime.Gosched() // lets those who are about to send join the next batch
	}
}
