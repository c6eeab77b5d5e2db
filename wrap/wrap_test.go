package wrap_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
	"golang.org/x/time/rate"

	"github.com/espial-go/espial"
	"github.com/espial-go/espial/internal/memnet"
	"github.com/espial-go/espial/internal/mux"
	"github.com/espial-go/espial/wrap"
)

// chain applies wrappers as a node does.
func chain(t testing.TB, nc net.Conn, wrappers ...wrap.Func) net.Conn {
	t.Helper()
	for _, w := range wrappers {
		var err error
		if nc, err = w(nc, espial.StreamInfo{Service: "api"}); err != nil {
			t.Fatal(err)
		}
	}
	return nc
}

// streams returns both ends of a stream over a network in memory with a latency of 1 ms, and
// what ends it.
func streams(t testing.TB) (dialed, accepted net.Conn, stop func()) {
	t.Helper()
	n := memnet.New(1)
	n.SetLatency(time.Millisecond, time.Millisecond)
	far := n.Host(netip.MustParseAddr("10.0.0.2"))
	ln, err := far.Listen(t.Context(), ":27272")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := n.Host(netip.MustParseAddr("10.0.0.1")).Dial(t.Context(), "10.0.0.2:27272")
	if err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	services := &mux.Services{}
	a, errA := mux.New(nc, mux.Config{Dialed: true, Services: &mux.Services{}, Local: "a", Remote: "b"})
	b, errB := mux.New(other, mux.Config{Services: services, Local: "b", Remote: "a"})
	api, err := services.Listen("b", "api")
	if errA != nil || errB != nil || err != nil {
		t.Fatal(errA, errB, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var runs sync.WaitGroup
	runs.Go(func() { a.Run(ctx) })
	runs.Go(func() { b.Run(ctx) })
	stop = func() {
		cancel()
		runs.Wait()
	}
	if dialed, err = a.Open(t.Context(), "api"); err == nil {
		accepted, err = api.Accept()
	}
	if err != nil {
		stop()
		t.Fatal(err)
	}
	return dialed, accepted, stop
}

// inPair runs f in virtual time with both ends of a stream that is wrapped at both.
func inPair(t *testing.T, wrappers func() []wrap.Func, f func(t *testing.T, a, b net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b, stop := streams(t)
		defer stop()
		a, b = chain(t, a, wrappers()...), chain(t, b, wrappers()...)
		f(t, a, b)
		a.Close()
		b.Close()
	})
}

// shipped are all wrappers of the package, each alone and all together.
func shipped() map[string]func() []wrap.Func {
	count := func() wrap.Func { return wrap.Count(&wrap.Counter{}) }
	limit := func() wrap.Func {
		return wrap.Limit(rate.NewLimiter(64<<20, 1<<10), rate.NewLimiter(64<<20, 1<<10))
	}
	delay := func() wrap.Func { return wrap.Delay(time.Millisecond) }
	return map[string]func() []wrap.Func{
		"Count":    func() []wrap.Func { return []wrap.Func{count()} },
		"Limit":    func() []wrap.Func { return []wrap.Func{limit()} },
		"Delay":    func() []wrap.Func { return []wrap.Func{delay()} },
		"Compress": func() []wrap.Func { return []wrap.Func{wrap.Compress()} },
		"all":      func() []wrap.Func { return []wrap.Func{limit(), delay(), count(), wrap.Compress(), count()} },
		"no limit": func() []wrap.Func { return []wrap.Func{wrap.Limit(nil, rate.NewLimiter(rate.Inf, 0))} },
	}
}

// noise returns bytes that nobody can compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
}

// What every wrapper must be: as good a connection as the one below.
func TestConn(t *testing.T) {
	for name, wrappers := range shipped() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
				a, b, end := streams(t)
				a, b = chain(t, a, wrappers()...), chain(t, b, wrappers()...)
				return a, b, func() {
					a.Close()
					b.Close()
					end()
				}, nil
			})
		})
	}
}

