package mux_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"github.com/espial-go/espial/internal/memnet"
	"github.com/espial-go/espial/internal/mux"
)

func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		dialed, accepted := connections(t, memnet.New(1))
		p := join(t, dialed, accepted, 0)
		a, b := p.open(p.listen("api"), "api")
		return a, b, p.stop, nil
	})
}

func TestAddressesNameServiceAndNodes(t *testing.T) {
	inPair(t, func(p *pair) {
		ln := p.listen("api")
		a, b := p.open(ln, "api")
		for _, tt := range []struct {
			name string
			got  net.Addr
			want string
		}{
			{"the listener", ln.Addr(), "api.node-b"},
			{"where the dialer is", a.LocalAddr(), "node-a"},
			{"whom it dialled", a.RemoteAddr(), "api.node-b"},
			{"where the listener is", b.LocalAddr(), "api.node-b"},
			{"who dialled", b.RemoteAddr(), "node-a"},
		} {
			if tt.got.String() != tt.want || tt.got.Network() != "espial" {
				p.Errorf("%s: %v on %s, want %s on espial", tt.name, tt.got, tt.got.Network(), tt.want)
			}
		}
	})
}

// Both ends open streams over one connection.
func TestEitherEndOpens(t *testing.T) {
	inPair(t, func(p *pair) {
		ln, err := p.atA.Listen("node-a", "back")
		if err != nil {
			p.Fatal(err)
		}
		b, err := p.b.Open(p.Context(), "back")
		if err != nil {
			p.Fatal(err)
		}
		a, err := ln.Accept()
		if err != nil {
			p.Fatal(err)
		}
		if _, err := b.Write([]byte("hello")); err != nil {
			p.Fatal(err)
		}
		b.Close()
		if got, err := readAll(a); got != "hello" || err != nil {
			p.Errorf("read %q, %v", got, err)
		}
	})
}

func TestHalfClose(t *testing.T) {
	inPair(t, func(p *pair) {
		a, b := p.open(p.listen("api"), "api")
		if _, err := a.Write([]byte("question")); err != nil {
			p.Fatal(err)
		}
		if err := a.CloseWrite(); err != nil {
			p.Fatal(err)
		}
		if got, err := readAll(b); got != "question" || err != nil {
			p.Errorf("read %q, %v; want the question and its end", got, err)
		}
		if _, err := a.Write([]byte("more")); !errors.Is(err, syscall.EPIPE) {
			p.Errorf("Write after CloseWrite = %v, want EPIPE", err)
		}
		if _, err := b.Write([]byte("answer")); err != nil {
			p.Fatal(err)
		}
		b.Close()
		if got, err := readAll(a); got != "answer" || err != nil {
			p.Errorf("read %q, %v; want the answer and its end", got, err)
		}
	})
}

// A Write that waits for a window is woken by CloseWrite, Close, Reset and its deadline, and
// says which it was. The window is 256 KiB, of which the name of the service takes some bytes.
func TestWhatEndsAWrite(t *testing.T) {
	tests := []struct {
		name string
		end  func(a, b *mux.Stream)
		want error
	}{
		{"CloseWrite", func(a, _ *mux.Stream) { a.CloseWrite() }, syscall.EPIPE},
		{"Close", func(a, _ *mux.Stream) { a.Close() }, net.ErrClosed},
		{"Reset", func(a, _ *mux.Stream) { a.Reset(mux.CodeNone) }, net.ErrClosed},
		{"Close, without lingering", func(a, _ *mux.Stream) { a.SetLinger(0); a.Close() }, net.ErrClosed},
		{"its deadline", func(a, _ *mux.Stream) { a.SetWriteDeadline(time.Now().Add(time.Second)) }, os.ErrDeadlineExceeded},
		{"the reader closes", func(_, b *mux.Stream) { b.Close() }, syscall.ECONNRESET},
		{"the reader resets", func(_, b *mux.Stream) { b.Reset(mux.CodeTimeout) }, syscall.ECONNRESET},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inPair(t, func(p *pair) {
				a, b := p.open(p.listen("api"), "api")
				done := make(chan error)
				go func() {
					n, err := a.Write(make([]byte, 1<<20))
					if n > 256<<10 || n < 255<<10 {
						p.Errorf("%d bytes were written, want the window of 256 KiB", n)
					}
					done <- err
				}()
				time.Sleep(time.Second)
				tt.end(a, b)
				if err := <-done; !errors.Is(err, tt.want) {
					p.Errorf("Write = %v, want %v", err, tt.want)
				}
			})
		})
	}
}

