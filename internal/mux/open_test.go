package mux_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/memnet"
	"github.com/espial-go/espial/internal/mux"
)

func TestAnUnknownServiceIsKnownAtOnce(t *testing.T) {
	inPair(t, func(p *pair) {
		began := time.Now()
		_, err := p.a.Open(p.Context(), "nothing")
		if took := time.Since(began); codeOf(err) != mux.CodeNoService || took > 4*latency {
			p.Errorf("Open = %v after %v, want a reset with %v after a round trip", err, took, mux.CodeNoService)
		}
		if n := p.a.Streams() + p.b.Streams(); n != 0 {
			p.Errorf("%d streams are open, want none", n)
		}
	})
}

// A listener that nobody reads has room for 512 streams; the next is refused, and there is
// room again when one was accepted.
func TestAFullBacklogRefuses(t *testing.T) {
	inPair(t, func(p *pair) {
		ln := p.listen("api")
		for i := range 512 {
			if _, err := p.a.Open(p.Context(), "api"); err != nil {
				p.Fatalf("stream %d: %v", i, err)
			}
		}
		if _, err := p.a.Open(p.Context(), "api"); codeOf(err) != mux.CodeBacklog {
			p.Errorf("Open = %v, want a reset with %v", err, mux.CodeBacklog)
		}
		if _, err := ln.Accept(); err != nil {
			p.Fatal(err)
		}
		if _, err := p.a.Open(p.Context(), "api"); err != nil {
			p.Errorf("Open = %v after one was accepted", err)
		}
	})
}

// Each end opens 1,024 streams and no more, and one that ends makes room.
func TestStreamsAreLimited(t *testing.T) {
	inPair(t, func(p *pair) {
		ln := p.listen("echo")
		go echo(ln)
		defer ln.Close()
		var last *mux.Stream
		for i := range 1024 {
			st, err := p.a.Open(p.Context(), "echo")
			if err != nil {
				p.Fatalf("stream %d: %v", i, err)
			}
			last = st
		}
		if _, err := p.a.Open(p.Context(), "echo"); !errors.Is(err, mux.ErrFull) {
			p.Errorf("Open = %v, want %v", err, mux.ErrFull)
		}
		last.Close()
		time.Sleep(time.Second) // until the other end closed it, too
		if _, err := p.a.Open(p.Context(), "echo"); err != nil {
			p.Errorf("Open = %v after one ended", err)
		}
	})
}

// Many open streams at once, which yamux would count wrongly if it were left to its contexts.
func TestManyOpenAtOnce(t *testing.T) {
	inPair(t, func(p *pair) {
		ln := p.listen("echo")
		go echo(ln)
		defer ln.Close()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
				defer cancel()
				st, err := p.a.Open(ctx, "echo")
				if err != nil {
					if codeOf(err) != mux.CodeBacklog {
						p.Error(err)
					}
					return
				}
				defer st.Close()
				st.Write([]byte("x"))
				st.CloseWrite()
				if got, err := readAll(st); got != "x" || err != nil {
					p.Errorf("read %q, %v", got, err)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		if n := p.a.Streams() + p.b.Streams(); n != 0 {
			p.Errorf("%d streams are open, want none", n)
		}
	})
}

// echo sends back what comes over each stream.
func echo(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(nc, nc)
			nc.Close()
		}()
	}
}

func TestListen(t *testing.T) {
	inPair(t, func(p *pair) {
		ln := p.listen("api")
		if _, err := p.atB.Listen("node-b", "api"); !errors.Is(err, syscall.EADDRINUSE) {
			p.Errorf("a second Listen = %v, want EADDRINUSE", err)
		}
		waiting, err := p.a.Open(p.Context(), "api")
		if err != nil {
			p.Fatal(err)
		}
		live, accepted := p.open(ln, "api") // the one that waits first
		if err := ln.Close(); err != nil {
			p.Errorf("Close = %v", err)
		}
		if _, err := live.Read(make([]byte, 1)); codeOf(err) != mux.CodeNoService {
			p.Errorf("the stream that nobody accepted: %v, want a reset with %v", err, mux.CodeNoService)
		}
		if _, err := accepted.Write([]byte("x")); err != nil {
			p.Errorf("the stream that was accepted: %v", err)
		}
		if got, err := waiting.Read(make([]byte, 1)); got != 1 || err != nil {
			p.Errorf("the stream that was accepted: Read = %d, %v", got, err)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			p.Errorf("Accept = %v, want %v", err, net.ErrClosed)
		}
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
			p.Errorf("a second Close = %v, want %v", err, net.ErrClosed)
		}
		if _, err := p.a.Open(p.Context(), "api"); codeOf(err) != mux.CodeNoService {
			p.Errorf("Open = %v, want a reset with %v", err, mux.CodeNoService)
		}
		p.listen("api") // free again
		p.atB.Close()
		if _, err := p.atB.Listen("node-b", "db"); !errors.Is(err, net.ErrClosed) {
			p.Errorf("Listen after Close = %v, want %v", err, net.ErrClosed)
		}
	})
}