// A question, its end by CloseWrite, and the answer, whole, with the end of it.
func TestHalfClosePassesThrough(t *testing.T) {
	for name, wrappers := range shipped() {
		t.Run(name, func(t *testing.T) {
			inPair(t, wrappers, func(t *testing.T, a, b net.Conn) {
				question := bytes.Repeat([]byte("question "), 30_000)
				var asked sync.WaitGroup
				asked.Go(func() {
					if n, err := a.Write(question); n != len(question) || err != nil {
						t.Errorf("Write = %d, %v", n, err)
					}
					if err := a.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
						t.Errorf("CloseWrite = %v", err)
					}
				})
				if got, err := io.ReadAll(b); !bytes.Equal(got, question) || err != nil {
					t.Fatalf("read %d bytes and %v, want the %d of the question", len(got), err, len(question))
				}
				asked.Wait()
				if _, err := b.Write([]byte("answer")); err != nil {
					t.Fatal(err)
				}
				b.Close()
				if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
					t.Errorf("read %q, %v", got, err)
				}
			})
		})
	}
}

// Close wakes whoever reads and writes, also while a wrapper lets it wait.
func TestCloseWakes(t *testing.T) {
	slow := rate.NewLimiter(1, 1)
	tests := shipped()
	tests["a limit that was reached"] = func() []wrap.Func { return []wrap.Func{wrap.Limit(slow, slow)} }
	tests["a latency of an hour"] = func() []wrap.Func { return []wrap.Func{wrap.Delay(time.Hour)} }
	for name, wrappers := range tests {
		t.Run(name, func(t *testing.T) {
			inPair(t, wrappers, func(t *testing.T, a, b net.Conn) {
				var waits sync.WaitGroup
				waits.Go(func() {
					if _, err := io.ReadAll(a); !errors.Is(err, net.ErrClosed) {
						t.Errorf("Read = %v, want %v", err, net.ErrClosed)
					}
				})
				waits.Go(func() {
					if _, err := a.Write(noise(32 << 20)); !errors.Is(err, net.ErrClosed) {
						t.Errorf("Write = %v, want %v", err, net.ErrClosed)
					}
				})
				b.Write([]byte("hello"))
				time.Sleep(time.Second)
				a.Close()
				waits.Wait()
				if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Read after Close = %v, want %v", err, net.ErrClosed)
				}
			})
		})
	}
}

// What has no half-close says so, and does not pretend to.
func TestNoHalfCloseBelow(t *testing.T) {
	for name, wrappers := range shipped() {
		near, far := net.Pipe()
		nc := chain(t, near, wrappers()...)
		if err := nc.(interface{ CloseWrite() error }).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: CloseWrite = %v, want %v", name, err, errors.ErrUnsupported)
		}
		if err := nc.(interface{ SetLinger(int) error }).SetLinger(0); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: SetLinger = %v, want %v", name, err, errors.ErrUnsupported)
		}
		nc.Close()
		far.Close()
	}
}

// A reset in place of an end passes through as well.
func TestResetPassesThrough(t *testing.T) {
	for name, wrappers := range shipped() {
		t.Run(name, func(t *testing.T) {
			inPair(t, wrappers, func(t *testing.T, a, b net.Conn) {
				a.Write([]byte("not all"))
				if err := a.(interface{ SetLinger(int) error }).SetLinger(0); err != nil {
					t.Fatal(err)
				}
				a.Close()
				if _, err := io.ReadAll(b); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the other end reads %v, want a reset", err)
				}
			})
		})
	}
}

func TestCount(t *testing.T) {
	var counter wrap.Counter
	inPair(t, func() []wrap.Func { return []wrap.Func{wrap.Count(&counter)} }, func(t *testing.T, a, b net.Conn) {
		figures := func(sent, received, opened uint64, open int) {
			t.Helper()
			got := []uint64{counter.Sent(), counter.Received(), counter.Opened(), uint64(counter.Open())}
			for i, want := range []uint64{sent, received, opened, uint64(open)} {
				if got[i] != want {
					t.Errorf("%s: %d, want %d", []string{"sent", "received", "opened", "open"}[i], got[i], want)
				}
			}
		}
		figures(0, 0, 2, 2)
		if _, err := a.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(b, make([]byte, 700)); err != nil {
			t.Fatal(err)
		}
		figures(1000, 700, 2, 2)
		a.Close()
		a.Close()
		figures(1000, 700, 2, 1)
	})
}