// Who has read the last byte and has nothing to write learns that the session is gone.
func TestWhatIsLostAfterTheLastByte(t *testing.T) {
	inPair(t, func(p *pair) {
		a, b := p.open(p.listen("api"), "api")
		closed, _ := p.open(p.listen("other"), "other")
		if err := b.CloseWrite(); err != nil {
			p.Fatal(err)
		}
		if got, err := readAll(a); got != "" || err != nil {
			p.Fatalf("read %q, %v; want the end", got, err)
		}
		closed.Close()
		if err := closed.Watch(); err != nil {
			p.Errorf("Watch of a stream that is closed = %v, want nil", err)
		}
		time.AfterFunc(time.Second, func() { p.connB.Close() })
		if err := a.Watch(); !errors.Is(err, syscall.ECONNRESET) {
			p.Errorf("Watch = %v, want ECONNRESET", err)
		}
	})
}

// What the other end did is told by the errors of Read.
func TestWhatEndsARead(t *testing.T) {
	tests := []struct {
		name string
		end  func(p *pair, a, b *mux.Stream)
		want error
		code mux.Code
	}{
		{"the other end closes", func(_ *pair, _, b *mux.Stream) { b.Close() }, io.EOF, 0},
		{"the other end closes its writing half", func(_ *pair, _, b *mux.Stream) { b.CloseWrite() }, io.EOF, 0},
		{
			"the other end resets", func(_ *pair, _, b *mux.Stream) { b.Reset(mux.CodeCanceled) },
			syscall.ECONNRESET, mux.CodeCanceled,
		},
		{
			"the other end closes without lingering", func(_ *pair, _, b *mux.Stream) { b.SetLinger(0); b.Close() },
			syscall.ECONNRESET, mux.CodeAborted,
		},
		{"this end closes", func(_ *pair, a, _ *mux.Stream) { a.Close() }, net.ErrClosed, 0},
		{
			"its deadline", func(_ *pair, a, _ *mux.Stream) { a.SetReadDeadline(time.Now().Add(time.Second)) },
			os.ErrDeadlineExceeded, 0,
		},
		{
			"the other session closes", func(p *pair, _, _ *mux.Stream) { p.b.Close(mux.CodeLeave) },
			syscall.ECONNRESET, mux.CodeLeave,
		},
		{
			"this session closes", func(p *pair, _, _ *mux.Stream) { p.a.Close(mux.CodeLeave) },
			syscall.ECONNRESET, mux.CodeLeave,
		},
		{"the connection breaks", func(p *pair, _, _ *mux.Stream) { p.connB.Close() }, syscall.ECONNRESET, mux.CodeLost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inPair(t, func(p *pair) {
				a, b := p.open(p.listen("api"), "api")
				done := make(chan error)
				go func() {
					_, err := a.Read(make([]byte, 1))
					done <- err
				}()
				time.Sleep(time.Second)
				tt.end(p, a, b)
				if err := <-done; !errors.Is(err, tt.want) || codeOf(err) != tt.code {
					p.Errorf("Read = %v (%v), want %v (%v)", err, codeOf(err), tt.want, tt.code)
				}
			})
		})
	}
}

// A stream that its reader closed answers the next byte with a reset, and gives the writer
// all that was written to it before.
func TestAReaderThatClosesIsNoTrap(t *testing.T) {
	inPair(t, func(p *pair) {
		a, b := p.open(p.listen("api"), "api")
		if _, err := b.Write([]byte("too large")); err != nil {
			p.Fatal(err)
		}
		b.Close()
		var err error
		for range 100 {
			if _, err = a.Write(make([]byte, 64<<10)); err != nil {
				break
			}
			time.Sleep(latency)
		}
		if codeOf(err) != mux.CodeClosed {
			p.Errorf("Write = %v, want a reset with %v", err, mux.CodeClosed)
		}
		if got, err := readAll(a); got != "too large" || err != nil {
			p.Errorf("read %q, %v; want all that was written", got, err)
		}
	})
}

// An end that was closed waits 30 s for the other, not for ever.
func TestAStreamDoesNotStayHalfClosed(t *testing.T) {
	inPair(t, func(p *pair) {
		a, b := p.open(p.listen("api"), "api")
		a.Close()
		time.Sleep(latency)
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			p.Errorf("Read after Close = %v, want %v", err, net.ErrClosed)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			p.Errorf("Write after Close = %v, want %v", err, net.ErrClosed)
		}
		time.Sleep(29*time.Second - latency)
		if n := p.a.Streams(); n != 1 {
			p.Errorf("%d streams after 29 s, want 1", n)
		}
		time.Sleep(2 * time.Second)
		if n := p.a.Streams(); n != 0 {
			p.Errorf("%d streams after 31 s, want none", n)
		}
		if _, err := b.Write([]byte("x")); codeOf(err) != mux.CodeTimeout {
			p.Errorf("Write = %v, want a reset with %v", err, mux.CodeTimeout)
		}
	})
}