// stranger is the other end of a session that speaks yamux and nothing else.
func stranger(t *testing.T, n *memnet.Network) (s *mux.Session, y *yamux.Session, stop func()) {
	t.Helper()
	dialed, accepted := connections(t, n)
	services := &mux.Services{}
	if _, err := services.Listen("node-b", "api"); err != nil {
		t.Fatal(err)
	}
	s, err := mux.New(accepted, mux.Config{Services: services, Local: "node-b", Remote: "node-a"})
	if err != nil {
		t.Fatal(err)
	}
	conf := yamux.DefaultConfig()
	conf.LogOutput = io.Discard
	y, err = yamux.Client(dialed, conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	return s, y, func() {
		cancel()
		wg.Wait()
		y.Close()
	}
}

// What does not begin as a stream of ours is reset with the reason, and costs nothing else.
func TestHostileHeaders(t *testing.T) {
	tests := []struct {
		name string
		sent []byte
		want mux.Code
		took time.Duration
	}{
		{"nothing", nil, mux.CodeTimeout, 5 * time.Second},
		{"half a header", []byte{6, 0}, mux.CodeTimeout, 5 * time.Second},
		{"64 KiB announced", []byte{6, 1, 0, 0}, mux.CodeProtocol, 0},
		{"16 MiB announced", []byte{6, 255, 255, 255, 1, 2, 3}, mux.CodeProtocol, 0},
		{"another frame", frame.Accept{}.Append(nil), mux.CodeProtocol, 0},
		{"an unknown frame", []byte{127, 0, 0, 0}, mux.CodeProtocol, 0},
		{"an unknown optional frame", []byte{200, 0, 0, 0}, mux.CodeProtocol, 0},
		{"a name that is too long", append([]byte{6, 0, 0, 65, 64}, make([]byte, 64)...), mux.CodeProtocol, 0},
		{"a critical field", []byte{6, 0, 0, 6, 3, 'a', 'p', 'i', 1, 0}, mux.CodeProtocol, 0},
		{"no name", frame.Service{}.Append(nil), mux.CodeNoService, 0},
		{"a name of another grammar", frame.Service{Name: "\x1b[2J"}.Append(nil), mux.CodeNoService, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memnet.New(1)
				n.SetLatency(latency, latency)
				s, y, stop := stranger(t, n)
				defer stop()
				ys, err := y.OpenStream(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if _, err := ys.Write(tt.sent); err != nil {
					t.Fatal(err)
				}
				_, err = ys.Read(make([]byte, 1))
				reset, ok := errors.AsType[*yamux.StreamError](err)
				if !ok || mux.Code(reset.ErrorCode) != tt.want {
					t.Errorf("Read = %v, want a reset with %d (%v)", err, tt.want, tt.want)
				}
				if took := time.Since(began); took < tt.took || took > tt.took+10*latency {
					t.Errorf("it took %v, want %v and a round trip", took, tt.took)
				}
				if n := s.Streams(); n != 0 {
					t.Errorf("%d streams are open, want none", n)
				}
			})
		})
	}
}

// A field that a later version adds, and that one may ignore, changes nothing.
func TestOptionalFieldsAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, y, stop := stranger(t, memnet.New(1))
		defer stop()
		ys, err := y.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ys.Write([]byte{6, 0, 0, 7, 3, 'a', 'p', 'i', 2, 1, 9}); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(frame.Accept{}.Append(nil)))
		if _, err := io.ReadFull(ys, got); err != nil || frame.Type(got[0]) != frame.TypeAccept {
			t.Errorf("read %x, %v; want ACCEPT", got, err)
		}
	})
}

// Open ends with its context, also where the other end never answers, and leaves nothing.
func TestOpenHeedsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		s, y, stop := stranger(t, n)
		defer stop()
		go func() { // takes streams and says nothing
			for {
				if _, err := y.AcceptStream(); err != nil {
					return
				}
			}
		}()
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		began := time.Now()
		if _, err := s.Open(ctx, "api"); !errors.Is(err, cause) || time.Since(began) != time.Second {
			t.Errorf("Open = %v after %v, want %v after 1 s", err, time.Since(began), cause)
		}
		began = time.Now()
		_, err := s.Open(t.Context(), "api")
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("Open = %v after %v, want %v after 10 s", err, time.Since(began), os.ErrDeadlineExceeded)
		}
		if n := s.Streams(); n != 0 {
			t.Errorf("%d streams are open, want none", n)
		}
	})
}

// What the other end says in place of ACCEPT is no stream.
func TestHostileAnswers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer []byte
	}{
		{"another frame", frame.Service{Name: "api"}.Append(nil)},
		{"too long a frame", []byte{2, 255, 255, 255}},
		{"nothing, and the end", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, y, stop := stranger(t, memnet.New(1))
				defer stop()
				go func() {
					ys, err := y.AcceptStream()
					if err != nil {
						return
					}
					ys.Write(tt.answer)
					ys.CloseWrite()
				}()
				if st, err := s.Open(t.Context(), "api"); err == nil {
					t.Errorf("Open = %v, want an error", st.RemoteAddr())
				}
				if n := s.Streams(); n != 0 {
					t.Errorf("%d streams are open, want none", n)
				}
			})
		})
	}
}