// Ten times the burst takes nine times its refill, at the end that writes and at the one
// that reads; streams that share a limiter share the time.
func TestLimit(t *testing.T) {
	const bytesEach, burst = 100 << 10, 10 << 10
	for _, tt := range []struct {
		name   string
		limits func(l *rate.Limiter) (a, b wrap.Func)
		want   time.Duration
	}{
		{"what is written", func(l *rate.Limiter) (a, b wrap.Func) { return wrap.Limit(l, nil), wrap.Limit(nil, nil) }, 9 * time.Second},
		{"what is read", func(l *rate.Limiter) (a, b wrap.Func) { return wrap.Limit(nil, nil), wrap.Limit(nil, l) }, 8500 * time.Millisecond},
		{"both, by one limiter", func(l *rate.Limiter) (a, b wrap.Func) { return wrap.Limit(l, nil), wrap.Limit(nil, l) }, 18500 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, stop := streams(t)
				defer stop()
				atA, atB := tt.limits(rate.NewLimiter(burst, burst))
				a, b = chain(t, a, atA), chain(t, b, atB)
				defer a.Close()
				defer b.Close()
				began := time.Now()
				var written sync.WaitGroup
				written.Go(func() { a.Write(make([]byte, bytesEach)) })
				if _, err := io.ReadFull(b, make([]byte, bytesEach)); err != nil {
					t.Fatal(err)
				}
				written.Wait()
				if took := time.Since(began); took < tt.want-600*time.Millisecond || took > tt.want+600*time.Millisecond {
					t.Errorf("%d KiB at %d KiB/s took %v, want %v", bytesEach>>10, burst>>10, took, tt.want)
				}
			})
		})
	}
}

// A deadline that passes while a limit is waited for costs no byte, and one that moves is
// heeded.
func TestDeadlinesOfLimits(t *testing.T) {
	limit := func() []wrap.Func {
		return []wrap.Func{wrap.Limit(rate.NewLimiter(10, 10), rate.NewLimiter(10, 10))}
	}
	inPair(t, limit, func(t *testing.T, a, b net.Conn) {
		a.SetWriteDeadline(time.Now().Add(time.Hour))
		time.AfterFunc(2*time.Second, func() { a.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)) })
		n, err := a.Write(make([]byte, 100))
		if n != 30 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write = %d, %v; want 30 and %v", n, err, os.ErrDeadlineExceeded)
		}
		got := 0
		for {
			b.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			n, err := b.Read(make([]byte, 4))
			got += n
			if got == 30 {
				break
			}
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("Read = %v after %d bytes", err, got)
			}
		}
	})
}

func TestALimiterThatLetsNothingPass(t *testing.T) {
	never := func() []wrap.Func { return []wrap.Func{wrap.Limit(rate.NewLimiter(1, 0), rate.NewLimiter(1, 0))} }
	inPair(t, never, func(t *testing.T, a, _ net.Conn) {
		if n, err := a.Write([]byte("x")); n != 0 || err == nil {
			t.Errorf("Write = %d, %v; want an error that names the burst", n, err)
		}
		if n, err := a.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("Read = %d, %v; want an error that names the burst", n, err)
		}
	})
}

// A latency delays and does not slow down: so do the end, and a reset.
func TestDelay(t *testing.T) {
	const latency, way = 100 * time.Millisecond, time.Millisecond
	inPair(t, func() []wrap.Func { return []wrap.Func{wrap.Delay(latency)} }, func(t *testing.T, a, b net.Conn) {
		began := time.Now()
		took := func(what string, want time.Duration) {
			t.Helper()
			if d := time.Since(began); d < want || d > want+5*way {
				t.Errorf("%s: after %v, want %v", what, d, want)
			}
		}
		var written sync.WaitGroup
		written.Go(func() {
			for range 10 {
				a.Write([]byte("tick"))
				time.Sleep(10 * time.Millisecond)
			}
			a.Close()
		})
		for i := range 10 {
			if _, err := io.ReadFull(b, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			took("a tick", latency+way+time.Duration(i)*10*time.Millisecond)
		}
		if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("Read = %d, %v; want the end", n, err)
		}
		took("the end", latency+way+100*time.Millisecond)
		written.Wait()
	})
}

// What is held back is bounded: a writer waits for a reader that does not come.
func TestDelayHoldsLittleBack(t *testing.T) {
	inPair(t, func() []wrap.Func { return []wrap.Func{wrap.Delay(time.Second)} }, func(t *testing.T, a, _ net.Conn) {
		a.SetWriteDeadline(time.Now().Add(time.Hour))
		n, err := a.Write(make([]byte, 64<<20))
		if n > 24<<20 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write = %d, %v; want a deadline after what is held back and the window", n, err)
		}
	})
}
