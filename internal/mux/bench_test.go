package mux_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/gauge"
	"github.com/espial-go/espial/internal/ident"
	"github.com/espial-go/espial/internal/link"
	"github.com/espial-go/espial/internal/mux"
)

// chunk is what the benchmarks write and read at once, in bytes.
const chunk = 64 << 10

// sockets returns both ends of a connection over loopback.
func sockets(b *testing.B) (dialed, accepted net.Conn) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	if dialed, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if accepted, err = ln.Accept(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		dialed.Close()
		accepted.Close()
	})
	return dialed, accepted
}

// carriers returns both ends of a connection for streams, as the engine makes them.
func carriers(b *testing.B) (near, far net.Conn) {
	b.Helper()
	dialed, accepted := sockets(b)
	end := func(nc net.Conn, role link.Role) (net.Conn, error) {
		key, err := ident.NewKey(bytes.NewReader(bytes.Repeat([]byte{byte(role)}, 32)))
		if err != nil {
			return nil, err
		}
		i, err := link.NewIdentity(key)
		if err != nil {
			return nil, err
		}
		c, err := link.Handshake(b.Context(), nc, role, i)
		if err != nil {
			return nil, err
		}
		if role == link.StreamDialer {
			err = c.AskStreams(b.Context(), frame.Streams{From: 1, To: 2})
		} else {
			err = c.AnswerStreams(b.Context(), func(frame.Streams) *frame.Reject { return nil })
		}
		if err != nil {
			return nil, err
		}
		return c.Carry()
	}
	var wg sync.WaitGroup
	var errNear, errFar error
	wg.Go(func() { near, errNear = end(dialed, link.StreamDialer) })
	wg.Go(func() { far, errFar = end(accepted, link.Acceptor) })
	wg.Wait()
	if errNear != nil || errFar != nil {
		b.Fatal(errNear, errFar)
	}
	b.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return near, far
}

// spent returns what reports the processor time of both ends since: on a machine that does other
// things as well it tells more than the time that passed.
func spent(b *testing.B) func() {
	var m gauge.Meter
	m.Begin(false)
	return func() { b.ReportMetric(float64(m.Report().CPU)/float64(b.N), "cpu-ns/op") }
}

// pump writes b.N chunks to one end and reads them at the other.
func pump(b *testing.B, w io.Writer, r io.Reader) {
	b.Helper()
	b.SetBytes(chunk)
	b.ReportAllocs()
	defer spent(b)()
	b.ResetTimer()
	go func() {
		data := make([]byte, chunk)
		for range b.N {
			w.Write(data)
		}
	}()
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(r, int64(b.N)*chunk), make([]byte, chunk)); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
}

// BenchmarkTLS is what crypto/tls carries by itself.
func BenchmarkTLS(b *testing.B) {
	dialed, accepted := sockets(b)
	key, err := ident.NewKey(bytes.NewReader(make([]byte, 32)))
	if err != nil {
		b.Fatal(err)
	}
	der, err := key.Certificate(nil)
	if err != nil {
		b.Fatal(err)
	}
	conf := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key.Signer()}},
		MinVersion:   tls.VersionTLS13, InsecureSkipVerify: true, DynamicRecordSizingDisabled: true,
	}
	near, far := tls.Client(dialed, conf), tls.Server(accepted, conf)
	var wg sync.WaitGroup
	wg.Go(func() { near.Handshake() })
	wg.Go(func() { far.Handshake() })
	wg.Wait()
	pump(b, near, far)
}

// BenchmarkCarrier is the connection below the streams.
func BenchmarkCarrier(b *testing.B) {
	near, far := carriers(b)
	pump(b, near, far)
}

// joined returns a session over a connection as the engine makes it, whose other end
// listens.
func joined(b *testing.B) (s *mux.Session, ln *mux.Listener) {
	b.Helper()
	near, far := carriers(b)
	services := &mux.Services{}
	ln, err := services.Listen("b", "bench")
	if err != nil {
		b.Fatal(err)
	}
	s, err = mux.New(near, mux.Config{Dialed: true, Services: &mux.Services{}})
	if err != nil {
		b.Fatal(err)
	}
	other, err := mux.New(far, mux.Config{Services: services})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	wg.Go(func() { other.Run(ctx) })
	b.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return s, ln
}

// opened returns both ends of one stream.
func opened(b *testing.B) (near, far net.Conn) {
	b.Helper()
	s, ln := joined(b)
	near, err := s.Open(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	far, err = ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return near, far
}

// BenchmarkStream is one stream.
func BenchmarkStream(b *testing.B) {
	near, far := opened(b)
	pump(b, near, far)
}

// BenchmarkEcho sends a short message and waits for it to come back.
func BenchmarkEcho(b *testing.B) {
	near, far := opened(b)
	go io.Copy(far, far)
	buf := make([]byte, 128)
	for b.Loop() {
		near.Write(buf)
		if _, err := io.ReadFull(near, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens streams, 16 at once, which the other end closes at once.
func BenchmarkOpen(b *testing.B) {
	s, ln := joined(b)
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			nc.Close()
		}
	}()
	b.ReportAllocs()
	defer spent(b)()
	b.SetParallelism(8) // on two cores
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			st, err := s.Open(b.Context(), "bench")
			if err != nil {
				b.Error(err)
				return
			}
			st.Read(make([]byte, 1)) // its end
			st.Close()
		}
	})
	ln.Close()
}