// Deadlines that pass while data flows lose nothing: neither bytes nor the window that yamux
// owes for them.
func TestDeadlinesLoseNothing(t *testing.T) {
	inPair(t, func(p *pair) {
		a, b := p.open(p.listen("api"), "api")
		const size = 8 << 20 // 32 windows
		want := make([]byte, size)
		rand.NewChaCha8([32]byte{}).Read(want)
		go func() {
			a.Write(want)
			a.Close()
		}()
		var got []byte
		buf, timeouts := make([]byte, 100<<10), 0
		for round := 0; ; round++ {
			switch round % 4 { // never, passed, passes while the Read waits, after it
			case 0:
				b.SetReadDeadline(time.Time{})
			case 1:
				b.SetReadDeadline(time.Now())
			default:
				b.SetReadDeadline(time.Now().Add(time.Duration(round%4-2) * latency))
			}
			n, err := b.Read(buf)
			got = append(got, buf[:n]...)
			switch {
			case errors.Is(err, io.EOF):
				if !bytes.Equal(got, want) || timeouts == 0 {
					p.Errorf("%d bytes arrived and %d deadlines passed, want the %d that were sent, and some",
						len(got), timeouts, size)
				}
				return
			case errors.Is(err, os.ErrDeadlineExceeded):
				timeouts++
			case err != nil:
				p.Fatal(err)
			}
		}
	})
}

// A deadline that passes while the connection does not take what is owed to the window costs
// nothing of it: the Read returns its data later.
func TestADeadlineCostsNoWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1)
		n.SetBuffer(64 << 10)
		dialed, accepted := connections(t, n)
		p := join(t, dialed, accepted, 0)
		defer p.stop()
		a, b := p.open(p.listen("api"), "api")
		back, err := p.atA.Listen("node-a", "back")
		if err != nil {
			t.Fatal(err)
		}
		const half = 128 << 10 // of the first window
		data := make([]byte, half)
		for range 2 { // so that nothing is left of a window that is lost
			if _, err := a.Write(data); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			var others []*mux.Stream
			for range 100 { // more than yamux queues
				st, err := p.b.Open(t.Context(), "back")
				if err != nil {
					t.Fatal(err)
				}
				go io.Copy(io.Discard, must(back.Accept()))
				others = append(others, st)
			}
			n.Pause(addr(t, dialed))
			for _, st := range others {
				go st.Write(data)
			}
			time.Sleep(time.Second)
			time.AfterFunc(5*time.Second, func() { n.Resume(addr(t, dialed)) })
			b.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := io.ReadFull(b, make([]byte, half)); err != nil {
				t.Fatalf("what had arrived: %v", err)
			}
			b.SetReadDeadline(time.Time{})
			time.Sleep(10 * time.Second)
			for _, st := range others {
				st.Close()
			}
		}
		go io.Copy(io.Discard, b)
		a.SetWriteDeadline(time.Now().Add(time.Minute))
		if n, err := a.Write(make([]byte, 1<<20)); err != nil {
			t.Errorf("Write = %d, %v: the window is lost", n, err)
		}
	})
}

func must(nc net.Conn, err error) net.Conn {
	if err != nil {
		panic(err)
	}
	return nc
}

// yamux reads without a deadline that could cost it the window; one that passes meanwhile
// counts from the next Read on.
func TestADeadlineInThePastStopsReadsOfData(t *testing.T) {
	inPair(t, func(p *pair) {
		a, b := p.open(p.listen("api"), "api")
		if _, err := a.Write([]byte("x")); err != nil {
			p.Fatal(err)
		}
		time.Sleep(time.Second)
		b.SetReadDeadline(time.Now())
		if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			p.Errorf("Read = %d, %v; want %v", n, err, os.ErrDeadlineExceeded)
		}
		b.SetReadDeadline(time.Time{})
		if n, err := b.Read(make([]byte, 1)); n != 1 || err != nil {
			p.Errorf("Read = %d, %v; want the byte", n, err)
		}
	})
}

// Writes of several goroutines take turns and stay whole.
func TestConcurrentWritesStayWhole(t *testing.T) {
	inPair(t, func(p *pair) {
		a, b := p.open(p.listen("api"), "api")
		const writers, size = 8, 1 << 20
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				if _, err := a.Write(bytes.Repeat([]byte{byte('a' + i)}, size)); err != nil {
					p.Error(err)
				}
			})
		}
		go func() {
			wg.Wait()
			a.Close()
		}()
		got, err := readAll(b)
		if err != nil || len(got) != writers*size {
			p.Fatalf("%d bytes, %v; want %d", len(got), err, writers*size)
		}
		for i := 0; i < len(got); i += size {
			if strings.Count(got[i:i+size], got[i:i+1]) != size {
				p.Fatalf("the write of %q was mixed with another", got[i])
			}
		}
	})
}
